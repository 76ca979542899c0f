"""The local target's resources: thin shells over plain functions, nothing absolute in the state."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pulumi import Input, Output, ResourceOptions, dynamic

from immutable_servers.contract.plain import restore_numbers
from immutable_servers.contract.values import FleetSpec, Route, Scope
from immutable_servers.errors import RetirementError
from immutable_servers.resources.declared import find_declared
from immutable_servers.resources.dynamic import Provider, Resource, require_new_window
from immutable_servers.resources.progress import start_saying
from immutable_servers.system.machine import find_machine
from immutable_servers.targets.local import LocalTarget, fleet_records, layout
from immutable_servers.targets.local.balancer import LocalBalancer
from immutable_servers.targets.local.fleets import LocalFleets
from immutable_servers.targets.local.haproxy_config import Limits
from immutable_servers.targets.local.probes import remove_stale_probes
from immutable_servers.targets.local.settings import LocalSettings

BALANCER = LocalBalancer(LocalSettings())
"""Its routes come with their ports, so it needs no settings of the stack."""
OPENING = ("public_key", "window_ends", "inspection_key")
SPEC_FIELDS = ("scope", "artifact", "launch", "record", *OPENING)
"""What shapes a fleet beside its number of servers: never changed once it exists."""


class BalancerProvider(Provider):
    """Starts HAProxy, gives it its routes and limits, and ends it with the stack."""

    updates = ("routes", "limits")

    def find_drift(self, _olds: Mapping[str, Any], news: Mapping[str, Any]) -> Sequence[str]:
        """Ask whether it runs: the machine may have been restarted."""
        return () if BALANCER.find_process(_read_scope(news)) else ("routes",)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Start it, or take over the one that a killed run started."""
        _start_balancer(props)
        return dynamic.CreateResult(_read_scope(props).name, props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Start it again, or give it new routes without a lost request."""
        _start_balancer(news)
        return dynamic.UpdateResult(news)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """End it, unless the run has declared it again under another resource."""
        scope = _read_scope(props)
        if find_declared().target == LocalTarget.name:
            return
        remove_stale_probes(scope)
        BALANCER.stop(scope)


class Balancer(Resource, module="immutable-servers", name="Balancer"):
    """A stack's HAProxy on 127.0.0.1."""

    def __init__(
        self, scope: Scope, routes: Sequence[Route], limits: Limits, opts: ResourceOptions
    ) -> None:
        """Register under its fixed name; the caller's `opts` protect it."""
        inputs = {
            "scope": scope.to_plain(),
            "routes": [route.to_plain() for route in routes],
            "limits": asdict(limits),
        }
        super().__init__(BalancerProvider(), "balancer", inputs, (), opts)


class LocalFleetProvider(Provider):
    """Launches a fleet, resizes and repairs it in place, deletes it to the end."""

    updates = ("servers",)
    needs = ("artifact", "balancer", "public_key", "window_ends")

    def find_drift(self, _olds: Mapping[str, Any], news: Mapping[str, Any]) -> Sequence[str]:
        """Name servers that should run and do not, that stand still, that nobody asked for."""
        scope, servers = _read_scope(news), int(news["servers"])
        extra = fleet_records.find_extra(layout.generation_dir(scope), servers)
        missing = fleet_records.find_missing(scope, servers)
        return [*missing, *fleet_records.find_paused(scope), *(str(folder) for folder in extra)]

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Launch it, or adopt what a killed launch left."""
        self.require(props)
        spec, handle = FleetSpec.from_plain(props), secrets.token_hex(4)
        say = start_saying("launch", spec.scope)
        _find_fleets(props).launch(spec, say, handle)
        found = {**props, **_refer(spec.scope, props), "handle": handle, **_sign()}
        return dynamic.CreateResult(spec.scope.name, found)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Bring it to its number of servers, all of them running."""
        scope, fleets = _read_scope(news), _find_fleets(news)
        say = start_saying("repair", scope)
        if fleet_records.read_record(layout.generation_dir(scope)):
            fleets.resize(scope, int(news["servers"]), say)
        else:  # The whole folder is gone: its servers are others, so their window is another too.
            require_new_window(olds, news)
            fleets.launch(FleetSpec.from_plain(news), say)
        found = {**news, **_refer(scope, news), "handle": olds.get("handle", ""), **_sign()}
        return dynamic.UpdateResult(found)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete it, or what an earlier deletion left; not what another resource has adopted.

        Under `--replace` the engine deletes the one of two resources that was replaced: both are of
        the same fleet.
        """
        scope = _read_scope(props)
        found = fleet_records.read_record(layout.generation_dir(scope))
        if not found:
            _refuse_other_machine(scope, props)
        if found and found.handle and found.handle != props.get("handle", ""):
            return
        remove_stale_probes(scope)
        LocalFleets(BALANCER, LocalSettings()).delete(scope)


class LocalFleet(Resource, module="immutable-servers", name="LocalFleet"):
    """A generation's machines.

    Attributes:
        reference: `{"generation": …, "servers": …}`.
    """

    reference: Output[dict[str, Any]]

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        spec: Mapping[str, Input[Any]],
        *,
        frozen: bool,
        opts: ResourceOptions,
    ) -> None:
        """Register under the generation's name; a frozen one takes only a number of servers."""
        ignored = [*SPEC_FIELDS, "settings"] if frozen else None
        merged = ResourceOptions.merge(opts, ResourceOptions(ignore_changes=ignored))
        inputs = {**spec, "settings": dict(settings)}
        super().__init__(LocalFleetProvider(), name, inputs, ("reference",), merged)


def _sign() -> dict[str, str]:
    """Return which machine a fleet is on, as outputs."""
    machine = find_machine()
    return {"machine": machine.id, "host": machine.host}


def _refuse_other_machine(scope: Scope, props: Mapping[str, Any]) -> None:
    """Refuse to take a fleet of another machine for one that is gone.

    Raises:
        RetirementError: It was launched, or last repaired, there.
    """
    here, there = find_machine(), str(props.get("machine") or "")
    if there and here.id and there != here.id:
        raise RetirementError(
            f"Generation {layout.backend_name(scope)} runs on another machine, so it is not"
            " deleted from this one",
            facts=[f"There: {props.get('host')} ({there})", f"Here: {here.host} ({here.id})"],
            todo=f"Run the same command on {props.get('host')}.",
        )


def _start_balancer(props: Mapping[str, Any]) -> None:
    routes = [Route.from_plain(route) for route in props["routes"]]
    limits = restore_numbers(props.get("limits") or {})  # none in a state of an early program
    BALANCER.start(_read_scope(props), routes, Limits(**limits))


def _read_scope(props: Mapping[str, Any]) -> Scope:
    return Scope.from_plain(props["scope"])


def _find_fleets(props: Mapping[str, Any]) -> LocalFleets:
    settings = LocalSettings.model_validate(restore_numbers(props["settings"]))
    return LocalFleets(BALANCER, settings)


def _refer(scope: Scope, props: Mapping[str, Any]) -> dict[str, Any]:
    return {"reference": {"generation": scope.generation, "servers": int(props["servers"])}}
