"""Logs in to servers while their window is open: directly, through a jump host, or through SSM."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from operator import not_
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import Login
from immutable_servers.errors import LaunchError, SettingsError, SetupError
from immutable_servers.system import stopping
from immutable_servers.system.files import write_whole
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.aws.login_keys import KEY
from immutable_servers.targets.aws.settings import AwsSettings

SEAL_COMMAND = "/usr/local/sbin/immutable-seal now"
SSM_TOOLS = ("aws", "session-manager-plugin")
_COMMAND_SECONDS = 45.0
_AT_ONCE = 20


def check_route(settings: AwsSettings) -> None:
    """See that this machine has what a login needs, before anything is launched.

    Raises:
        SetupError: A tool for Session Manager is missing.
        SettingsError: The user's ssh configuration does not exist.
    """
    if settings.reach == "ssm":
        missing = [tool for tool in SSM_TOOLS if not shutil.which(tool)]
        if missing:
            raise SetupError(
                "Checks reach servers through Session Manager, and this machine lacks"
                f" {' and '.join(missing)}",
                todo="Install them: https://docs.aws.amazon.com/systems-manager/latest/userguide/"
                "session-manager-working-with-install-plugin.html; or set verify_through under"
                " immutable-servers:aws.",
            )
    if settings.reach == "ssh_config" and not Path(settings.ssh_config).expanduser().is_file():
        raise SettingsError(
            "The ssh configuration that verify_through names does not exist",
            facts=[settings.ssh_config],
            todo="Correct ssh_config under immutable-servers:aws.",
        )


def write_ssh_config(
    folder: Path, servers: Mapping[str, Mapping[str, Any]], settings: AwsSettings
) -> Path:
    """Write `ssh_config` for servers, by name, as EC2 describes them; return the file.

    A host key is taken at the first login and kept for the generation: it is made at a server's
    boot, and nothing that AWS keeps can carry it in secret.
    """
    hosts = [
        f"Host {name}\n  HostName {_find_address(instance, settings)}\n  HostKeyAlias {name}\n"
        for name, instance in servers.items()
    ]
    common = [
        "Host *",
        "  User root",
        "  BatchMode yes",
        "  ConnectTimeout 15",
        "  LogLevel ERROR",
        f'  IdentityFile "{folder / KEY}"',
        "  IdentitiesOnly yes",
        "  IdentityAgent none",
        f'  UserKnownHostsFile "{folder / "known_hosts"}"',
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking accept-new",
        "  UpdateHostKeys no",
        *_render_way(settings),
    ]
    include = []
    if settings.reach == "ssh_config":
        include = [f'Include "{Path(settings.ssh_config).expanduser().resolve()}"\n']
    file = folder / "ssh_config"
    write_whole(file, "".join([*include, *hosts, "\n".join(common), "\n"]), mode=0o600)
    return file


def wait_until_logins(logins: Sequence[Login], seconds: float) -> None:
    """Wait until each server takes a login, side by side.

    Raises:
        LaunchError: One does not before `seconds` are over.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda login: _wait_until_login(login, seconds), logins))


def run_remote(config: Path, name: str, command: str) -> str:
    """Run a command on a server; return an empty string, or how it failed.

    Raises:
        StoppedError: This process was told to stop before.
    """
    with subprocess.Popen(
        ["ssh", "-n", "-F", str(config), name, command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:

        def end() -> None:
            """End it with its ProxyCommand, which holds the pipe too."""
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        try:
            with stopping.on_stop(end, f"a command on {name}"):
                said = process.communicate(timeout=_COMMAND_SECONDS)[1].strip()
        except subprocess.TimeoutExpired:
            end()
            return f"ssh did not end within {_COMMAND_SECONDS:.0f} s"
        except BaseException:
            end()
            raise
    return "" if process.returncode == 0 else said or f"exit {process.returncode}"


def find_names(config: Path) -> list[str]:
    """Return the servers that an `ssh_config` of ours names."""
    return re.findall(r"^Host ([^*\s]\S*)$", config.read_text(encoding="utf-8"), re.MULTILINE)


def _find_address(instance: Mapping[str, Any], settings: AwsSettings) -> str:
    wanted = {"ssm": "InstanceId", "public": "PublicIpAddress"}
    key = wanted.get(settings.reach, "PrivateIpAddress")
    if not instance.get(key):
        raise LaunchError(
            f"The server {instance['InstanceId']} has no public address to log in to",
            todo="Set verify_through under immutable-servers:aws to ssm, private, jump or"
            " ssh_config.",
        )
    return str(instance[key])


def _render_way(settings: AwsSettings) -> list[str]:
    if settings.reach == "jump":
        return [f"  ProxyJump {settings.jump_host}"]
    if settings.reach == "ssm":
        profile = f" --profile {settings.profile}" if settings.profile else ""
        session = f"aws ssm start-session --region {settings.region}{profile} --target %h"
        document = "--document-name AWS-StartSSHSession --parameters portNumber=%p"
        return [f"  ProxyCommand {session} {document}"]
    return []


def _wait_until_login(login: Login, seconds: float) -> None:
    said = wait_until(
        f"waiting for a login to {login.server}",
        seconds,
        lambda: run_remote(Path(login.ssh_config), login.server, "true"),
        done=not_,
        every=2,
    )
    if said:
        raise LaunchError(
            f"The server {login.server} takes no login",
            facts=[said, f"tried for {seconds:.0f} s: {login.command}"],
            todo="See that verify_through and verify_from under immutable-servers:aws fit the"
            " network, then run the update again.",
        )
