"""What every cloud target needs on the machine: its SDK, and Packer's plugin for bakes."""

from collections.abc import Sequence

from immutable_servers.contract.needs import Needs, PackerPlugin, PythonPackages


def make_needs(sdk: PythonPackages, plugin: PackerPlugin, variables: Sequence[str]) -> Needs:
    """Return the needs of a target that is asked by its SDK, whatever a run does with it."""
    return Needs((sdk, plugin), asking=(sdk,), upstream=(sdk,), variables=(*variables,))
