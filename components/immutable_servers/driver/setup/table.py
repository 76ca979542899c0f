"""Which parts each target needs: equal siblings, one table."""

import sys
from collections.abc import Callable, Mapping, Sequence

from immutable_servers.driver.setup.debian import list_archive_packages, list_packages
from immutable_servers.driver.setup.packer import AMAZON_PLUGIN, PACKER, QEMU_PLUGIN
from immutable_servers.driver.setup.parts import Part
from immutable_servers.driver.setup.pulumi import HOST_PART, PULUMI
from immutable_servers.driver.setup.python import AWS_PACKAGES
from immutable_servers.errors import SetupError

ENGINE: Sequence[Part] = (PULUMI, HOST_PART)
"""What every run of the engine needs."""


def _list_aws() -> Sequence[Part]:
    return (AWS_PACKAGES, AMAZON_PLUGIN)


def _list_local() -> Sequence[Part]:
    return (*list_packages(), QEMU_PLUGIN)


TARGET_PARTS: Mapping[str, Callable[[], Sequence[Part]]] = {
    "aws": _list_aws,
    "local": _list_local,
}
"""What a target needs beside the engine and Packer; a target that is not named needs nothing."""


ASKING_PARTS: Mapping[str, Callable[[], Sequence[Part]]] = {
    "aws": lambda: (AWS_PACKAGES,),
}
"""What it takes to ask a target what exists and serves, and to delete it."""

UPSTREAM_PARTS: Mapping[str, Callable[[], Sequence[Part]]] = {
    "aws": lambda: (AWS_PACKAGES,),
    "local": list_archive_packages,
}
"""What it takes to look for what images start from on a target."""


def list_asking_parts(target: str) -> Sequence[Part]:
    """Return the parts for a run that neither bakes nor launches."""
    return (*ENGINE, *ASKING_PARTS.get(target, tuple)())


def list_upstream_parts(target: str) -> Sequence[Part]:
    """Return the parts for `update`, which needs no engine."""
    return UPSTREAM_PARTS.get(target, tuple)()


def list_parts(target: str, *, acts: bool) -> Sequence[Part]:
    """Return the parts for a stack on `target`; only a run that `acts` needs what boots machines.

    Raises:
        SetupError: The run would start machines on a system that is not Linux.
    """
    if target == "local" and acts and sys.platform != "linux":
        raise SetupError(
            "The local target runs on Linux only",
            facts=[f"This is {sys.platform}"],
            todo="Previews and stacks on a cloud work here; for the local target take a Linux"
            " machine.",
        )
    works = sys.platform == "linux" or target != "local"
    own = TARGET_PARTS.get(target, tuple)() if works else ()
    return (*ENGINE, PACKER, *(part for part in own if acts or not part.package))
