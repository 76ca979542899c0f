"""A cloud's balancer: weights that point to what generations have, and a name that leads to it."""

from abc import abstractmethod
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import ceil
from typing import ClassVar

from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.values import ALL, Route, Scope
from immutable_servers.errors import TrafficError

PORTS = {"http": 80, "https": 443}
"""Ports that a URL does not have to name."""


class CloudBalancer(Balancer):
    """A stack's load balancer in an account where others have things, too.

    Attributes:
        pointed: What somebody may change by hand, such as `listener`.
        scheme: `http` or `https`.
        shared_port: The port of services by host name.
    """

    pointed: ClassVar[str]

    def __init__(self, protocol: str, shared_port: int) -> None:
        self.scheme, self.shared_port = protocol.lower(), shared_port

    @abstractmethod
    def _read_pointers(self, scope: Scope) -> Sequence[Mapping[str, int]]:
        """Return where each pointer of a service leads: weights by names."""

    @abstractmethod
    def _find_generation(self, scope: Scope, name: str) -> str:
        """Return the generation that a name is of, empty when it is none of the service's."""

    @abstractmethod
    def _find_name(self, scope: Scope) -> str:
        """Return the name or address of a service's balancer, or of its stack's; empty without."""

    def find_weights(self, scope: Scope) -> Mapping[str, int]:
        """Ask the service's pointer; while its route changes it may have two.

        Two agree, or both are to be set. What leads to no generation of the service is an error:
        somebody else points it.
        """
        read = [self._read_percents(scope, one) for one in self._read_pointers(scope)]
        return {
            generation: ceil(sum(one.get(generation, 0) for one in read) / len(read))
            for generation in dict.fromkeys(chain(*read))
        }

    def _read_percents(self, scope: Scope, weights: Mapping[str, int]) -> Mapping[str, int]:
        whole, service = sum(weights.values()), replace(scope, generation="")
        found: dict[str, int] = {}
        for name, weight in weights.items():
            generation = self._find_generation(service, name)
            if not generation:
                raise TrafficError(
                    f"The load balancer points {scope.service} to something that is not ours",
                    facts=[f"{name} has {weight} of {whole} parts of the traffic"],
                    todo=f"Somebody changed the {self.pointed} by hand: point it to what a"
                    " generation of the service has, then run ./immutable up.",
                )
            found[generation] = round(weight * ALL / whole)
        return found

    def find_address(self, route: Route, scope: Scope) -> str:
        """Return a route's URL by the balancer's name, or by the host that leads there."""
        return self.render_address(route, "" if route.host else self._find_way(route, scope))

    def find_front(self, route: Route, scope: Scope) -> str:
        """Return the URL by the balancer's own name."""
        return self.render_address(replace(route, host=""), self._find_way(route, scope))

    def _find_way(self, route: Route, scope: Scope) -> str:
        return self._find_name(replace(scope.of_stack, service=route.service))

    def render_address(self, route: Route, name: str) -> str:
        """Return a route's URL by the balancer's name, which may not be known yet."""
        port = route.port or self.shared_port
        end = "" if port == PORTS[self.scheme] else f":{port}"
        return f"{self.scheme}://{route.host or name or 'not-yet-there'}{end}"


def choose_number(seed: int, most: int, taken: Container[int], above: int = 0) -> int:
    """Return one of the `most` numbers after `above` that is free: the same one while it is."""
    numbers = (above + 1 + (seed + step) % most for step in range(most))
    return next(number for number in numbers if number not in taken)


def make_nowhere(service: str) -> TrafficError:
    """Return the error for a service that has no pointer."""
    return TrafficError(
        f"Traffic of {service} stays: the load balancer has no pointer for it",
        todo="Run ./immutable up again: it makes what is missing.",
    )


def refuse_leading(service: str, leading: Sequence[str]) -> None:
    """Refuse to take the last way to a service's servers while traffic takes it.

    Raises:
        TrafficError: It does.
    """
    if leading:
        raise TrafficError(
            f"The way of {service} to its servers stays: traffic still takes it",
            facts=leading,
            todo="Run the same command again: it takes the traffic away first.",
        )
