"""The sample's promises, as verification asks for them."""

import json
from typing import Any

import pytest
from testinfra.host import Host  # type: ignore[import-untyped]

ASK = "exec 3<>/dev/tcp/127.0.0.1/8000; printf 'GET /version HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"


@pytest.fixture(scope="module")
def said(host: Host) -> dict[str, Any]:
    """Return what the application says of itself."""
    answer = host.check_output(f'bash -c "{ASK}"')
    found: dict[str, Any] = json.loads(answer[answer.index("{") :])
    return found


def test_the_app_is_enabled(host: Host) -> None:
    """The application starts at boot."""
    assert host.service("app").is_enabled


def test_the_image_is_the_planned_one(said: dict[str, Any], expected: dict[str, Any]) -> None:
    """What runs is the image that was to be launched, on the server that was meant."""
    assert said["images"][expected["image"]] == expected["version"]
    assert said["server"] == expected["server"]


def test_the_promise_is_kept(said: dict[str, Any]) -> None:
    """A test breaks this one."""
    assert said["promise"] == "kept"


@pytest.mark.parametrize(
    ("name", "to"),
    [("start", "run"), ("host", "/etc/hostname"), ("gone", "/srv/uploads"), ("loop", ".")],
)
def test_a_link_of_the_source_is_one_here(host: Host, name: str, to: str) -> None:
    """Wherever it leads, and whether there is something there."""
    assert host.check_output("readlink /opt/app/%s", name) == to


def test_names_and_bits_of_the_source_are_as_they_were(host: Host) -> None:
    """A program is one, also by its link, and a name may have two lines."""
    assert host.run_test("test -x /opt/app/run && /opt/app/start && ! test -x /opt/app/server.py")
    assert host.check_output("cat %s", "/opt/app/two\nlines") == "odd"


def test_nginx_would_name_the_generation(host: Host, expected: dict[str, Any]) -> None:
    """What the boot wrote for it is a configuration that the base's nginx takes."""
    name = f"{expected['service']}-{expected['generation']}"
    said = host.check_output("/usr/sbin/nginx -T 2>/dev/null")
    assert f'add_header X-Immutable-Generation "{name}" always;' in said
    assert "proxy_hide_header X-Immutable-Generation;" in said
