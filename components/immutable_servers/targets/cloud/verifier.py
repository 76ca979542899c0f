"""Looks at what this machine has for logins to servers and bakes: tools, a file, its address."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Protocol

from immutable_servers.contract.readiness import Finding, Status
from immutable_servers.errors import ImmutableError, LaunchError, SettingsError, SetupError
from immutable_servers.system.downloads import open_https
from immutable_servers.system.waiting import run_until_stopped

ADDRESS_URL = "https://checkip.amazonaws.com"
"""Answers with the IPv4 address that it is asked from, and nothing else."""


class Reach(Protocol):
    """What a target's settings say of the way to servers."""

    @property
    def reach(self) -> str:
        """`public`, `private`, `ssh_config`, or the word for the cloud's own tunnels."""

    @property
    def ssh_config(self) -> str:
        """For `ssh_config`: a file of the user's."""


@dataclass(frozen=True)
class Tunnel:
    """A cloud's own way to its servers, made by programs on this machine.

    Attributes:
        target: The target's name.
        word: The settings' word for it.
        name: What people call it.
        tools: The programs that checks need.
        build_tools: The programs that bakes need.
        guide: Where they are to be had.
    """

    target: str
    word: str
    name: str
    tools: Sequence[str]
    build_tools: Sequence[str]
    guide: str

    def check_route(self, settings: Reach) -> None:
        """Refuse to go on when this machine lacks what a login needs, before anything is launched.

        Raises:
            SetupError: A program for the tunnel is missing.
            SettingsError: The user's ssh configuration does not exist.
        """
        if settings.reach == self.word:
            self._check_tools(f"Checks reach servers through {self.name}", self.tools, "verify")
        file = settings.ssh_config
        if settings.reach == "ssh_config" and not Path(file).expanduser().is_file():
            raise SettingsError(
                "The ssh configuration that verify_through names does not exist",
                facts=[file],
                todo=f"Correct ssh_config under immutable-servers:{self.target}.",
            )

    def check_login(self, through: str) -> None:
        """Refuse a bake for whose login this machine lacks a program.

        Packer would try until its time to log in is over.

        Args:
            through: How Packer logs in.

        Raises:
            SetupError: It does.
        """
        if through == self.word:
            self._check_tools(f"Bakes log in through {self.name}", self.build_tools, "build")

    def _check_tools(self, what: str, tools: Sequence[str], setting: str) -> None:
        missing = [tool for tool in tools if not shutil.which(tool)]
        if missing:
            raise SetupError(
                f"{what}, and this machine lacks {' and '.join(missing)}",
                todo=f"Install what is missing: {self.guide}; or set {setting}_through under"
                f" immutable-servers:{self.target}.",
            )

    def find_verifier(self) -> str:
        """Return this machine's address in the internet, as a range of one.

        Raises:
            LaunchError: It cannot be found out.
        """
        setting = f"verify_from under immutable-servers:{self.target}"
        return find_own_address(ADDRESS_URL, f"Name it as {setting}, such as 203.0.113.7/32.")


def find_own_address(url: str, todo: str) -> str:
    """Return this machine's address in the internet, as a range, from a URL that answers it.

    Raises:
        LaunchError: It cannot be found out; `todo` says how the settings can name it.
    """

    def ask() -> bytes:
        with open_https(url, 10) as answer:
            return answer.read(64)

    try:
        said = run_until_stopped("asking for this machine's address", ask)
        return str(ip_network(said.decode("ascii").strip()))
    except (OSError, ValueError) as error:
        raise LaunchError(
            "The address of this machine cannot be found out", facts=[f"{url}: {error}"], todo=todo
        ) from error


def find_sources(
    named: Sequence[str], *, is_public: bool, own: Callable[[], str], inside: Callable[[], str]
) -> Sequence[str]:
    """Return who is let in to SSH, as ranges: who is named, or this machine, or all inside.

    Args:
        named: Who the settings name.
        is_public: Whether the way leads over the internet.
        own: Returns this machine's address.
        inside: Returns the addresses of the network that servers are in.
    """
    sources = named or [own() if is_public else inside()]
    return sorted(str(ip_network(one, strict=False)) for one in sources)


def describe_way(
    what: str, reach: str, verify_from: Sequence[str], find: Callable[[], str]
) -> Finding:
    """Return the line of `doctor` on how this machine reaches servers.

    Args:
        what: The line's name.
        reach: How checks reach servers; by `public` its own address has to be let in.
        verify_from: Who may log in by the settings.
        find: Returns this machine's address.
    """
    if reach != "public":
        return Finding(what, "ok", f"{reach}: this machine has what it needs")
    try:
        own = find()
    except ImmutableError as error:
        status: Status = "not known" if verify_from else "not ok"
        return Finding(what, status, "; ".join([error.what, *error.facts]), error.todo)
    ranges = [ip_network(one, strict=False) for one in verify_from]
    address = ip_network(own)
    fits = not ranges or any(
        one.version == address.version and address.subnet_of(one)  # type: ignore[arg-type]
        for one in ranges
    )
    if fits:
        return Finding(what, "ok", f"public, from {own}")
    todo = f"Add {own} to verify_from, or run it where that is."
    said = f"this machine is {own}, and verify_from has {', '.join(verify_from)}"
    return Finding(what, "not ok", said, todo)
