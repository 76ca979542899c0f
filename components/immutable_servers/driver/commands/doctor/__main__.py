"""Writes the JSON Schema of `doctor --json`: run the package with `python -m`."""

import json

from immutable_servers.driver.commands.doctor.models import SCHEMA_FILE, render_schema
from immutable_servers.driver.project.files import CHECKOUT

if __name__ == "__main__":
    text = json.dumps(render_schema(), indent=2, ensure_ascii=False) + "\n"
    (CHECKOUT / SCHEMA_FILE).write_text(text, encoding="utf-8")
