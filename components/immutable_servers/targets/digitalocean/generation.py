"""Declares a generation: its droplets side by side, and what waits for them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_digitalocean as digitalocean
from pulumi import Input, Output, ResourceOptions

from immutable_servers.targets.cloud.generation import CloudMaker
from immutable_servers.targets.digitalocean import template
from immutable_servers.targets.digitalocean.access import find_host_key
from immutable_servers.targets.digitalocean.found import Found
from immutable_servers.targets.digitalocean.graph import BalancerGraph
from immutable_servers.targets.digitalocean.names import (
    list_tags,
    name_server,
    tag_count,
    tag_window,
)
from immutable_servers.targets.digitalocean.resources import (
    DoFleet,
    DoFleetProvider,
    DoGeneration,
    DoGenerationProvider,
)
from immutable_servers.targets.digitalocean.settings import DoSettings

LISTS = ("tags", "sshKeys", "volumeIds")
"""Lists of a droplet: a refresh stores them cut to what the program said, and an update then takes
off what we have added, such as the live tag. The engine alone understands `*`.
https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/diff.go"""
AT_ONCE = 4
"""Droplets of a generation that are made side by side: DigitalOcean makes ten at a time, and other
services, a bake or a probe have theirs.
https://docs.digitalocean.com/products/droplets/details/limits/"""

ACTIVE_WITHIN = "15m"
"""How long a droplet may take until it is active. The provider would wait for an hour."""


class DoMaker(CloudMaker):
    """Declares the droplets of one generation.

    The engine forgets them when they go; `DoGeneration`, which comes first and so goes last, has
    them deleted.
    """

    fleet, provider = DoFleet, DoFleetProvider
    graph: BalancerGraph
    found: Found
    settings: DoSettings

    def prepare(self) -> Sequence[pulumi.CustomResource]:
        """Declare that the service's firewall is there before a droplet is."""
        end = self.graph.declare_way(self.scope, self.launch, frozen=self.frozen)
        way, scope = self.wait_for_others(end.id), self.scope.to_plain()
        inputs = {"settings": self.graph.plain, "scope": scope, "way": way}
        opts = ResourceOptions.merge(self.opts, ResourceOptions(depends_on=[end]))
        own = DoGeneration(DoGenerationProvider(), self.name, inputs, opts)
        self.depends = [own]
        return [own]

    def _declare_servers(self) -> Mapping[str, Input[Any]]:
        arguments = self._describe_droplet()
        count: Any = self.spec["servers"]
        droplets: list[digitalocean.Droplet] = []
        for number in range(1, count + 1):
            before = droplets[-AT_ONCE:][:1] if number > AT_ONCE else []
            droplets.append(self._declare_droplet(number, arguments, before))
        return {"droplets": [one.id for one in droplets]}

    def _describe_droplet(self) -> dict[str, Any]:
        """Return what all droplets of the generation have alike."""
        unknown = {"size": self.launch.size, "region": self.settings.region}
        shape = self.find_shape(template.render_shape) or unknown
        overrides = self.check_overrides(
            digitalocean.DropletArgs, template.OURS, "digitalocean.index.Droplet"
        )
        said = Output.all(self.spec["record"], self.spec["servers"], self.spec.get("window_ends"))
        artifact = Output.from_input(self.spec["artifact"])
        return {
            **shape,
            **overrides,
            # Packer's id of a snapshot begins with the region of its bake.
            "image": artifact.apply(lambda found: str(found).rpartition(":")[2]),
            "tags": said.apply(lambda found: self._list_tags(*found)),
        }

    def _declare_droplet(
        self, number: int, alike: Mapping[str, Any], before: Sequence[pulumi.Resource]
    ) -> digitalocean.Droplet:
        """Declare a droplet; one that exists is never resized, renamed or made again.

        One that is added to a generation that was launched and sealed before boots sealed.
        """
        name = name_server(self.scope, number)
        found = self.found.find_droplet(self.scope, name)
        arguments = {"name": name, **alike, "user_data": self._render_user_data(name)}
        waiting = pulumi.CustomTimeouts(create=ACTIVE_WITHIN)
        opts = ResourceOptions.merge(self.opts, ResourceOptions(custom_timeouts=waiting))
        ignore, depends = ["*", *LISTS] if found else None, [*self.depends, *before]
        opts = self.graph.options(opts, found, ignore=ignore, depends=depends, retain=True)
        return digitalocean.Droplet(name, opts=opts, **arguments)

    def _render_user_data(self, server: str) -> Input[str]:
        scope, launch = self.scope, self.launch
        if not self.is_open:
            return template.render_sealed(scope, launch, server)

        def render(key: str | None, ends: int | None, people: str | None) -> str:
            host_key = find_host_key(scope)
            return template.render_open(scope, launch, server, key, ends, people, host_key)

        return Output.secret(self.render_opening(render))  # the host key in it is private

    def _list_tags(self, record: Mapping[str, Any], servers: int, end: int | None) -> list[str]:
        window = [tag_window(self.scope, int(end))] if self.is_open and end else []
        return [*list_tags(self.scope, record), tag_count(self.scope, servers), *window]

    @property
    def is_open(self) -> bool:
        """Whether the generation is not sealed yet: it is fresh, or a run was killed before."""
        return not self.frozen or self.found.is_open(self.scope)


class DoGraph(BalancerGraph):
    """The resources of a stack, declared in one run of the program."""

    maker = DoMaker
