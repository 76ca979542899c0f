"""Takes a part of the gate out of the product, to prove that the simulation finds what it holds."""

from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.planning import service, standbys
from immutable_servers.traffic import move, settling
from immutable_servers.traffic.resource import TrafficProvider
from immutable_servers.verification import resource
from immutable_servers.verification.report import Report
from immutable_servers.verification.seal import SealProvider

Props = dict[str, Any]
verify, sort = resource._run, standbys.sort_standbys


def believe_the_state(_self: object, _site: object, olds: Props, news: Props) -> Sequence[str]:
    """Compare the pointer with the last run, and not with the balancer."""
    return () if olds["live"] == news["generation"] else ("live",)


def pass_every_check(*_words: object) -> Report:
    """Find every candidate good."""
    return Report(ok=True, reason="")


def leave_logins_open(_self: object, _site: object, props: Props) -> Props:
    """Let a candidate through that is not sealed."""
    return {**props, "ready_generation": props["passed"]}


def hand_on_every_candidate(site: Any, props: Props, *, on_fleet: bool) -> Props:  # noqa: ANN401
    """Hand on a candidate whatever its verdict is."""
    done = verify(site, props, on_fleet=on_fleet)
    return {**done, "passed_generation": site.scope.generation}


def keep_all_standbys(*words: Any) -> standbys.Standbys:  # noqa: ANN401
    """Keep the standbys that `keep` has no room for."""
    found = sort(*words)
    return standbys.Standbys((*found.kept, *found.beyond), found.due, ())


def believe_the_api(*_words: object, **_more: object) -> bool:
    """Find every node where the balancer's API says that it is."""
    return True


HOLES: Mapping[str, Sequence[tuple[Any, str, object]]] = {
    "pointer": ((TrafficProvider, "_find_drift", believe_the_state),),
    "checks": ((resource, "verify_fleet", pass_every_check),),
    "seal": ((SealProvider, "_create", leave_logins_open),),
    "gate": ((resource, "_run", hand_on_every_candidate),),
    "nodes": (
        (move, "wait_until_settled", believe_the_api),
        (settling, "wait_until_settled", believe_the_api),
    ),
    "standbys": ((service, "sort_standbys", keep_all_standbys),),
}
"""Where it is, its name, and what stands there instead, by the word that `--hole` takes."""


def open_hole(name: str) -> None:
    """Have one of them from now on, in this process and those that it forks."""
    for place, attribute, instead in HOLES[name]:
        setattr(place, attribute, instead)
