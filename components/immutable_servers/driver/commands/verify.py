"""`verify`: runs the checks on one server of the checkout's image, and removes the server."""

import threading
from contextlib import suppress
from typing import Any

from immutable_servers.contract.values import Artifact, Login, Say
from immutable_servers.driver.commands.open_server import (
    DIGITS,
    ending_on_signals,
    prepare,
    provide_chain,
    start_server,
    start_step,
)
from immutable_servers.driver.engine.past_runs import find_expected
from immutable_servers.driver.opened import Chosen, Opened
from immutable_servers.driver.phases import Work
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.display import start_display
from immutable_servers.errors import VerificationError
from immutable_servers.system.places import reports_dir
from immutable_servers.verification.candidate import CHECKS_DEADLINE
from immutable_servers.verification.runner import Report, run_checks


def run_verify(stack: Opened, service: str, *, keep: bool, yes: bool) -> int:
    """Bake or find the image, boot one server, run and show the checks, remove the server.

    Raises:
        ImmutableError: A bake, a boot or a check failed.
    """
    chosen = stack.choose_service(service)
    prepare(stack, f"verify {chosen.name} --stack {stack.name}", yes=yes)
    expected = find_expected(stack.root, stack.name)
    with ending_on_signals(), start_display(expected) as display:
        artifact = provide_chain(chosen, chosen.settings.image, display)
        with start_server(chosen, artifact, healthy=True, display=display) as login:
            with start_step(display, Work("verify", chosen.name, chosen.name), "verify") as say:
                report = _check(chosen, artifact, login, say)
            display.close()  # What follows is data, on stdout.
            for text in dict.fromkeys((*report.describe_failures(), report.summary())):
                console.show(text)
            if keep:
                _wait(login)
    if not report.ok:
        raise VerificationError(
            f"Image {artifact.image} {artifact.version} does not pass the checks of {chosen.name}",
            facts=[f"Report: {report.junit}"],
            todo="Fix the application or the checks; `--keep` leaves the server open to look at.",
        )
    return 0


def _check(chosen: Chosen, artifact: Artifact, login: Login, say: Say) -> Report:
    root, service = chosen.stack.root, chosen.settings
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
        reports_dir(root) / f"{chosen.stack.name}-{chosen.name}-verify",
        project=root,
        environment=service.checks_env,
        deadline=CHECKS_DEADLINE,
        say=say,
    )


def _wait(login: Login) -> None:
    """Leave the server open until Ctrl-C."""
    if login.command:
        console.show(login.command)
    console.say("The server is open until Ctrl-C, for new logins 30 minutes; then it goes")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
