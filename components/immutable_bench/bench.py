"""`bench`: runs measurements and shows each with its goal; a slow one is no error."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from immutable_bench import growth, load, quick, stacks, table
from immutable_bench.table import Measurement, Place
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_parts
from immutable_servers.driver.terminal import console
from immutable_servers.errors import ImmutableError, SettingsError

__all__ = ["growth", "load", "quick", "run_bench", "stacks", "table"]


def run_bench(root: Path, stack: str, *, only: str, yes: bool) -> int:
    """Run all measurements, or the one named, and print the table.

    What needs servers runs on a scratch stack with the settings of `stack`, which itself is left
    alone; the scratch stack is destroyed at the end, and the images that only it used.

    Raises:
        SettingsError: There is no measurement of this name.
    """
    chosen = _choose(only)
    install_missing(list_parts(Opened(root, stack).target_name, acts=True), yes=yes)
    rows: list[Sequence[str]] = []
    place = Place(root, stack)
    with place.ending:
        for item in chosen:
            console.say(f"measuring {item.name}")
            rows.append((item.name, item.goal, *_measure(item, place)))
    console.show_table("", ("what", "goal", "measured", "met"), rows)
    return 0


def _choose(only: str) -> Sequence[Measurement]:
    known = table.MEASUREMENTS
    if not only:
        return list(known.values())
    if only not in known:
        near = get_close_matches(only, known, n=1)
        raise SettingsError(
            f"There is no measurement {only!r}",
            facts=[f"Known: {', '.join(known)}"],
            todo=f"Did you mean {near[0]}?" if near else "Name one of them with --only.",
        )
    return [known[only]]


def _measure(item: Measurement, place: Place) -> tuple[str, str]:
    try:
        measured = item.measure(place)
    except ImmutableError as error:
        console.say(str(error))
        return (error.what, "-")
    return (measured.value, {True: "yes", False: "no", None: ""}[measured.good])
