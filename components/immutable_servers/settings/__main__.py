"""Writes the JSON Schema of stack files: `python -m immutable_servers.settings [FILE]`."""

import json
import sys
from pathlib import Path

from immutable_servers.settings.schema import SCHEMA_FILE, render_json_schema


def write_json_schema(file: Path) -> None:
    """Write the schema; its folder is made when missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(render_json_schema(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_json_schema(Path(sys.argv[1] if len(sys.argv) > 1 else SCHEMA_FILE))
