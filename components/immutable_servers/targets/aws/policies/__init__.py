"""The IAM policies of the how-to, as files: one for each role, to be put into it as it is."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def read_statements(name: str) -> Sequence[Mapping[str, Any]]:
    """Return the statements of a file by its name, such as `bake`."""
    found = json.loads((FOLDER / f"{name}.json").read_text())["Statement"]
    return list(found)
