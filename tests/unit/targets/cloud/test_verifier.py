"""What a login needs on this machine: tools, a file of the user's, and an address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest

from immutable_servers.errors import LaunchError, SettingsError, SetupError
from immutable_servers.targets.cloud.verifier import Tunnel, find_own_address, find_sources


@dataclass(frozen=True)
class Settings:
    """How checks reach servers."""

    reach: str
    ssh_config: str = ""


def test_every_tool_that_is_missing_is_named() -> None:
    """With what needs them, without those that are here, and only where the tunnel is used."""
    tools = ("no-such-tool", "sh", "nor-this")
    tunnel = Tunnel("toy", "digger", "Digger", tools, ("nor-this",), "https://dig.example")
    with pytest.raises(SetupError, match=r"through Digger, .* lacks no-such-tool and nor-this"):
        tunnel.check_route(Settings("digger"))
    with pytest.raises(
        SetupError, match=r"Bakes log in through Digger, .* lacks nor-this"
    ) as caught:
        tunnel.check_login("digger")
    assert "https://dig.example; or set build_through" in caught.value.todo
    tunnel.check_route(Settings("public"))
    tunnel.check_login("ssh")


def test_an_ssh_configuration_is_a_file_that_exists(tmp_path: Path) -> None:
    """A folder and a missing file are refused before anything is launched."""
    tunnel, file = Tunnel("toy", "digger", "Digger", (), (), ""), tmp_path / "config"
    file.touch()
    tunnel.check_route(Settings("ssh_config", str(file)))
    for wrong in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SettingsError, match="does not exist") as caught:
            tunnel.check_route(Settings("ssh_config", str(wrong)))
        assert caught.value.facts == (str(wrong),)


@pytest.mark.parametrize(
    ("named", "is_public", "sources"),
    [
        (["203.0.113.7/24", "198.51.100.1/32"], True, ["198.51.100.1/32", "203.0.113.0/24"]),
        (["2001:db8::1/32"], False, ["2001:db8::/32"]),
        ([], True, ["192.0.2.1/32"]),
        ([], False, ["10.0.0.0/16"]),
    ],
)
def test_who_is_let_in_is_named_or_found_out(
    named: Sequence[str], *, is_public: bool, sources: Sequence[str]
) -> None:
    """Ranges are as clouds write them; nobody asks for an address that is not needed."""
    asked: list[str] = []

    def answer(address: str) -> str:
        asked.append(address)
        return address

    found = find_sources(
        named,
        is_public=is_public,
        own=partial(answer, "192.0.2.1/32"),
        inside=partial(answer, "10.0.0.0/16"),
    )
    assert found == sources
    assert asked == ([] if named else sources)


@pytest.mark.parametrize(
    ("said", "found"), [("203.0.113.7\n", "203.0.113.7/32"), ("::1", "::1/128")]
)
def test_the_own_address_is_one(monkeypatch: pytest.MonkeyPatch, said: str, found: str) -> None:
    """What is no address, such as the page of a hotel's network, is no rule of a firewall.

    Neither is what a plain address answers, where anybody on the way can open it to himself.
    """
    texts = {"https://own.example": said, "https://hotel.example": "<html>Welcome to us</html>"}
    with monkeypatch.context() as patch:
        answer = partial(_answer, texts)
        patch.setattr("immutable_servers.targets.cloud.verifier.open_https", answer)
        assert find_own_address("https://own.example", "") == found
        with pytest.raises(LaunchError, match="cannot be found out"):
            find_own_address("https://hotel.example", "")
    with pytest.raises(LaunchError, match="cannot be found out") as caught:
        find_own_address("http://own.example", "")
    assert "is not https" in caught.value.facts[0]


def _answer(texts: Mapping[str, str], url: str, _seconds: float) -> BytesIO:
    return BytesIO(texts[url].encode())
