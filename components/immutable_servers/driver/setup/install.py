"""Lists what is missing with size and time, asks once, and installs it."""

import time
from collections.abc import Callable, Sequence

from immutable_servers.contract.values import Say
from immutable_servers.driver.setup import go
from immutable_servers.driver.setup.cache import start_lock
from immutable_servers.driver.setup.debian import install_packages
from immutable_servers.driver.setup.parts import Part
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.words import render_seconds
from immutable_servers.errors import SetupError


def install_missing(parts: Sequence[Part], *, yes: bool) -> None:
    """Install the parts that are missing; print nothing when all are found.

    Raises:
        SetupError: The user said no, or a part could not be installed.
    """
    missing = [part for part in parts if part.find() is None]
    if not missing:
        return
    console.say("Missing on this machine:")
    for part in missing:
        console.say(f"  {part.name:26} {part.size:>8}   up to {render_seconds(part.seconds)}")
    if not yes and console.is_interactive() and not console.ask("Install them now?"):
        raise SetupError(
            "Nothing was installed",
            facts=[f"{part.name}: {part.fix}" for part in missing],
            todo="Say yes, or install them by hand; `./immutable doctor` shows what is found.",
        )
    began = time.monotonic()
    with start_lock(console.say):
        _install(missing)
        go.clean()
    console.say(f"Set up in {render_seconds(time.monotonic() - began)}")


def require_parts(parts: Sequence[Part]) -> None:
    """Raise when a part is missing; nothing is installed.

    Raises:
        SetupError: Some are missing; each is named with its fix.
    """
    missing = [part for part in parts if part.find() is None]
    if missing:
        raise SetupError(
            "Something is missing on this machine",
            facts=[f"{part.name}: {part.fix}" for part in missing],
            todo="Run `./immutable doctor`, or any command of `./immutable`, which installs it.",
        )


def _install(missing: Sequence[Part]) -> None:
    packages = [part for part in missing if part.package and part.find() is None]
    if packages:
        names = [part.package for part in packages]
        _do("Debian packages", lambda say: install_packages(names, say), packages)
    for part in missing:
        # Another set-up may have made it while this one waited for the lock.
        if part.install and part.find() is None:
            _do(part.name, part.install, [part])


def _do(name: str, install: Callable[[Say], None], parts: Sequence[Part]) -> None:
    """Run one installation, print its begin and end, and check that its parts are found.

    Raises:
        SetupError: A part is still not found.
    """
    began = time.monotonic()
    console.say(f"{name}: installing")
    install(lambda line: console.say(f"{name}: {line}"))
    for part in parts:
        found = part.find()
        if found is None:
            raise SetupError(
                f"{part.name} was installed and is not found", todo=f"By hand: {part.fix}"
            )
        version = f" {found.version}" if found.version else ""
        took = render_seconds(time.monotonic() - began)
        console.say(f"{part.name}:{version} at {found.place} ({took})")
