"""`Traffic <service>`: points the balancer to a verified generation whose servers all answer.

The state can be one step behind: a run that died after the move left it so. What serves is
therefore read from the balancer in every diff, and compared with the wish.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Input, Output, ResourceOptions, dynamic

from immutable_servers.context import Place, read_place
from immutable_servers.dynamic import Provider, Resource
from immutable_servers.errors import TrafficError
from immutable_servers.health import wait_until_healthy
from immutable_servers.progress import start_saying
from immutable_servers.targets.contract import Launch, Say, Target
from immutable_servers.traffic.canary import ALL, Canary, read_canary, try_canary

HEALTH_DEADLINE = 60.0
"""How long a generation may take to answer before traffic would move to it, in seconds."""


def move_traffic(place: Place, launch: Launch, canary: Canary | None, say: Say) -> bool:
    """Point the service to the place's generation, unless it is there already.

    Health of every server is asked in the same step, before a canary too. Returns whether traffic
    moved.

    Raises:
        TrafficError: A server does not answer, the canary failed, or the balancer did not do as
            asked; traffic stays.
    """
    target = place.load()
    if is_pointing(target, place):
        return False
    sick = wait_until_healthy(place, launch, HEALTH_DEADLINE)
    if sick:
        raise TrafficError(
            f"Traffic of {place.scope.service} stays: generation {place.scope.generation} is not"
            " healthy",
            facts=[f"{health.server}: {health.detail}" for health in sick],
            todo="Look at the server's console log, then run `./immutable up` again.",
        )
    live = find_live(target, place)
    if canary and live and live != place.scope.generation:
        try_canary(place, live, canary, say)
    target.set_traffic(place.scope, {place.scope.generation: ALL})
    return True


def find_live(target: Target, place: Place) -> str:
    """Return the generation with the most traffic, empty when there is none."""
    weights = target.find_traffic(place.scope)
    return max(weights, key=lambda generation: weights[generation], default="")


def is_pointing(target: Target, place: Place) -> bool:
    """Tell whether the balancer sends all traffic to the place's generation."""
    return dict(target.find_traffic(place.scope)) == {place.scope.generation: ALL}


class TrafficProvider(Provider):
    """Moves the pointer; a wish for nobody (a failed candidate) leaves it where it is."""

    needs = ("generation", "retirements")

    def find_drift(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> Sequence[str]:
        """Compare the wish with the balancer, not with the last run."""
        wish = news["generation"]
        if not wish:
            return ()
        if olds.get("live") != wish:
            return ("generation",)
        place = read_place(news).at(wish)
        return () if is_pointing(place.load(), place) else ("live",)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Point the service for the first time."""
        self.require(props)
        return dynamic.CreateResult(read_place(props).scope.name, _point(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Move the pointer, or set it back to what was wished."""
        return dynamic.UpdateResult(_point(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Point the service nowhere, so that its generations can go."""
        place = read_place(props)
        place.load().set_traffic(place.scope, {})


def _point(props: dict[str, Any]) -> dict[str, Any]:
    service = read_place(props)
    wish = props["generation"]
    say = start_saying("traffic", service.scope)
    if wish:
        launch, canary = Launch.from_plain(props["launch"]), read_canary(props.get("canary"))
        moved = move_traffic(service.at(wish), launch, canary, say)
        say(f"{'moved to' if moved else 'stays at'} generation {wish}")
        return {**props, "live": wish}
    live = find_live(service.load(), service)
    say(f"stays at generation {live}" if live else "points nowhere")
    return {**props, "live": live}


class Traffic(Resource, module="immutable-servers", name="Traffic"):
    """A service's pointer at the balancer.

    Attributes:
        live: The generation that has the traffic after the run, empty when none has.
    """

    live: Output[str]

    def __init__(
        self,
        service: str,
        place: Place,
        generation: Input[str],
        launch: Mapping[str, Any],
        retirements: Sequence[Input[str]],
        canary: Mapping[str, Any] | None,
        opts: ResourceOptions,
    ) -> None:
        """Register under the service's name.

        Args:
            service: The service's name.
            place: The service's place.
            generation: What the generation's verification and seal let through: its id when it
                passed and is sealed, else empty.
            launch: The generation's launch spec, for the health check.
            retirements: Ids of every declared generation's retirement, so that a destroy takes
                the traffic away first.
            canary: The fields of `Canary`, None to move all at once.
            opts: The resource's options.
        """
        inputs = {
            **place.to_inputs(),
            "generation": generation,
            "launch": launch,
            "retirements": retirements,
            "canary": canary,
        }
        super().__init__(TrafficProvider(), service, inputs, ("live",), opts)
