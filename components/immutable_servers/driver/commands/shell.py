"""`shell`: logs in to one new server of an image version, and removes it on exit."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence

from immutable_servers.contract.images import Images
from immutable_servers.contract.values import Artifact, Login
from immutable_servers.driver.commands.open_server import (
    ending_on_signals,
    prepare,
    provide_chain,
    start_server,
)
from immutable_servers.driver.opened import Chosen, Opened, require_image
from immutable_servers.driver.terminal import console
from immutable_servers.errors import SettingsError
from immutable_servers.settings.models import ImageSettings
from immutable_servers.system.environment import make_environment

FIRST_SIGNAL = 128


def run_shell(stack: Opened, what: str, command: Sequence[str], *, yes: bool) -> int:
    """Boot an open server of an image, log in or run a command, and remove it.

    Args:
        stack: Whose settings and target are taken.
        what: An image, or `image@version`; the start of a version is enough.
        command: What is run on the server; empty for a login.
        yes: Do not ask for confirmation.

    Returns:
        The exit code of the login or the command.

    Raises:
        ImmutableError: There is no such image or version, or it does not boot.
    """
    image, _, version = what.partition("@")
    chosen = choose_user(stack, image)
    artifact = find_version(stack.target.images, image, version) if version else None
    prepare(stack, f"shell {what} {stack.name}", yes=yes)
    with ending_on_signals():
        artifact = artifact or provide_chain(chosen, image)
        with start_server(chosen, artifact, healthy=False) as login:
            if not command:
                console.say(
                    f"{login.server} of {artifact.image} {artifact.version}: serves nobody, and"
                    " goes when you leave"
                )
            terminal = not command and sys.stdin.isatty()
            done = subprocess.run(
                make_login_command(login, command, terminal=terminal),
                env=make_environment(*login.environment),
                check=False,
            )
    return done.returncode if done.returncode >= 0 else FIRST_SIGNAL - done.returncode


def choose_user(stack: Opened, image: str) -> Chosen:
    """Return the service whose launch spec a server of an image gets.

    That is the first that runs it, or runs what is baked from it, or else the first of all.

    Raises:
        SettingsError: The stack has no such image.
    """
    images, services = stack.settings.images, stack.settings.services
    require_image(image, images)
    chains = {name: _list_chain(images, services[name].image) for name in sorted(services)}
    fits = {name: (image == chain[0], image in chain) for name, chain in chains.items()}
    return Chosen(stack, max(fits, key=fits.__getitem__))


def _list_chain(images: Mapping[str, ImageSettings], image: str | None) -> list[str]:
    """Return an image and what it is baked from, up to the base."""
    chain = []
    while image:
        chain.append(image)
        image = images[image].parent
    return chain


def find_version(catalog: Images, image: str, start: str) -> Artifact:
    """Return the artifact whose version begins with `start`.

    Raises:
        SettingsError: There is none, or several.
    """
    known = [artifact for artifact in catalog.list() if artifact.image == image]
    found = [artifact for artifact in known if artifact.version.startswith(start)]
    if len(found) == 1:
        return found[0]
    what = "is the start of several versions" if found else "is no version in the catalog"
    raise SettingsError(
        f"{start!r} {what} of image {image}",
        facts=[_describe(artifact) for artifact in reversed(found or known)] or ["None is baked."],
        todo=f"Name one of them; without a version `./immutable shell {image}` takes the"
        " checkout's, and bakes it where it is missing.",
    )


def _describe(artifact: Artifact) -> str:
    baked = artifact.facts.get("baked_at")
    return f"{artifact.version}{f', baked {baked}' if baked else ''}"


def make_login_command(login: Login, command: Sequence[str], *, terminal: bool) -> list[str]:
    """Return the command line of a login; a single word is a line for the server's shell."""
    line = command[0] if len(command) == 1 else shlex.join(command)
    if login.host.startswith("ssh://"):
        config = ["-F", login.ssh_config] if login.ssh_config else []
        host = login.host.removeprefix("ssh://")
        return ["ssh", *config, *(["-t"] if terminal else []), host, *([line] if command else [])]
    return ["sh", "-c", line] if command else [os.environ.get("SHELL", "/bin/sh")]
