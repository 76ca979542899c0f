"""Runs that bake one version at the same time: one image comes of it, and nobody removes it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from immutable_servers.contract.values import BakeRequest
from immutable_servers.errors import ImageError
from immutable_servers.system import stopping
from immutable_servers.targets.cloud.rivals import NamedImages, Rivals, State

VERSION = "3f2a9c41d0e7"


class Images(NamedImages):
    """Images whose descriptions say all that is asked; each look may bring another answer."""

    taken = re.compile("is taken already")
    key, tag = "name", "label"
    half = "half of an image"
    stranger_todo = "Delete it."

    def __init__(self, *looks: Sequence[Mapping[str, Any]]) -> None:
        self.looks, self.removed = [*looks], list[str]()

    def find_named(self, image: str, version: str) -> Sequence[Mapping[str, Any]]:
        """Return the next answer; the last one is repeated."""
        assert (image, version) == ("app", VERSION)
        return self.looks.pop(0) if self.looks[1:] else self.looks[0]

    def is_whole(self, found: Mapping[str, Any]) -> bool:
        """Read its state."""
        return bool(found["state"] == "whole")

    def is_dead(self, found: Mapping[str, Any], request: BakeRequest) -> bool:
        """Read its state."""
        assert request.version == VERSION
        return bool(found["state"] == "dead")

    def is_ours(self, found: Mapping[str, Any]) -> bool:
        """Read whose it is."""
        return bool(found.get("ours", True))

    def remove(self, found: Mapping[str, Any]) -> None:
        """Note its name."""
        self.removed.append(found["name"])


def make_image(state: str, **more: Any) -> Sequence[Mapping[str, Any]]:  # noqa: ANN401 - plain values
    """Return the one image of the name."""
    return [{"name": "app-1", "state": state, **more}]


def make_request(said: list[str]) -> BakeRequest:
    """Return a request whose progress is kept."""
    place = Path()
    return BakeRequest(
        image="app",
        version=VERSION,
        template=place,
        inputs=place,
        parent=None,
        lock={},
        variables={},
        secrets={},
        lineage={},
        manifest={},
        log=place,
        deadline=60,
        say=said.append,
    )


@pytest.mark.parametrize(
    ("states", "wanted"),
    [
        ([], State.NONE),
        (["dead"], State.NONE),
        (["dead", "made"], State.MADE),
        (["made", "dead", "whole"], State.WHOLE),
    ],
)
def test_the_furthest_image_counts(states: Sequence[str], wanted: State) -> None:
    """One that is whole is taken, whatever else has the name."""
    found = [one for state in states for one in make_image(state)]
    assert Rivals(make_request([]), Images(found)).look() == wanted


def test_what_a_dead_bake_left_is_removed_and_said() -> None:
    """Then it is baked."""
    images, said, baked = Images(make_image("dead")), list[str](), list[str]()
    Rivals(make_request(said), images).bake(lambda: baked.append("app"))
    assert (images.removed, baked) == (["app-1"], ["app"])
    assert said == ["removes half of an image: app-1"]


@pytest.mark.parametrize("state", ["made", "whole"])
def test_what_another_run_begins_between_two_looks_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """The name was free a moment ago; Packer finds it taken, and the other's image is used."""
    monkeypatch.setattr(stopping.STOP, "wait", lambda _seconds: False)
    images = Images([], make_image(state), make_image("whole"))

    def build() -> None:
        raise ImageError("`packer build` failed", facts=["the name is taken already"])

    Rivals(make_request([]), images).bake(build)
    assert images.removed == []


def test_an_image_of_somebody_else_is_nobody_s_to_remove() -> None:
    """Nothing is baked either; the reader is told its name and what to do."""
    images, baked = Images(make_image("dead", ours=False)), list[str]()
    with pytest.raises(ImageError, match=f"The name of image app {VERSION} is taken") as raised:
        Rivals(make_request([]), images).bake(lambda: baked.append("app"))
    assert raised.value.facts == ("app-1 has it, and no label of a bake of ours",)
    assert (raised.value.todo, images.removed, baked) == ("Delete it.", [], [])
