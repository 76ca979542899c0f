"""What every target offers: its settings, and five roles with the same methods everywhere.

A target is constructed from its settings alone (`Target(settings)`), so that the program, a dynamic
provider and the driver each make their own from the plain values that resources carry. It keeps
nothing between calls. Nothing here imports Pulumi at run time: the graph receives resource options
and returns resources.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from immutable_servers.contract.access import Access
from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.fleets import Fleets
from immutable_servers.contract.graph import Graph
from immutable_servers.contract.images import Images
from immutable_servers.contract.needs import Needs
from immutable_servers.contract.ownership import Owner, Ownership
from immutable_servers.contract.values import Launch, Scope

if TYPE_CHECKING:
    from pydantic import BaseModel


class Target(ABC):
    """Where it all runs."""

    name: ClassVar[str]
    settings_model: ClassVar[type["BaseModel"]]
    """The target's own settings, under its name in the stack file."""
    can_weigh: ClassVar[bool] = True
    """Its balancer splits traffic by weight and counts each generation's answers: what a canary
    needs. A target that cannot says so here, and the setting is refused."""
    takes_overrides: ClassVar[bool] = True
    """It has launch arguments of its own, for `launch_overrides`. Where it has none the setting is
    refused."""
    costs_money: ClassVar[bool] = True
    """Servers are paid for, so that what launches or deletes some asks first."""
    answers_within: ClassVar[float] = 60.0
    """How long the servers of a launched fleet may take to answer before they are checked, and
    before they get traffic, in seconds: a balancer's own checks need some to see them."""
    keep_for: ClassVar[float | None] = 24 * 3600.0
    """How long a standby is kept where the settings do not say, in seconds: a server that serves
    nobody costs money. None is without a limit."""

    needs: ClassVar[Needs] = Needs()
    """What a run needs on the machine; known before the target's own SDK is installed."""
    consoles_hint: ClassVar[str] = ""
    """What to do when a console is not found; empty for a target whose own tools show them."""
    packer_source: ClassVar[Path | None] = None
    """File with the Packer variables, plugin and `source` block of a bake here, staged beside the
    templates of images that declare no source (`images/staging.py`). Without it each image's
    `<target>.pkr.hcl` brings them."""

    architecture: str
    """The lock's key beside the target's name, such as `x86_64`."""
    images: Images
    fleets: Fleets
    balancer: Balancer
    access: Access
    ownership: Ownership

    @abstractmethod
    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the plain values of `settings_model` and make the roles; touch nothing."""

    @abstractmethod
    def resolve_size(self, size: str) -> dict[str, Any]:
        """Return what a size means here.

        Raises:
            SettingsError: Neither small, medium, large nor the target's own word.
        """

    @abstractmethod
    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Return what our code gives a server at launch: plain values, digested into the id."""

    @abstractmethod
    def start_graph(self, scope: Scope, owner: Owner) -> Graph:
        """Return what declares a stack's resources in this run.

        Args:
            scope: The stack's.
            owner: This run's state, for a target that records it when the balancer is first made.
        """

    @classmethod
    def describe_machine(cls) -> Sequence[tuple[str, str, str]]:
        """Return lines of `doctor` on this machine: what, the answer, and its place.

        Not abstract: a target that runs nothing here has none.
        """
        return ()
