"""What the base of the placed resources hands to their providers."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from immutable_servers.contract.values import Scope
from immutable_servers.errors import ImmutableError, SettingsError
from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedProvider, Site

PLACE = Place("nowhere", {}, Scope("shop", "dev", "web", "3f2a9c41"))
INPUTS = {**PLACE.to_inputs(), "fleet": "f"}


class _Provider(PlacedProvider):
    phase = "launch"
    needs = ("fleet",)

    def _create(self, site: Site, props: dict[str, Any]) -> dict[str, Any]:
        site.say("ready")
        return {**props, "place_again": site.place.to_inputs()["place"]}

    def _find_drift(
        self, site: Site, _olds: Mapping[str, Any], _news: Mapping[str, Any]
    ) -> Sequence[str]:
        return [site.target.name]


def test_a_call_gets_the_place_and_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """The place comes back from the inputs, names the resource and begins its lines."""
    made = _Provider().create(INPUTS)
    assert made.id == "shop-dev-web-3f2a9c41"
    assert made.outs == {**INPUTS, "place_again": INPUTS["place"]}
    assert capsys.readouterr().out == "launch web-3f2a9c41: ready\n"


def test_an_update_is_made_as_a_creation_unless_the_class_says_more() -> None:
    """Most of our resources do the same work both times."""
    assert _Provider().update("", {}, INPUTS).outs == _Provider().create(INPUTS).outs


def test_nothing_is_made_without_what_comes_first() -> None:
    """What a run leaves out stops the resources that need it."""
    with pytest.raises(ImmutableError, match="fleet"):
        _Provider().create({**INPUTS, "fleet": None})


def test_the_target_is_made_when_it_is_asked_for() -> None:
    """Only a call that asks for the target fails when there is no such target."""
    with pytest.raises(SettingsError, match="nowhere"):
        _Provider().diff("", INPUTS, INPUTS)


def test_a_resource_without_drift_and_deletion_has_nothing_to_do() -> None:
    """The defaults ask no target."""
    assert PlacedProvider().diff("", INPUTS, INPUTS).changes is False
    PlacedProvider().delete("", INPUTS)
