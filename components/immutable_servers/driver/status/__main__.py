"""Writes the JSON Schema of `status --json`: `python -m immutable_servers.driver.status`."""

import json

from immutable_servers.driver.project import CHECKOUT
from immutable_servers.driver.status.models import SCHEMA_FILE, render_schema

if __name__ == "__main__":
    text = json.dumps(render_schema(), indent=2, ensure_ascii=False) + "\n"
    (CHECKOUT / SCHEMA_FILE).write_text(text, encoding="utf-8")
