"""`verify`: the checks on one server of the checkout's image, which serves nobody and then goes."""

import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from immutable_servers.driver import console
from immutable_servers.driver.environment import compute_environment
from immutable_servers.driver.project import read_values
from immutable_servers.driver.services import Chosen, choose_service
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.table import list_parts
from immutable_servers.errors import ImageError, VerificationError
from immutable_servers.identity import ImageVersion, compute_versions
from immutable_servers.images.bake import provide_image
from immutable_servers.images.order import Order
from immutable_servers.places import reports_dir
from immutable_servers.planning import make_launch
from immutable_servers.targets.contract import Artifact, FleetSpec, Login, Say
from immutable_servers.verification.candidate import CHECKS_DEADLINE, PROBE_WINDOW
from immutable_servers.verification.runner import Report, run_checks

DIGITS = 8
"""A probe's generation is the start of its version: it belongs to none that exists."""


def run_verify(root: Path, stack: str, service: str, *, keep: bool, yes: bool) -> int:
    """Bake or find, boot one server, run the checks, show them, remove the server.

    Raises:
        ImmutableError: A bake, a boot or a check failed.
    """
    target = str(read_values(root, stack).get("target", ""))
    install_missing(list_parts(target, acts=True), yes=yes)
    os.environ.update(compute_environment(root))
    chosen = choose_service(root, stack, service)
    versions = compute_versions(root, chosen.settings, chosen.target.architecture)
    artifact = provide_chain(root, chosen, versions)
    with chosen.target.start_probe(_make_spec(chosen, artifact), _say_of("probe")) as login:
        report = _check(root, chosen, artifact, login)
        for line in (report.summary(), *report.describe_failures()):
            console.show(line)
        if keep:
            _wait(login)
    if not report.ok:
        raise VerificationError(
            f"Image {artifact.image} {artifact.version} does not pass the checks of {chosen.name}",
            facts=report.describe_failures(),
            todo="Mend the application or the checks; `--keep` leaves the server open to look at.",
        )
    return 0


def provide_chain(root: Path, chosen: Chosen, versions: Mapping[str, ImageVersion]) -> Artifact:
    """Bake or find the service's image; its parents only where it has to be baked."""
    image = chosen.settings.services[chosen.name].image
    return _provide(root, chosen, versions, image)


def _provide(
    root: Path, chosen: Chosen, versions: Mapping[str, ImageVersion], image: str
) -> Artifact:
    version, settings = versions[image].version, chosen.settings.images[image]
    found = chosen.target.catalog.find(image, version)
    if found:
        console.say(f"image {image} {version}: found")
        return found
    parent = _provide(root, chosen, versions, settings.parent) if settings.parent else None
    order = Order(image, version, settings, chosen.place, parent, wanted=True)
    made = provide_image(root, order, _say_of(f"bake {image}"))
    if made is None:  # never for an order that is wanted; mypy cannot know
        raise ImageError(f"Image {image} {version} was not baked")
    return made


def _make_spec(chosen: Chosen, artifact: Artifact) -> FleetSpec:
    return FleetSpec(
        scope=chosen.place.at(artifact.version[:DIGITS]).scope,
        artifact=artifact.id,
        launch=make_launch(chosen.settings.services[chosen.name]),
        servers=1,
        record={},
        window_ends=int(time.time()) + PROBE_WINDOW,
    )


def _check(root: Path, chosen: Chosen, artifact: Artifact, login: Login) -> Report:
    service = chosen.settings.services[chosen.name]
    expected: dict[str, Any] = {
        "image": artifact.image,
        "version": artifact.version,
        "parents": dict(artifact.parents),
        "service": chosen.name,
        "generation": artifact.version[:DIGITS],
        "port": service.port,
        "health": service.health,
        "env": dict(service.env),
        "server": login.server,
    }
    return run_checks(
        [root / folder for folder in service.checks],
        [login],
        {login.server: expected},
        reports_dir(root) / f"{chosen.place.scope.stack}-{chosen.name}-verify",
        deadline=CHECKS_DEADLINE,
        say=_say_of("verify"),
    )


def _wait(login: Login) -> None:
    """Leave the server open until Ctrl-C."""
    if login.command:
        console.show(login.command)
    console.say("The server is open until Ctrl-C, its logins for 30 minutes; then it goes")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


def _say_of(what: str) -> Say:
    return lambda line: console.say(f"{what}: {line}")
