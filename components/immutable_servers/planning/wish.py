"""Inputs of one service's decision: checkout, settings and this run's request."""

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from immutable_servers.contract.front import Front
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Launch, Route
from immutable_servers.errors import SettingsError
from immutable_servers.identity import ImageVersion
from immutable_servers.planning.requests import Request
from immutable_servers.settings import ServiceSettings, Settings


@dataclass(frozen=True)
class Policy:
    """How long standbys are kept.

    Attributes:
        keep: How many stay beside the live one.
        keep_for: Seconds that a standby is kept after traffic left it; None is without a limit.
    """

    keep: int
    keep_for: float | None = None


@dataclass(frozen=True)
class Wish:
    """What this run wants of one service.

    Attributes:
        shape: Digest of what our code gives a server at launch.
        standbys: How many are kept, and for how long.
        now: Seconds since the epoch; login windows and ages are compared with it.
        data_version: Version of the outside data that the source works with.
        max_age: Seconds after which the live generation is made again; None is never.
        again: Why the live generation is to be made again as the next round; empty when it is not.
        stays: What serves goes on serving, whatever the source says.
        gone: Versions of the checkout and of fleets lacking servers that the catalog lacks.
        retiring: These generations go, and nothing else is done; None in every other run.
        digest: The image's digest; empty for another round of an early program's generation.
    """

    image: str
    version: str
    images: dict[str, str]
    launch: dict[str, Any]
    shape: str
    servers: int
    checks: str
    standbys: Policy
    commit: str
    now: float
    data_version: str = ""
    max_age: float | None = None
    again: str = ""
    stays: bool = False
    gone: frozenset[str] = frozenset()
    retiring: tuple[str, ...] | None = None
    digest: str = ""


def make_launch(settings: ServiceSettings) -> Launch:
    """Return the launch spec that the settings ask for."""
    return Launch(
        size=settings.size,
        port=settings.port,
        health=settings.health,
        env=dict(settings.env),
        overrides=dict(settings.launch_overrides),
        generation_header=settings.generation_header,
    )


def make_routes(settings: Settings) -> list[Route]:
    """Return what the balancer listens for: a route for each service."""
    return [_make_route(name, service) for name, service in settings.services.items()]


def _make_route(name: str, service: ServiceSettings) -> Route:
    asked = service.route
    if asked.reserved_ip:
        return Route(name, service.port, reserved_ip=True)
    return Route(name, asked.port or 0, asked.host or "")


def make_fronts(settings: Settings, target: Target) -> dict[str, Front]:
    """Return how each service's own address is asked; `settle` as the target has it by default."""
    found = {}
    for route in make_routes(settings):
        service = settings.services[route.service]
        settle = target.balancer.settle if service.settle is None else service.settle
        found[route.service] = Front(route, service.health, settle)
    return found


def make_wish(
    name: str,
    settings: Settings,
    target: Target,
    versions: Mapping[str, ImageVersion],
    checks: str,
    gone: Collection[str],
    commit: str,
    request: Request,
) -> Wish:
    """Collect what this run wants of a service; `checks` is the digest of its checks."""
    service = settings.services[name]
    launch = make_launch(service)
    images = {name: versions[name].version for name in find_chain(settings, service.image)}
    shape = json.dumps(target.describe_shape(launch), sort_keys=True)
    return Wish(
        image=service.image,
        version=versions[service.image].version,
        digest=versions[service.image].digest,
        images=images,
        launch=launch.to_plain(),
        shape=hashlib.sha256(shape.encode()).hexdigest()[:12],
        servers=service.servers,
        checks=checks,
        standbys=make_policy(service, target),
        commit=commit,
        now=time.time(),
        data_version=service.data_version,
        max_age=service.max_age,
        again=request.again.get(name, ""),
        stays=request.is_to_stay(name),
        gone=frozenset(gone),
        retiring=tuple(request.retire.get(name, ())) if request.retire else None,
    )


def make_policy(service: ServiceSettings, target: Target) -> Policy:
    """Return how standbys are kept: as the settings say, else for the target's own time."""
    keep_for = target.keep_for if service.keep_for is None else service.keep_for
    return Policy(service.keep, keep_for)


def find_chain(settings: Settings, image: str | None) -> list[str]:
    """Return an image and its parents, itself first.

    Raises:
        SettingsError: The parents form a circle.
    """
    chain: list[str] = []
    while image:
        if image in chain:
            raise SettingsError(f"The parents of image {image} form a circle")
        chain.append(image)
        image = settings.images[image].parent
    return chain
