"""Checks what is the user's own: stack files, templates and checks, then servers of the source."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.driver.commands.verify import run_verify
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.options import DEFAULT_STACK
from immutable_servers.driver.project.files import list_stacks, read_values
from immutable_servers.driver.terminal import console
from immutable_servers.errors import ImmutableError
from immutable_servers.identity import compute_versions
from immutable_servers.images.bake import check_image
from immutable_servers.images.order import Order
from immutable_servers.system.places import reports_dir
from immutable_servers.verification.collection import collect_checks

LOCAL = "local"
"""The target whose servers cost nothing: a test launches no others."""


@dataclass(frozen=True)
class Result:
    """How one linter, one ring or one part of the user's own ended."""

    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    note: str = ""


def list_targets_in_use(root: Path) -> list[str]:
    """Return the targets that the checkout's stack files name; files that are wrong name none."""
    found: dict[str, None] = {}
    for stack in list_stacks(root):
        with suppress(ImmutableError):
            found[str(read_values(root, stack).get("target", ""))] = None
    return [target for target in found if target]


def check_application(root: Path) -> Iterator[Result]:
    """Check every stack file as a preview would, without engine, server or network."""
    stacks = [Opened(root, name) for name in list_stacks(root)]
    yield _try_each(
        "your settings", {f"Pulumi.{stack.name}.yaml": _load(stack) for stack in stacks}
    )
    good = [stack for stack in stacks if _is_good(stack)]
    yield _try_each(
        "your templates",
        {
            f"packer/{image} on {stack.target_name}": _check_template(stack, image)
            for stack in good
            for image in stack.settings.images
        },
    )
    folders = dict.fromkeys(
        service.checks for stack in good for service in stack.settings.services.values()
    )
    report = reports_dir(root) / "collected"
    yield _try_each(
        "your checks",
        {", ".join(checks): _collect(root, checks, report) for checks in folders},
    )


def check_servers(root: Path, *, yes: bool) -> Iterator[Result]:
    """Run the checks of each service on one fresh server of the checkout's source.

    The settings are those of `dev`, or of the first stack where there is no such file.
    """
    stacks = sorted(list_stacks(root), key=lambda name: (name != DEFAULT_STACK, name))
    if not stacks or not _is_good(opened := Opened(root, stacks[0])):
        return
    stack = opened.name
    for name in opened.settings.services:
        row = f"{name} on a fresh server"
        if opened.target_name == LOCAL:
            yield _try_each(row, {f"{name} of {stack}": _verify(opened, name, yes=yes)})
        else:
            yield Result(
                row, 0, 0, 1, 0.0, f"costs money: ./immutable verify {name} --stack {stack}"
            )


Attempt = Callable[[], object]


def _try_each(name: str, attempts: dict[str, Attempt]) -> Result:
    """Make each attempt, and show what went wrong."""
    console.say(f"== {name}")
    began, failed = time.monotonic(), 0
    for what, attempt in attempts.items():
        try:
            attempt()
            console.say(f"{what}: ok")
        except ImmutableError as error:
            failed += 1
            console.say(f"{what}: {error}")
    note = "" if attempts else "nothing to check"
    return Result(name, len(attempts) - failed, failed, 0, time.monotonic() - began, note)


def _is_good(stack: Opened) -> bool:
    try:
        return bool(stack.settings)
    except ImmutableError:
        return False


def _load(stack: Opened) -> Attempt:
    return lambda: stack.settings


def _check_template(stack: Opened, image: str) -> Attempt:
    def check() -> None:
        settings, place = stack.settings.images[image], stack.place
        version = compute_versions(stack.root, stack.settings, stack.target.architecture)[image]
        order = Order(image, version.version, version.digest, settings, place, None, wanted=False)
        check_image(stack.root, order)

    return check


def _collect(root: Path, checks: Sequence[str], report: Path) -> Attempt:
    return lambda: collect_checks([root / folder for folder in checks], report, project=root)


def _verify(stack: Opened, service: str, *, yes: bool) -> Attempt:
    return lambda: run_verify(stack, service, keep=False, yes=yes)
