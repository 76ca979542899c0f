"""Which parts a run needs, by its stack's target."""

import os
from collections.abc import Sequence

import pytest

from immutable_servers.driver.setup.needs import (
    list_asking_parts,
    list_parts,
    list_upstream_parts,
)
from immutable_servers.driver.setup.parts import Part
from immutable_servers.errors import SetupError


def test_only_root_needs_no_uidmap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mmdebstrap maps user ids where it does not run as root."""
    for user, needs in ((0, False), (1000, True)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        names = {part.name for part in list_parts("local", acts=True)}
        assert ("uidmap" in names) is needs
        assert "mmdebstrap" in names


def test_the_local_target_acts_on_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere `up` on local is refused, and previews and clouds go on."""
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(SetupError, match="Linux only"):
        list_parts("local", acts=True)
    names = {part.name for part in list_parts("local", acts=False)}
    assert names < {part.name for part in list_parts("aws", acts=True)}


def test_a_run_is_asked_for_no_more_than_it_needs() -> None:
    """Asking a cloud takes its SDK; looking for upstreams takes neither engine nor machines."""

    def name(parts: Sequence[Part]) -> list[str]:
        return [part.name for part in parts]

    engine = ["pulumi", "python language host", "git"]
    assert name(list_asking_parts("local")) == engine
    assert name(list_asking_parts("aws")) == [*engine, "python packages aws"]
    assert name(list_upstream_parts("aws")) == ["python packages aws"]
    archive = name(list_upstream_parts("local"))
    assert archive[:2] == ["mmdebstrap", "debian-archive-keyring"]
    assert set(archive) <= set(name(list_parts("local", acts=True)))
    assert list_upstream_parts("elsewhere") == ()


def test_the_parts_have_names_of_their_own() -> None:
    """Each part of the local target is listed once."""
    names = [part.name for part in list_parts("local", acts=True)]
    assert len(names) == len(set(names))


def test_only_a_stack_on_aws_needs_its_packages() -> None:
    """A stack on another target is asked for neither the SDK nor the plugin."""
    names = {part.name for part in list_parts("aws", acts=True)}
    assert {"python packages aws", "packer plugin amazon"} <= names
    assert not {part.name for part in list_parts("local", acts=False)} & {
        "python packages aws",
        "packer plugin amazon",
    }
