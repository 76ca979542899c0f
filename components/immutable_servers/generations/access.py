"""`Access <generation>`: the login keys of a candidate and the window in which they are good."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Input, Output, ResourceOptions

from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedProvider, PlacedResource, Site


class AccessProvider(PlacedProvider):
    """Lets the target make and keep the keys: a private key never enters the state."""

    def _create(self, site: Site, props: dict[str, Any]) -> dict[str, Any]:
        """Make the keys, or find those of a launch that was killed, and open the window.

        Servers of a killed launch keep the window that they were launched with. Where there is no
        key to them the state has lost this resource, and another window has them verified again.
        """
        killed = site.target.access.has_keys(site.scope)
        # People's first: a verifier's key alone is one that an earlier program gave out.
        inspection_key = site.target.access.make_inspection_key(site.scope)
        public_key = site.target.access.make_key(site.scope)
        fleets = site.target.fleets.find(site.scope) if killed else {}
        fleet = fleets.get(site.scope.generation)
        launched = int(fleet.record.get("window_ends") or 0) if fleet else 0
        return {
            **props,
            "public_key": public_key,
            "window_ends": launched or int(time.time()) + LOGIN_WINDOW,
            "inspection_key": inspection_key,
        }

    def _find_drift(
        self, site: Site, _olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> Sequence[str]:
        """Ask for the key again while there is no fleet: the key of a dead run is tidied away.

        A fleet that is launched later would otherwise have a public key that fits no private one.
        Of a generation whose fleet the plan has found already, nothing is asked.
        """
        if news.get("launched"):
            return ()
        fleets = site.target.fleets.find(site.scope)
        return () if site.scope.generation in fleets else ("public_key",)

    def _delete(self, site: Site, _props: dict[str, Any]) -> None:
        """Delete what is left of the key."""
        site.target.access.delete_key(site.scope)


class Access(PlacedResource, module="immutable-servers", name="Access"):
    """A generation's login keys and window, made when all is there that its servers need.

    Attributes:
        public_key: OpenSSH public key of the verifier.
        window_ends: Seconds since the epoch.
        inspection_key: OpenSSH public key of people who look at a failed candidate.
    """

    public_key: Output[str]
    window_ends: Output[int]
    inspection_key: Output[str]

    def __init__(
        self,
        name: str,
        place: Place,
        artifact: Input[str],
        needed: Sequence[Input[str]],
        opts: ResourceOptions,
        *,
        launched: bool,
    ) -> None:
        """Register under the generation's name, once all is there that its launch needs.

        No diff compares `artifact`, nor `needed`, the ids of what is made for the fleet before:
        they are inputs so that none of their time is in the window, and that no window opens in a
        run that leaves one of them out. `launched` says that the plan has found the fleet.
        """
        inputs = {"artifact": artifact, "needed": needed, "launched": launched}
        outputs = ("public_key", "window_ends", "inspection_key")
        if launched:  # it keeps the inputs of its launch, but for that word
            frozen = ResourceOptions(ignore_changes=["artifact", "needed", "place"])
            opts = ResourceOptions.merge(opts, frozen)
        super().__init__(AccessProvider(), name, place, inputs, outputs, opts)

    @property
    def launched_at(self) -> Output[int]:
        """When the window opened, in seconds since the epoch; 0 in a run that leaves it out."""
        return self.window_ends.apply(lambda ends: int(ends) - LOGIN_WINDOW if ends else 0)
