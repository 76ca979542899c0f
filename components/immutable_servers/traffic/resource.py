"""`Traffic <service>`: points the balancer to a verified generation whose servers all answer.

The state can be one step behind: a run that died after the move left it so. What serves is
therefore read from the balancer in every diff, and compared with the wish.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Input, Output, ResourceOptions

from immutable_servers.contract.front import Front
from immutable_servers.resources.declared import find_declared
from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedProvider, PlacedResource, Site
from immutable_servers.traffic.canary import read_canary
from immutable_servers.traffic.move import Verified, move_traffic


class TrafficProvider(PlacedProvider):
    """Moves the pointer; a wish for nobody (a failed candidate) leaves it where it is."""

    phase = "traffic"
    needs = ("generation", "retirements", "shares")

    def _find_drift(
        self, site: Site, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> Sequence[str]:
        """Compare the wish with the balancer, not with the last run."""
        wish = news["generation"]
        balancer = site.target.balancer
        if not wish or has_failed(olds, news):  # It stays; the last run may have died after a move.
            stays = olds.get("live") == balancer.find_live(site.scope)
        elif olds.get("live") != wish or olds.get("tried") == wish:
            return ("generation",)
        else:
            stays = balancer.is_pointing(site.place.at(wish).scope)
        return () if stays and balancer.is_released(site.scope) else ("live",)

    def _create(self, site: Site, props: dict[str, Any]) -> dict[str, Any]:
        """Point the service for the first time."""
        return _point(site, {}, props)

    def _update(self, site: Site, olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
        """Move the pointer, or set it back to what was wished."""
        return _point(site, olds, news)

    def _delete(self, site: Site, _props: dict[str, Any]) -> None:
        """Point the service nowhere, so that its generations can go.

        A run that declares the service has another resource with this pointer: its replacement, or
        one under the service's name, where somebody gave this one another name in the state.
        """
        if site.scope.service in find_declared().services:
            site.say("stays: another resource has the pointer now")
            return
        site.target.balancer.set_traffic(site.scope, {})


def has_failed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether the wished generation had traffic already, and lost it by its faults.

    It gets none a second time: that would send users to known errors with every run. Another
    `canary` in the settings is another question.
    """
    lost = olds.get("tried") == news["generation"] and olds.get("live") != news["generation"]
    # Runs for another generation have other settings; an earlier program kept the last run's alone.
    asked = olds.get("tried_canary") or olds.get("canary")
    return lost and asked == news.get("canary")


def _point(site: Site, olds: Mapping[str, Any], props: dict[str, Any]) -> dict[str, Any]:
    wish, before = props["generation"], olds.get("live") or ""
    fault, tried = str(olds.get("fault") or ""), str(olds.get("tried") or "")
    found, asked = "", olds.get("tried_canary")
    if wish and not has_failed(olds, props):
        # Who had the traffic when the last run ended is not on trial, unless its trial had begun.
        trial = None if wish == before != tried else read_canary(props.get("canary"))
        verified = Verified(site.place.at(wish), int(props.get("verified_launch") or 0))
        found = move_traffic(verified, Front.from_plain(props["front"]), trial, before, site.say)
        if found or tried == wish:
            fault, tried = found, wish if found else ""
            asked = props.get("canary") if found else None
    if not found:  # who has just got its traffic back is let go by the next run
        site.target.balancer.release(site.scope)
    live = site.target.balancer.find_live(site.scope)
    site.say(_describe(wish, before, live))
    return {**props, "live": live, "tried": tried, "fault": fault, "tried_canary": asked}


def _describe(wish: str, before: str, live: str) -> str:
    moved = live == wish != before
    return f"{'moved to' if moved else 'stays at'} generation {live}" if live else "points nowhere"


class Traffic(PlacedResource, module="immutable-servers", name="Traffic"):
    """A service's pointer at the balancer.

    Attributes:
        live: The generation that has the traffic after the run, empty when none has.
        tried: The last generation that showed faults under traffic, empty for none.
        fault: What these are.
    """

    live: Output[str]
    tried: Output[str]
    fault: Output[str]

    def __init__(
        self,
        service: str,
        place: Place,
        generation: Input[str],
        verified_launch: Input[int],
        retirements: Sequence[Input[str]],
        shares: Input[str],
        front: Mapping[str, Any],
        canary: Mapping[str, Any] | None,
        opts: ResourceOptions,
    ) -> None:
        """Register under the service's name.

        Args:
            service: The service's name.
            place: The service's place.
            generation: What the generation's verification and seal let through: its id when it
                passed and is sealed, else empty.
            verified_launch: When the servers were launched that it looked at, as the target has it.
            retirements: Ids of every declared generation's retirement, so that a destroy takes
                the traffic away first.
            shares: The id of the service's `Shares`, which come first.
            front: How the service's address is asked: the plain form of `Front`. Another one is no
                reason to move.
            canary: The fields of `Canary`, None to move all at once.
            opts: The resource's options.
        """
        inputs = {
            "generation": generation,
            "verified_launch": verified_launch,
            "retirements": retirements,
            "shares": shares,
            "front": {**front},
            "canary": canary,
        }
        outputs = ("live", "tried", "fault")
        super().__init__(TrafficProvider(), service, place, inputs, outputs, opts)
