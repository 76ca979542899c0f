"""Starts one open server without traffic for `verify` and `shell`, and removes it at the end."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import FrameType

from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.images import list_chain
from immutable_servers.contract.values import Artifact, FleetSpec, Login, Say
from immutable_servers.driver.engine.environment import compute_environment
from immutable_servers.driver.opened import Chosen, Opened
from immutable_servers.driver.phases import Work
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_parts
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.consent import require_yes
from immutable_servers.driver.terminal.display import Plain
from immutable_servers.driver.terminal.words import render_seconds
from immutable_servers.errors import ImageError
from immutable_servers.identity import compute_versions
from immutable_servers.images.bake import provide_image
from immutable_servers.images.order import Order
from immutable_servers.planning.wish import make_launch
from immutable_servers.system import stopping

DIGITS = 8
"""Length of a probe's generation, the start of its version: no real generation has that id."""
ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def prepare(stack: Opened, command: str, *, yes: bool) -> None:
    """Ask for a yes where servers cost money, and set up what a bake and a boot need.

    Raises:
        ImmutableError: The answer was no, or something is missing.
    """
    require_yes(stack.target_name, stack.name, command, yes=yes)
    install_missing(list_parts(stack.target_name, acts=True), yes=yes)
    os.environ.update(compute_environment(stack.root))


@contextmanager
def start_step(display: Plain | None, work: Work, what: str) -> Iterator[Say]:
    """Yield a function that prints progress of a step, which has a row in a terminal."""
    if display is None:
        yield say_of(what)
        return
    began = time.monotonic()
    display.begin(work)
    try:
        yield lambda line: display.say_of(work, f"{what}: {line}")
    except BaseException:
        display.drop(work)
        raise
    display.end(work, f"{what} took {render_seconds(time.monotonic() - began)}")


def provide_chain(chosen: Chosen, image: str, display: Plain | None = None) -> Artifact:
    """Bake or find the checkout's version of an image; its parents only where it is baked."""
    stack = chosen.stack
    versions = compute_versions(stack.root, stack.settings, stack.target.architecture)

    def provide(image: str) -> Artifact:
        version, digest = versions[image].version, versions[image].digest
        settings = stack.settings.images[image]
        found = stack.target.images.find(image, version, digest)
        if found:
            console.say(f"image {image} {version}: found")
            return found
        parent = provide(settings.parent) if settings.parent else None
        order = Order(image, version, digest, settings, chosen.place, parent, wanted=True)
        order = replace(order, bake=stack.settings.bake)
        with start_step(display, Work("bake", image, image), f"bake {image}") as say:
            made = provide_image(stack.root, order, say)
        if made is None:  # never for an order that is wanted; mypy cannot know
            raise ImageError(f"Image {image} {version} was not baked")
        return made

    return provide(image)


@contextmanager
def start_server(
    chosen: Chosen, artifact: Artifact, *, healthy: bool, display: Plain | None = None
) -> Iterator[Login]:
    """Boot an open server as the service would have it, and yield how to log in to it.

    Args:
        chosen: The service whose launch spec it gets.
        artifact: What it boots.
        healthy: Wait until it answers its health check, and not for the login alone.
        display: Shows the launch as it shows that of a run; None prints its lines.

    Raises:
        ImmutableError: It does not boot, or its image is revoked.
    """
    what = f"Nothing is launched from image {artifact.image} {artifact.version}"
    chosen.stack.target.images.refuse_revoked(what, list_chain(artifact))
    launch = make_launch(chosen.settings)
    spec = FleetSpec(
        scope=chosen.place.at(artifact.version[:DIGITS]).scope,
        artifact=artifact.id,
        launch=launch if healthy else replace(launch, health=""),
        servers=1,
        record={},
        window_ends=int(time.time()) + LOGIN_WINDOW,
    )
    with ExitStack() as removing:
        with start_step(display, Work("launch", chosen.name, "probe"), "probe") as say:
            login = removing.enter_context(chosen.stack.target.access.start_probe(spec, say))
        try:
            yield login
        finally:
            console.say("probe: removing it")


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """End the block soon on Ctrl-C, SIGTERM or SIGHUP, with its clean-up; a second one at once."""
    names = (signal.SIGINT, *ENDINGS)

    def end(number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for name in ENDINGS:
            signal.signal(name, signal.SIG_IGN)
        console.say("Stopping: what is under way is ended and cleaned up (once more: at once)")
        stopping.stop()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    before = {name: signal.signal(name, end) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def say_of(what: str) -> Say:
    """Return a function that prints progress of one part of the work."""
    return lambda line: console.say(f"{what}: {line}")
