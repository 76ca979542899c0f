"""Lists the parts that a run needs on the machine: the engine's, and those of a stack's target."""

import os
import sys
from collections.abc import Iterator, Sequence

from immutable_servers.contract.needs import (
    DebianPackage,
    Need,
    Needs,
    PackerPlugin,
    PythonPackages,
)
from immutable_servers.driver.setup import debian, packer, python
from immutable_servers.driver.setup.packer import PACKER
from immutable_servers.driver.setup.parts import Part
from immutable_servers.driver.setup.pulumi import HOST_PART, PULUMI
from immutable_servers.errors import SettingsError, SetupError
from immutable_servers.targets import find_target_class

GIT = debian.make_part(DebianPackage("git", brings="git", size="40 MB", seconds=60))
"""Says which files count in a version."""
ENGINE: Sequence[Part] = (PULUMI, HOST_PART, GIT)
"""What every run of the engine needs."""


def list_parts(target: str, *, acts: bool) -> Sequence[Part]:
    """Return the parts for a stack on `target`; only a run that `acts` needs what boots machines.

    Raises:
        SetupError: The run would start machines on a system on which the target cannot.
    """
    needs = find_needs(target)
    works = needs.platform in ("", sys.platform)
    if acts and not works:
        system = needs.platform.capitalize()
        raise SetupError(
            f"The {target} target runs on {system} only",
            facts=[f"This is {sys.platform}"],
            todo=f"Previews and stacks on a cloud work here; for the {target} target take a"
            f" {system} machine.",
        )
    own = _make_parts(needs.acting) if works else ()
    return (*ENGINE, PACKER, *(part for part in own if acts or not part.package))


def list_asking_parts(target: str) -> Sequence[Part]:
    """Return the parts for a run that neither bakes nor launches."""
    return (*ENGINE, *_make_parts(find_needs(target).asking))


def list_sdk_parts(target: str) -> Sequence[Part]:
    """Return the Python packages by which a target is asked."""
    needs = find_needs(target).asking
    return tuple(_make_parts([one for one in needs if isinstance(one, PythonPackages)]))


def list_upstream_parts(target: str) -> Sequence[Part]:
    """Return the parts for `update`, which needs no engine."""
    return tuple(_make_parts(find_needs(target).upstream))


def find_needs(target: str) -> Needs:
    """Return what a target needs; nothing for a name that is no target's.

    That mistake is reported later, with the others of the stack's file.
    """
    try:
        return find_target_class(target).needs
    except SettingsError:
        return Needs()


def _make_parts(needs: Sequence[Need]) -> Iterator[Part]:
    for need in needs:
        if isinstance(need, DebianPackage):
            if not need.rootless or os.geteuid() != 0:
                yield debian.make_part(need)
        elif isinstance(need, PackerPlugin):
            yield packer.make_plugin_part(need)
        else:
            yield python.make_part(need)
