"""What a test wants to go wrong: a file with calls' faults, which are counted down."""

import json
from pathlib import Path
from typing import Any


def take_fault(folder: Path, name: str, *, any_call: bool = True) -> dict[str, Any] | None:
    """Return the next fault of a call, None when there is none (left).

    Args:
        folder: The cloud's.
        name: The call, as the cloud names it.
        any_call: A fault of `*` is one of this call too.
    """
    file = folder / "faults.json"
    faults = json.loads(file.read_text()) if file.exists() else {}
    fault: dict[str, Any] | None = faults.get(name, faults.get("*") if any_call else None)
    if not fault or fault.get("times", 1) < 1:
        return None
    fault["times"] = fault.get("times", 1) - 1
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(faults))
    fresh.replace(file)
    return fault
