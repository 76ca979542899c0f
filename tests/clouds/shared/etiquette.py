"""An emulated cloud's manners as a test writes them: a file, read again when it has changed."""

import json
from pathlib import Path
from typing import Generic, TypeVar

MannersT = TypeVar("MannersT")


class Etiquette(Generic[MannersT]):
    """The manners of a cloud's folder, of a class whose fields a test may name."""

    def __init__(self, folder: Path, kind: type[MannersT]) -> None:
        self.file = folder / "manners.json"
        self.written = 0
        self.kind = kind
        self.manners = kind()

    def read(self) -> MannersT:
        """Return the manners as they are now.

        Raises:
            TypeError: The file names one that there is not.
        """
        try:
            written = self.file.stat().st_mtime_ns
        except FileNotFoundError:
            return self.manners
        if written != self.written:
            self.manners = self.kind(**json.loads(self.file.read_text()))
            self.written = written
        return self.manners
