"""`Access <generation>`: the login key of a candidate and the window in which it is good."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Output, ResourceOptions

from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedProvider, PlacedResource, Site


class AccessProvider(PlacedProvider):
    """Lets the target make and keep the key: the private key never enters the state."""

    def _create(self, site: Site, props: dict[str, Any]) -> dict[str, Any]:
        """Make the key, or find the one of a launch that was killed, and open the window."""
        public_key = site.target.access.make_key(site.scope)
        return {**props, "public_key": public_key, "window_ends": int(time.time()) + LOGIN_WINDOW}

    def _find_drift(
        self, site: Site, _olds: Mapping[str, Any], _news: Mapping[str, Any]
    ) -> Sequence[str]:
        """Ask for the key again while there is no fleet: the key of a dead run is tidied away.

        A fleet that is launched later would otherwise have a public key that fits no private one.
        """
        fleets = site.target.fleets.find(site.scope)
        return () if site.scope.generation in fleets else ("public_key",)

    def _delete(self, site: Site, _props: dict[str, Any]) -> None:
        """Delete what is left of the key."""
        site.target.access.delete_key(site.scope)


class Access(PlacedResource, module="immutable-servers", name="Access"):
    """A generation's login key and window.

    Attributes:
        public_key: OpenSSH public key.
        window_ends: Seconds since the epoch.
    """

    public_key: Output[str]
    window_ends: Output[int]

    def __init__(self, name: str, place: Place, opts: ResourceOptions) -> None:
        """Register under the generation's name."""
        outputs = ("public_key", "window_ends")
        super().__init__(AccessProvider(), name, place, {}, outputs, opts)

    @property
    def launched_at(self) -> Output[int]:
        """When the window opened, in seconds since the epoch; 0 in a run that leaves it out."""
        return self.window_ends.apply(lambda ends: int(ends) - LOGIN_WINDOW if ends else 0)
