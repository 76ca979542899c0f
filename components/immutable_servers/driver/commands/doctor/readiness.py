"""Asks a stack's target what it has for all that the stack wants; makes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from immutable_servers.contract.readiness import Demand, Finding, ServiceDemand
from immutable_servers.driver.opened import Opened
from immutable_servers.errors import SettingsError
from immutable_servers.identity.inputs import read_lock_entry
from immutable_servers.planning.wish import find_chain, make_launch, make_routes


def find_readiness(stack: Opened) -> Sequence[Finding]:
    """Return the lines of a stack's target, and of what the locks lack.

    Raises:
        SettingsError: The stack's file is wrong.
    """
    starts: dict[str, Mapping[str, Any]] = {}
    lacking = list(_read_starts(stack, starts))
    return [*stack.target.readiness.find_readiness(make_demand(stack, starts)), *lacking]


def make_demand(stack: Opened, starts: Mapping[str, Mapping[str, Any]]) -> Demand:
    """Return what a stack wants as a whole, by its settings."""
    services = {
        name: ServiceDemand(make_launch(one), one.servers, one.keep)
        for name, one in stack.settings.services.items()
    }
    return Demand(stack.scope, make_routes(stack.settings), services, starts)


def _read_starts(stack: Opened, starts: dict[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Fill in the locks' entries of the images that services need; yield a line for one lacking."""
    settings, target = stack.settings, stack.target
    roots = {find_chain(settings, one.image)[-1] for one in settings.services.values()}
    for image in sorted(roots):
        template = stack.root / "packer" / image
        of_image = settings.images[image]
        try:
            starts[image] = read_lock_entry(template, of_image, target.name, target.architecture)
        except SettingsError as error:
            said = "; ".join([error.what, *error.facts])
            todo = f"Run ./immutable update {image} --stack {stack.name}."
            yield Finding(f"lock of {image}", "not ok", said, todo)
