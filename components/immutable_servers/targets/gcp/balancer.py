"""Reads and moves the pointers of a stack's load balancer, and reads what they point to.

A service's pointer is in a URL map of its own, or for a service by host name in the one that the
stack's services share. Pulumi makes maps and never changes them: all that is in them is ours.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from secrets import token_hex
from typing import Any

from immutable_servers.contract.front import Front, Reply
from immutable_servers.contract.values import Answers, Member, Route, Say, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.cloud.balancer import CloudBalancer, make_nowhere, refuse_leading
from immutable_servers.targets.cloud.tags import of_service
from immutable_servers.targets.gcp import url_maps
from immutable_servers.targets.gcp.answers import SETTLED, count_answers
from immutable_servers.targets.gcp.api import MISSING, Api
from immutable_servers.targets.gcp.groups import Thing
from immutable_servers.targets.gcp.names import (
    HEADER,
    find_generation,
    is_of,
    last_part,
    make_name,
    name_server,
)
from immutable_servers.targets.gcp.scaling import Autoscalers

MAPS = "urlMaps"
CONNECTIONS = 8
"""Each may come to another front end."""
SILENT_SECONDS = 15.0
"""After this an address at which nobody so much as refuses cannot be asked from here."""


class GcpBalancer(CloudBalancer):
    """The global Application Load Balancer of a stack, its URL maps and backend services."""

    pointed = "URL map"
    settle = 60.0
    """A change that is accepted reaches front ends late and unevenly, and one place asks few of
    them. No bound is documented. Google's own sample waits for minutes:
    https://github.com/GoogleCloudPlatform/terraform-dynamic-javascript-webapp/issues/72"""
    settle_within = 900.0
    shows_within = 60.0
    counts_within = SETTLED
    leads_within = 300.0
    """Seconds for which front ends may not lead to a generation's servers by its header yet."""

    def __init__(self, api: Api) -> None:
        super().__init__(api.settings.protocol, api.settings.host_port)
        self.api = api.raising(TrafficError)
        self.autoscalers = Autoscalers(self.api)

    def _read_pointers(self, scope: Scope) -> Sequence[Mapping[str, int]]:
        return [url_maps.read_weights(one) for one in self._find_pointers(scope)]

    def _find_generation(self, scope: Scope, name: str) -> str:
        return find_generation(scope, name)

    def _find_name(self, scope: Scope) -> str:
        found = self.api.find("globalAddresses", named=make_name(scope.of_stack))
        return str(found["address"]) if found else ""

    def _find_maps(self, scope: Scope) -> Mapping[str, Thing]:
        """Return the maps that a service is in, by name; two while its route changes."""
        names = [name_map(scope, Route(scope.service, port)) for port in (0, 1)]
        # Whoever looks at a whole stack asks once for all services.
        which = {} if self.api.asked.is_on else {"filter": f'name eq "({"|".join(names)})"'}
        found = [one for one in self.api.list(MAPS, **which) if one["name"] in names]
        return {one["name"]: one for one in found if url_maps.find_matcher(one, scope.service)}

    def _find_pointers(self, scope: Scope) -> Sequence[Thing]:
        """Return the path matchers that a service has in these maps."""
        maps = self._find_maps(scope).values()
        return [one for said in maps if (one := url_maps.find_matcher(said, scope.service))]

    def _point(self, scope: Scope, weights: Mapping[str, int]) -> None:
        self.autoscalers.hold(scope, {*weights, *self.find_weights(scope)})
        scopes = {replace(scope, generation=one): weight for one, weight in weights.items()}
        links = {self._link(make_name(one)): weight for one, weight in scopes.items()}
        self._change(scope, url_maps.set_weights, links, self._link(name_closed(scope)))

    def release(self, scope: Scope) -> None:
        """Have the autoscalers do as the traffic says."""
        self.autoscalers.release(scope, self.find_weights(scope))

    def is_released(self, scope: Scope) -> bool:
        """Ask whether they do."""
        return self.autoscalers.is_released(scope, self.find_weights(scope))

    def _change(self, scope: Scope, render: Callable[..., url_maps.Patch], *words: Any) -> None:  # noqa: ANN401 - the function's own
        """Change all maps that a service is in by a function of `url_maps`.

        Raises:
            TrafficError: It is in none.
        """
        names = [*self._find_maps(scope)]
        if not names:
            raise make_nowhere(scope.service)
        for name in names:
            self.api.change(MAPS, name, lambda said: render(said, scope.service, *words))

    def _link(self, backend: str) -> str:
        place = f"projects/{self.api.settings.project}/global/backendServices"
        return f"https://www.googleapis.com/compute/v1/{place}/{backend}"

    def add_service(self, scope: Scope, route: Route) -> None:
        """Lead a route to a service; a second one leads where the first does.

        Raises:
            TrafficError: Another service has the host, which Google refuses.
        """
        host, like = route.host or url_maps.ANY_HOST, next(iter(self._find_pointers(scope)), None)
        words = (scope.service, host, self._link(name_closed(scope)), like)
        self.api.change(MAPS, name_map(scope, route), lambda s: url_maps.add_service(s, *words))

    def remove_service(self, scope: Scope, route: Route, *, stays: bool) -> None:
        """Have a route lead to a service no more.

        Of a service that stays the last one is left: somebody changed a name in the state.

        Raises:
            TrafficError: The service goes, and traffic still does to its servers.
        """
        service, host, name = scope.service, route.host or url_maps.ANY_HOST, name_map(scope, route)
        if not stays:
            said = self.find_weights(scope).items()
            refuse_leading(service, [f"generation {one}: {weight} %" for one, weight in said])
        maps = self._find_maps(scope)
        hosts = sum(url_maps.count_hosts(one, service) for one in maps.values())
        if name in maps and (hosts > 1 or not stays):
            self.api.change(MAPS, name, lambda s: url_maps.remove_service(s, service, host))

    def remove_closed(self, scope: Scope) -> None:
        """Remove the stack's service without servers, once no URL map of the stack is left."""
        if not any(is_of(one, scope.of_stack) for one in self.api.list(MAPS)):
            self.api.delete("backendServices", name_closed(scope))

    def find_token(self, scope: Scope) -> str:
        """Return what the header says in requests to a generation; empty without a route rule."""
        pointers, backend = self._find_pointers(scope), make_name(scope)
        values = (url_maps.find_value(pointer, backend) for pointer in pointers)
        return next(filter(None, values), "")

    def add_route(self, scope: Scope) -> str:
        """Give requests with a generation's header a way to it; return what the header says.

        Nobody can guess that: no visitor reaches a candidate or a standby.
        """
        value = self.find_token(scope) or f"{scope.service}-{scope.generation}-{token_hex(8)}"
        self._change(scope, url_maps.add_route, self._link(make_name(scope)), value)
        return value

    def wait_until_led(self, scope: Scope, front: Front, say: Say, *, named: bool) -> None:
        """Ask the service's address by a generation's header until its front ends lead there.

        They know its configuration then, before any visitor is sent to it. Whatever is seen is no
        more than said: Traffic asks again when it moves.

        Args:
            scope: The generation's; its servers are healthy.
            front: How the address is asked.
            say: Takes what was seen.
            named: The balancer names the generation in answers.

        Raises:
            StoppedError: This process was asked to stop.
        """
        wanted = {f"{scope.service}-{scope.generation}"} if named else set()
        ask = self.prepare_question(front, scope, {HEADER: self.find_token(scope)})
        began = time.monotonic()

        def is_right(reply: Reply) -> bool:
            return not reply.failure and {*reply.names} == wanted

        def look() -> Reply:
            """Return the first wrong answer, or the last one."""
            for _ in range(CONNECTIONS):
                reply = min(ask(), key=is_right)
                if not is_right(reply):
                    break
            return reply

        def is_over(reply: Reply) -> bool:
            return is_right(reply) or (reply.silent and time.monotonic() - began >= SILENT_SECONDS)

        what = f"waiting for the front ends of {scope.name}"
        reply = wait_until(what, self.leads_within, look, done=is_over, every=self.settle_poll)
        say(_describe(reply, time.monotonic() - began, right=is_right(reply), named=named))

    def remove_route(self, scope: Scope) -> None:
        """Take the way away that requests with a generation's header have; none is no error."""
        if self._find_maps(scope):
            self._change(scope, url_maps.remove_route, make_name(scope))

    def find_members(self, scope: Scope) -> Mapping[str, Member]:
        """Ask for the health of all groups of the backend service."""
        name = make_name(scope)
        service = self.api.find("backendServices", named=name) or {}
        states: dict[str, list[str]] = {}
        for backend in service.get("backends", ()):
            which = {"named": name, "body": {"group": backend["group"]}}
            found = self.api.list("backendServices", "getHealth", missing=MISSING, **which)
            for one in found:  # one group spans zones, and a machine may have several addresses
                instance = last_part(one.get("instance", "")) or one.get("ipAddress", "unknown")
                is_ours = instance.startswith(f"{name}-")
                server = name_server(scope, instance) if is_ours else instance
                states.setdefault(server, []).append(one.get("healthState", "not known yet"))
        return {
            server: Member({*said} == {"HEALTHY"}, " ".join(dict.fromkeys(said)).lower())
            for server, said in states.items()
        }

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        """Ask Cloud Monitoring, which is some minutes late."""
        return count_answers(self.api, make_name(scope))

    def _count_open(self, scope: Scope) -> None:
        """Return nothing: Google does not say what is under way.

        What goes on ends on the old servers, since a change of weights holds for new requests. They
        are left alone for the time of the drain; `timeout` under the settings bounds each request.
        """
        del scope


def name_map(scope: Scope, route: Route) -> str:
    """Return the name of the URL map that a route of a service is in."""
    if route.port:
        return make_name(of_service(scope))
    return f"{make_name(scope.of_stack)}-hosts"


def name_closed(scope: Scope) -> str:
    """Return the name of the stack's backend service that has no servers."""
    return f"{make_name(scope.of_stack)}-closed"


def _describe(reply: Reply, seconds: float, *, right: bool, named: bool) -> str:
    """Return what the last answer shows of the way to a generation."""
    if right and named:
        return f"front ends lead to it after {seconds:.1f} s"
    if right:
        return f"its address answers after {seconds:.1f} s; no answer says who, by the settings"
    if reply.silent:
        return f"its address cannot be asked from this machine ({reply.fault})"
    last = reply.failure or f"from {', '.join(reply.names) or 'a server without a name'}"
    return f"front ends do not lead to it after {seconds:.0f} s; the last answer: {last}"
