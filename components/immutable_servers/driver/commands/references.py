"""Collects who needs an image version: ledgers of every stack that can be asked, the checkout."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from immutable_servers.contract.ownership import Owner
from immutable_servers.driver.engine.outputs import (
    read_file_outputs,
    read_outputs,
    read_state_outputs,
)
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.project.files import list_stacks
from immutable_servers.driver.terminal import console
from immutable_servers.errors import ImmutableError
from immutable_servers.identity import compute_versions
from immutable_servers.images.pruning import Key, References
from immutable_servers.ledger.pin import HeldOff, Pinned
from immutable_servers.ledger.reader import OUTPUT, parse_ledgers
from immutable_servers.ledger.records import ServiceLedger, State
from immutable_servers.state.backend import digest_backend, find_backend, normalize
from immutable_servers.state.claims import is_here


def find_references(stack: Opened) -> References:
    """Return what the checkout's stacks need, and what others with things at the target do.

    A retired generation needs no image: to go back to it is refused once its image is gone.

    Raises:
        ImmutableError: A ledger of this checkout cannot be read: it may name any image.
    """
    stacks = [Opened(stack.root, name) for name in list_stacks(stack.root)]
    users: dict[Key, str] = {}
    for one in stacks:
        users |= _find_versions(one, stack)
    for owner in stack.target.ownership.list_owners():
        users |= _find_in(f"{owner.project}/{owner.stack}", _ask(stack, owner))
    for one in stacks:
        outputs = read_state_outputs(one.root, one.name)
        users |= _find_in(one.name, read_outputs(one.engine) if outputs is None else outputs)
    return References({image for one in stacks for image in _list_images(one)}, users)


def _list_images(stack: Opened) -> Iterator[str]:
    with suppress(ImmutableError):  # its file is wrong: its images stay
        images = stack.values.get("images")
        yield from images if isinstance(images, Mapping) else ()


def _find_versions(stack: Opened, asked: Opened) -> Mapping[Key, str]:
    """Return the versions that the checkout gives a stack on the same target.

    Where they cannot be computed, nothing is launched of them either.
    """
    with suppress(ImmutableError):
        if stack.target_name == asked.target_name:
            found = compute_versions(stack.root, stack.settings, asked.target.architecture)
            why = f"is what the checkout gives {stack.name}"
            return {(image, one.version): why for image, one in found.items()}
    return {}


def _ask(stack: Opened, owner: Owner) -> Mapping[str, Any]:
    """Return the outputs of a stack of another state; empty, with a word, when nobody can."""
    if owner.in_files and is_here(owner):
        found = read_file_outputs(owner.folder, owner.project, owner.stack)
        if found is not None:
            return found
    elif owner.digest == digest_backend(normalize(find_backend(stack.root), stack.root)):
        name = f"{owner.organization}/{owner.project}/{owner.stack}"
        return read_outputs(replace(stack.engine, name=name))
    console.say(
        f"The ledger of {owner.project}/{owner.stack} in {owner.backend} cannot be asked from here:"
        " of its images those stay that a fleet of it is made of"
    )
    return {}


def _find_in(stack: str, outputs: Mapping[str, Any]) -> Mapping[Key, str]:
    """Return what a stack's ledgers need, each with the first generation that does."""
    found: dict[Key, str] = {}
    for service, ledger in parse_ledgers(outputs.get(OUTPUT)).items():
        pinned = _list_pinned(ledger)
        for record in ledger.generations.values():
            if record.state is not State.RETIRED or record.generation in pinned:
                why = f"{stack}: {service}-{record.generation} is made of it"
                found |= dict.fromkeys(record.images.items(), why)
    return found


def _list_pinned(ledger: ServiceLedger) -> set[str]:
    """Return the generations that a pin goes back to; a run may have to launch them again."""
    pin = ledger.pin
    if isinstance(pin, Pinned):
        return {pin.generation, pin.again or ""}
    return {pin.instead or ""} if isinstance(pin, HeldOff) else set()
