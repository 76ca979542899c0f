"""The promises of the app image: the application runs, answers, and says what it is."""

import json
import shlex
from typing import Any

import pytest
from testinfra.host import Host  # type: ignore[import-untyped]

FETCH = """\
exec 3<>/dev/tcp/127.0.0.1/{port}
printf 'GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3
tr -d '\\r' <&3
"""
"""bash's own client: a server needs no other for its checks, and on an emulated CPU it is quick."""


def ask(host: Host, expected: dict[str, Any], path: str) -> tuple[str, str]:
    """Return head and body of an answer on the server's own port, as traffic would get it."""
    script = FETCH.format(port=expected["port"], path=path)
    head, _, body = host.check_output(f"bash -c {shlex.quote(script)}").partition("\n\n")
    return head, body


def fetch(host: Host, expected: dict[str, Any], path: str) -> str:
    """Return what the server answers; fails unless 200."""
    head, body = ask(host, expected, path)
    assert head.split(" ")[1] == "200", head
    return body


def test_nginx_runs_and_starts_at_boot(host: Host) -> None:
    """Traffic finds nginx, after a reboot too."""
    nginx = host.service("nginx")
    assert nginx.is_running
    assert nginx.is_enabled


def test_the_app_runs_as_its_own_user_and_starts_at_boot(host: Host) -> None:
    """The application is a service of a user that is not root and cannot log in."""
    shown = host.check_output(
        "systemctl show app.service --property=ActiveState,UnitFileState,User,NoNewPrivileges"
        " && getent passwd app"
    )
    *properties, account = shown.splitlines()
    said = dict(line.split("=", 1) for line in properties)
    assert said == {
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "User": "app",
        "NoNewPrivileges": "yes",
    }
    assert account.endswith(":/usr/sbin/nologin")


def test_the_app_cannot_change_itself(host: Host) -> None:
    """No file of the application can be written by its user."""
    assert host.check_output("find /opt/app \\( -user app -o -perm /022 \\) ! -type l") == ""


@pytest.mark.eventually
def test_the_app_is_healthy(host: Host, expected: dict[str, Any]) -> None:
    """The health check that the balancer asks is answered."""
    assert fetch(host, expected, expected["health"])


@pytest.mark.eventually
def test_the_app_says_its_versions(host: Host, expected: dict[str, Any]) -> None:
    """`/version` names the image, its parents and the generation that were to be launched."""
    said = json.loads(fetch(host, expected, "/version"))
    assert said["version"] == expected["version"]
    assert said["images"] == {expected["image"]: expected["version"], **expected["parents"]}
    assert said["service"] == expected["service"]
    assert said["generation"] == expected["generation"]


@pytest.mark.eventually
def test_every_answer_names_the_generation(host: Host, expected: dict[str, Any]) -> None:
    """By this header a run sees that traffic has moved, also in an answer that is an error.

    A server whose launch data forbids it is silent: on gcp the balancer adds the header itself.
    """
    head, _ = ask(host, expected, "/nothing-here")
    said = [line for line in head.splitlines() if line.startswith("X-Immutable-Generation: ")]
    name = f"{expected['service']}-{expected['generation']}"
    told = json.loads(host.check_output("cat /run/immutable/launch.json"))
    named = told.get("generation_header", True)
    assert said == ([f"X-Immutable-Generation: {name}"] if named else [])


@pytest.mark.eventually
def test_the_app_reads_its_env(host: Host, expected: dict[str, Any]) -> None:
    """The greeting is the one of the stack's settings."""
    assert expected["env"].get("GREETING", "hello") in fetch(host, expected, "/")
