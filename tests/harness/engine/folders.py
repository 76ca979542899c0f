"""Deletes folders in a way that folders in memory know too (`harness.simulation.memory`)."""

from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Delete a folder of files, where there is one."""
    if folder.exists():
        for file in list(folder.iterdir()):
            file.unlink()
        folder.rmdir()
