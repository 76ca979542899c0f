"""Reads from a server's console which of its image's units have failed for good.

systemd says that a unit failed also when it starts it again a moment later. A failure is for good
when systemd itself gives up (`Start request repeated too quickly`), or when the unit has no
`Restart=`, which the base says of each unit at boot (`packer/base/…/own_units.py`).
"""

import re
from dataclasses import dataclass, field

from immutable_servers.text.printable import COLOUR

OWN = re.compile(r"immutable-seal\[\d+\]: own units: (?P<units>.*)")
SAID = re.compile(
    r"\] systemd\[1\]: (?:(?P<verb>Started|Starting|Finished) )?"
    r"(?P<unit>[^\s:]+\.service)(?P<rest>.*)"
)
GAVE_UP = ": Start request repeated too quickly"
FAILED = ": Failed with result"
AGAIN = ": Scheduled restart job"
DONE = ": Deactivated successfully"


@dataclass
class UnitWatch:
    """Takes the lines of a console, and knows the state of the image's own units.

    Attributes:
        own: What systemd does after a failure, by unit.
        failed: Why, of units that have failed for good.
        done: Units that have done their work.
    """

    own: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def take(self, line: str) -> None:
        """Take one line."""
        line = COLOUR.sub("", line)
        if booted := OWN.search(line):
            words = (word.partition("=") for word in booted["units"].split())
            self.own = {unit: restart for unit, _, restart in words}
            self.failed, self.done = {}, set()
        elif (said := SAID.search(line)) and said["unit"] in self.own:
            self._note(said["unit"], said["verb"] or "", said["rest"])

    def _note(self, unit: str, verb: str, rest: str) -> None:
        if rest.startswith(GAVE_UP):
            self.failed[unit] = "failed again and again, so systemd starts it no more"
        elif rest.startswith(FAILED):
            if self.own[unit] == "no":
                self.failed.setdefault(
                    unit, f"failed with result{rest.removeprefix(FAILED).rstrip('.')}"
                )
        elif verb == "Finished" or rest.startswith(DONE):
            self.done.add(unit)
        elif verb or rest.startswith(AGAIN):
            self.own[unit] = self.own[unit] if verb else "always"
            self.failed.pop(unit, None)
            self.done.discard(unit)

    @property
    def trouble(self) -> str:
        """Say which units have failed for good; empty while any own unit may yet serve."""
        if not self.failed or self.own.keys() - self.failed.keys() - self.done:
            return ""
        return ", ".join(f"{unit} {why}" for unit, why in sorted(self.failed.items()))
