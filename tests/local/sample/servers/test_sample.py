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
