"""Reads and writes an image's lock, `packer/<image>/upstream.lock.json`: what it starts from.

```json
{"rebuild": 0,
 "entries": {"local": {"x86_64": {"suite": "trixie", "release": "sha256:…"}}},
 "updated": {"local": {"x86_64": "2026-01-31T12:00:00+00:00"}}}
```
The file is committed; only `./immutable update` looks outside and writes it. `updated` counts in no
version.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from immutable_servers.errors import SettingsError
from immutable_servers.system.files import write_whole

LOCK_FILE = "upstream.lock.json"


class Lock(BaseModel):
    """The lock of one image."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str = Field(default="", exclude=True)
    rebuild: int = Field(default=0, ge=0)
    entries: dict[str, dict[str, dict[str, Any]]] = {}
    updated: dict[str, dict[str, AwareDatetime]] = {}

    def entry(self, target: str, architecture: str) -> dict[str, Any]:
        """Return what the image starts from on a target, with the `rebuild` counter.

        Raises:
            SettingsError: The lock has no entry for target and architecture.
        """
        found = self.entries.get(target, {}).get(architecture)
        if found is None:
            held = [f"{name} {key}" for name, keys in self.entries.items() for key in keys]
            raise SettingsError(
                f"Image {self.image} has no lock for {target} {architecture}",
                facts=[
                    f"packer/{self.image}/{LOCK_FILE} has: {', '.join(sorted(held)) or 'nothing'}"
                ],
                todo=f"Run ./immutable update {self.image} --stack STACK, with the name of this"
                f" stack on {target}, and commit the file.",
            )
        return {**found, "rebuild": self.rebuild}

    def age(self, target: str, architecture: str, now: datetime) -> timedelta | None:
        """Return how long ago the entry was written; None when the file does not say."""
        written = self.updated.get(target, {}).get(architecture)
        return None if written is None else now - written

    def with_entry(
        self, target: str, architecture: str, entry: dict[str, Any], now: datetime
    ) -> Self:
        """Return the lock with a new entry; for an equal entry only the time changes."""
        entries = {**self.entries, target: {**self.entries.get(target, {}), architecture: entry}}
        moment = now.astimezone(UTC).replace(microsecond=0)
        updated = {**self.updated, target: {**self.updated.get(target, {}), architecture: moment}}
        return self.model_copy(update={"entries": entries, "updated": updated})

    def with_rebuild(self) -> Self:
        """Return the lock with the counter raised, so that the same inputs are baked again."""
        return self.model_copy(update={"rebuild": self.rebuild + 1})


def read_lock(template: Path) -> Lock:
    """Read the lock in a template's folder; a missing file is a lock without entries.

    Raises:
        SettingsError: The file is not a lock.
    """
    file = template / LOCK_FILE
    try:
        lock = Lock.model_validate_json(file.read_bytes(), strict=True)
    except FileNotFoundError:
        return Lock(image=template.name)
    except ValidationError as error:
        facts = [
            f"{'.'.join(map(str, detail['loc'])) or 'the file'}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_input=False)
        ]
        raise _unreadable(template.name, facts) from error
    except OSError as error:
        raise _unreadable(template.name, [str(error)]) from error
    return lock.model_copy(update={"image": template.name})


def write_lock(template: Path, lock: Lock) -> None:
    """Write the lock into a template's folder, completely or not at all."""
    text = json.dumps(lock.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    write_whole(template / LOCK_FILE, text)


def _unreadable(image: str, facts: list[str]) -> SettingsError:
    return SettingsError(
        f"packer/{image}/{LOCK_FILE} is not a lock",
        facts=facts,
        todo=f"Restore it from git, or delete it and run ./immutable update {image}.",
    )
