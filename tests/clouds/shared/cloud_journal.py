"""What happened in the emulated cloud, one JSON document a line."""

import json
import threading
import time
from pathlib import Path
from typing import Any


class Journal:
    """A file that only grows."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.writing = threading.Lock()

    def note(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - plain values
        """Append an event."""
        line = json.dumps({"event": event, "at": time.time(), **facts}, default=str)
        with self.writing, self.file.open("a") as out:
            out.write(f"{line}\n")
