"""Declares one generation on a cloud, with resources of its official provider."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import pulumi
from pulumi import Input, Output, ResourceOptions

from immutable_servers.contract.values import Launch, Scope
from immutable_servers.errors import SettingsError
from immutable_servers.resources.outputs import wait_for
from immutable_servers.targets.cloud.fleet import CloudFleet, FleetProvider
from immutable_servers.targets.cloud.graph import CloudGraph

OURS = frozenset({"name", "name_prefix", "region"})
"""Arguments of a launch template that are the program's own on every cloud."""
PASSED = ("scope", "launch", "servers", "balancer", "window_ends")
"""What a generation's fleet gets of its spec as it is."""
OPENING = ("public_key", "window_ends", "inspection_key")
"""What opens servers, in a spec."""

NONE: Mapping[str, str] = {}

Made = TypeVar("Made", bound=pulumi.CustomResource)


class CloudMaker(ABC):
    """Declares one generation's resources, each under the generation's name.

    Attributes:
        fleet: The resource that ends a launch, and `provider` its provider.
        retains: The engine only lets go of them, since something else deletes them.
        title: Their name at the cloud, which `prepare` computes.
        opts: The options of what is declared next.
        depends: What comes before what is declared next.
        spec: What `Generation` says of the servers.
    """

    fleet: ClassVar[type[CloudFleet]]
    provider: ClassVar[type[FleetProvider]]
    retains: ClassVar[bool] = False
    found: Any
    settings: Any
    title: str
    depends: Sequence[pulumi.Resource] = ()
    spec: Mapping[str, Input[Any]]

    def __init__(
        self,
        graph: CloudGraph,
        name: str,
        scope: Scope,
        launch: Launch,
        *,
        frozen: bool,
        opts: ResourceOptions,
    ) -> None:
        self.graph, self.settings, self.found = graph, graph.settings, graph.found
        self.name, self.scope, self.launch = name, scope, launch
        self.frozen, self.opts = frozen, opts

    @abstractmethod
    def prepare(self) -> Sequence[pulumi.CustomResource]:
        """Declare what takes its time before a server can be launched; return what it waits for."""

    def declare(self, spec: Mapping[str, Input[Any]], opts: ResourceOptions) -> CloudFleet:
        """Declare the servers; return what is done when they are healthy."""
        self.spec, self.opts = spec, opts
        passed = {key: spec[key] for key in PASSED}
        inputs = {"settings": self.graph.plain, **self._declare_servers(), **passed}
        return self.fleet(self.provider(), self.name, inputs, frozen=self.frozen, opts=self.opts)

    @abstractmethod
    def _declare_servers(self) -> Mapping[str, Input[Any]]:
        """Declare template and group; return the ids that the fleet is to know, and its own."""

    @property
    def is_there(self) -> bool:
        """Whether the cloud has the generation's group."""
        return self.frozen or self.title in self.found.groups

    def make(
        self,
        kind: Callable[..., Made],
        found: str | None,
        arguments: Mapping[str, Any],
        free: Mapping[str, Any] | None = None,
        *,
        kept: Collection[str] = (),
        stays: bool | None = None,
    ) -> Made:
        """Declare a resource; what exists keeps its arguments, also what a killed run left.

        The engine alone understands `*`; after a refresh a provider compares what is not named.
        https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/diff.go

        Args:
            kind: The provider's class.
            found: The id of what is to be adopted.
            arguments: Those that it keeps.
            free: Those that follow the program; by default nothing does.
            kept: Names of others that it keeps.
            stays: It keeps them; by default when it exists.
        """
        stays = bool(self.frozen or found) if stays is None else stays
        ignore = [*(["*"] if free is None else []), *arguments, *kept]
        opts = self.graph.options(
            self.opts,
            found,
            ignore=ignore if stays else None,
            depends=self.depends,
            retain=self.retains,
        )
        return kind(self.name, opts=opts, **arguments, **(free or {}))

    def wait_for_others(self, value: Output[str]) -> Output[str]:
        """Return a value once the service's generation before this one is declared.

        Both may depend on what no program declares any more, such as the rule of a former port. In
        a run with `--target` the engine writes that with the first of them, and meanwhile takes it
        for written: the second could come before it, in a state that no engine reads.
        https://github.com/pulumi/pulumi/blob/sdk/v3.259.0/pkg/resource/deploy/step_generator.go
        """
        if self.scope.service not in self.graph.last:
            return value
        other = wait_for(self.graph.last[self.scope.service])
        return Output.all(value, other).apply(lambda found: found[0])

    def find_shape(self, render: Callable[[Any, Launch], dict[str, Any]]) -> dict[str, Any]:
        """Return what a server gets from our code; nothing where nobody knows it any more.

        A size that a generation was launched with may have left the settings since.
        """
        try:
            return render(self.settings, self.launch)
        except SettingsError:
            if not self.frozen:
                raise
            return {}

    def render_opening(self, render: Callable[..., str]) -> Output[str]:
        """Return what `render` makes of the login keys and the end of their window."""
        opening = [self.spec.get(key) for key in OPENING]
        return Output.all(*opening).apply(lambda found: render(*found))

    def check_overrides(
        self, arguments: type, ours: frozenset[str], what: str, masked: Mapping[str, str] = NONE
    ) -> Mapping[str, Any]:
        """Return launch arguments that the service passes through.

        Args:
            arguments: The provider's class of all that there are.
            ours: Those that make a generation, beside the common ones.
            what: What they are the arguments of, such as `aws.ec2.LaunchTemplate`.
            masked: Those that do nothing on a server of ours, with what to do instead.

        Raises:
            SettingsError: There is no such argument, it is one that makes a generation, or it
                would do nothing on a fresh one.
        """
        overrides = self.launch.overrides
        known = set(inspect.signature(arguments).parameters)
        wrong = [f"{key} is the program's own" for key in overrides if key in OURS | ours]
        wrong += [f"there is no {key}" for key in overrides if key not in known]
        if not self.frozen:
            wrong += [f"{key}: {masked[key]}" for key in overrides if key in masked]
        if wrong:
            cloud, module, kind = what.lower().split(".")
            guide = f"https://www.pulumi.com/registry/packages/{cloud}/api-docs/{module}/{kind}/"
            raise SettingsError(
                f"launch_overrides cannot be passed to {what}",
                facts=wrong,
                todo=f"Use its arguments in Python's spelling: {guide}",
            )
        return overrides
