"""What every target offers: its settings, and six roles with the same methods everywhere.

A target is constructed from its settings alone (`Target(settings)`), so that the program, a dynamic
provider and the driver each make their own from the plain values that resources carry. It keeps
nothing between calls, unless `ask_once` says so. Nothing here imports Pulumi at run time: the graph
receives resource options and returns resources.
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
from immutable_servers.contract.location import Location
from immutable_servers.contract.needs import Needs
from immutable_servers.contract.ownership import Owner, Ownership
from immutable_servers.contract.readiness import Readiness
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
    has_reserved_ips: ClassVar[bool] = False
    """A service with one server can do without a balancer: an address moves from server to server.
    Elsewhere such a route is refused."""
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
    consoles_command: ClassVar[str] = ""
    """The command of such a tool that shows what a running server has printed."""
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
    readiness: Readiness

    @abstractmethod
    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the plain values of `settings_model` and make the roles; touch nothing."""

    def ask_once(self) -> None:  # noqa: B027 - what is on this machine is asked at no cost
        """Ask the same question once from now on, until something is changed through this target.

        For a program, and for a command that shows or plans: they look, within seconds, before they
        or others change anything. Called again, it begins anew.
        """

    @abstractmethod
    def find_location(self, *, ask: bool = True) -> Location:
        """Return where servers are: what another place differs in, and nothing else.

        Without `ask` the target is not asked, and what only it knows is left out.

        Raises:
            ImmutableError: The target cannot be asked.
        """

    def find_credentials_end(self) -> float | None:
        """Return when this run's credentials end for good, in seconds since the epoch.

        None where there are none, where they are renewed as long as a run takes, and where nobody
        says when they end.
        """
        return None

    @abstractmethod
    def resolve_size(self, size: str) -> dict[str, Any]:
        """Return what a size means here.

        Raises:
            SettingsError: Neither small, medium, large nor the target's own word.
        """

    def check_env(self, env: Mapping[str, str]) -> None:  # noqa: B027 - elsewhere any env fits
        """Refuse an `env` that a server's launch data or its generation's record cannot carry.

        Raises:
            SettingsError: It is too large; the facts say by how much.
        """

    def find_misfits(self, servers: Mapping[str, int]) -> Mapping[str, str]:
        """Return what own settings say that the services do not fit: the rule by path.

        `servers` is the number of each service's. Not abstract: most settings name no service.
        """
        del servers
        return {}

    @abstractmethod
    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Return what our code gives a server at launch: plain values, digested into the id."""

    def refuse_launch(self, scope: Scope, launch: Launch) -> None:  # noqa: B027 - most refuse at once
        """Refuse servers that the target could not make, which it would only say after a bake.

        Asked before anything is baked, and only of generations whose servers this run launches.

        Raises:
            SettingsError: What they need is not there.
        """

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
