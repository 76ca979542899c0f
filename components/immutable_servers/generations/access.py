"""`Access <generation>`: the login key of a candidate and the window in which it is good."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Output, ResourceOptions, dynamic

from immutable_servers.resources.dynamic import Provider, Resource
from immutable_servers.targets.place import Place, read_place

WINDOW = 30 * 60
"""How long a generation's login window is open after its launch, in seconds."""


class AccessProvider(Provider):
    """Has the target make the key and keep it: the private key never enters the state."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Make the key, or find the one of a launch that was killed."""
        return dynamic.CreateResult(read_place(props).scope.name, _open_window(props))

    def find_drift(self, _olds: Mapping[str, Any], news: Mapping[str, Any]) -> Sequence[str]:
        """Ask for the key again while there is no fleet: what a dead run has left is tidied away.

        A fleet that is launched later would have a public key that fits nobody's.
        """
        place = read_place(news)
        fleets = place.load().find_fleets(place.scope)
        return () if place.scope.generation in fleets else ("public_key",)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Make the key, or find it, and open the window anew."""
        return dynamic.UpdateResult(_open_window(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete what is left of the key."""
        place = read_place(props)
        place.load().delete_key(place.scope)


def _open_window(props: dict[str, Any]) -> dict[str, Any]:
    place = read_place(props)
    public_key = place.load().make_key(place.scope)
    return {**props, "public_key": public_key, "window_ends": int(time.time()) + WINDOW}


class Access(Resource, module="immutable-servers", name="Access"):
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
        super().__init__(AccessProvider(), name, place.to_inputs(), outputs, opts)

    @property
    def launched_at(self) -> Output[int]:
        """When the window opened, in seconds since the epoch; 0 in a run that leaves it out."""
        return self.window_ends.apply(lambda ends: int(ends) - WINDOW if ends else 0)
