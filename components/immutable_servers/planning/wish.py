"""What a run is asked for one service: by the checkout, by the settings, and beside them."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Launch, Route
from immutable_servers.errors import SettingsError
from immutable_servers.identity import ImageVersion
from immutable_servers.planning.requests import Request
from immutable_servers.planning.standbys import Policy
from immutable_servers.settings import ServiceSettings, Settings
from immutable_servers.system.git import Commit


@dataclass(frozen=True)
class Wish:
    """What is asked of one service.

    Attributes:
        shape: Digest of what our code gives a server at launch.
        standbys: How many of them are kept, and for how long.
        now: Seconds since the epoch; login windows and ages are compared with it.
        data_version: Which version of the data that outlives the servers the source works with.
        max_age: Seconds after which the live generation is made again; None is never.
        again: Why the live generation is to be made again as the next round; empty when it is not.
        stays: What serves goes on serving, whatever the source says.
        gone: Versions that the catalog lacks, of the checkout's and those that lack servers.
        pointed: Generations that the balancer points to, known or not.
        retiring: These generations go, and nothing else is done; None in every other run.
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
    pointed: frozenset[str] = frozenset()
    retiring: tuple[str, ...] | None = None


def make_launch(settings: ServiceSettings) -> Launch:
    """Return the launch spec that the settings ask for."""
    return Launch(
        size=settings.size,
        port=settings.port,
        health=settings.health,
        env=dict(settings.env),
        overrides=dict(settings.launch_overrides),
    )


def make_routes(settings: Settings) -> list[Route]:
    """Return what the balancer listens for, one route a service."""
    return [
        Route(name, service.route.port or 0, service.route.host or "")
        for name, service in settings.services.items()
    ]


def make_wish(
    name: str,
    settings: Settings,
    target: Target,
    versions: Mapping[str, ImageVersion],
    checks: str,
    commit: Commit,
    request: Request,
) -> Wish:
    """Collect what this run wants of a service from settings, versions and checks."""
    service = settings.services[name]
    launch = make_launch(service)
    images = {name: versions[name].version for name in find_chain(settings, service.image)}
    shape = json.dumps(target.describe_shape(launch), sort_keys=True)
    return Wish(
        image=service.image,
        version=versions[service.image].version,
        images=images,
        launch=launch.to_plain(),
        shape=hashlib.sha256(shape.encode()).hexdigest()[:12],
        servers=service.servers,
        checks=checks,
        standbys=make_policy(service, target),
        commit=commit.id,
        now=time.time(),
        data_version=service.data_version,
        max_age=service.max_age,
        again=request.again.get(name, ""),
        stays=request.is_to_stay(name),
        retiring=tuple(request.retire.get(name, ())) if request.retire else None,
    )


def make_policy(service: ServiceSettings, target: Target) -> Policy:
    """Return how standbys are kept: as the settings say, else as the target has it."""
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
