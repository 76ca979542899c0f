"""Images of an emulated cloud: bakes by a Packer that is none, and what is refused before them."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic

import pytest

from harness.cloud_world import WorldT
from immutable_servers.contract.images import Packer
from immutable_servers.contract.values import Artifact, BakeRequest
from immutable_servers.errors import ImageError, SettingsError, SetupError
from immutable_servers.system import stopping

VERSION, PARENT = "3f2a9c41d0e7", "5c0032482a90"
DIGEST, ANOTHER = VERSION + "0" * 52, VERSION + "1" * 52
LINEAGE: Mapping[str, Any] = {
    "image": "app",
    "version": VERSION,
    "digest": DIGEST,
    "parents": {"base": PARENT},
    "commit": "abc",
    "clean": True,
    "baked_at": "2026-01-31T12:00:00Z",
}


def make_request(tmp_path: Path, **more: Any) -> BakeRequest:  # noqa: ANN401 - its own
    """Return a request as `images.bake` makes it."""
    usual = BakeRequest(
        image="app",
        version=VERSION,
        template=tmp_path,
        inputs=tmp_path,
        parent=None,
        lock={},
        variables={},
        secrets={},
        lineage=LINEAGE,
        manifest={},
        log=tmp_path / "log",
        deadline=60,
        say=lambda _line: None,
    )
    return replace(usual, **more)


class FakePacker(Packer, ABC):
    """Makes the image that the variables name, in place of the real Packer (see `test_bakes.py`).

    Attributes:
        fails: The plugin's line with which it fails at last; what does not say that the name is
            taken fails before there is an image.
        taken: How lines say that.
        given: The variables.
        key: The login's.
    """

    taken: ClassVar[tuple[str, ...]]

    def __init__(self, *, fails: str = "") -> None:
        self.fails = fails
        self.given: dict[str, str] = {}
        self.key = ""

    @abstractmethod
    def make(self) -> None:
        """Make the image."""

    def build(
        self,
        variables: Mapping[str, str],
        watch: Callable[[str], None] | None = None,
        programs: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, Any]:
        """Remember the variables."""
        del watch, programs, environment
        self.given = dict(variables)
        if login := self.given.get("login"):
            self.key = Path(login).read_text()
        if not self.fails or self.fails in self.taken:
            self.make()
        if self.fails:
            raise ImageError("`packer build` of image app failed", facts=[self.fails])
        return {}


class Images(Generic[WorldT]):
    """Bakes, rivals, and images that do not fit.

    Attributes:
        through: Settings of a way to a bake that needs a tool.
        tool: That tool.
        parent: The parent's id.
    """

    through: ClassVar[Mapping[str, Any]]
    tool: ClassVar[str]
    parent: ClassVar[str]

    def make_packer(self, world: WorldT, fails: str = "") -> FakePacker:
        """Return the Packer of this cloud."""
        raise NotImplementedError

    def find_lock(self, world: WorldT) -> Mapping[str, Any]:
        """Return what locks Debian."""
        raise NotImplementedError

    def begin_image(self, world: WorldT) -> str:
        """Make an image that another run is about to finish; return its id."""
        raise NotImplementedError

    def finish_image(self, world: WorldT, image: str) -> None:
        """Finish it."""
        raise NotImplementedError

    def read_launch(self, given: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the launch data that Packer was given, whose source is the parent."""
        raise NotImplementedError

    def find_made(self, world: WorldT) -> Artifact:
        """Return an image that was made as Packer does."""
        self.finish_image(world, self.begin_image(world))
        found = world.make_target().images.find("app", VERSION, "")
        assert found
        return found

    def test_a_disk_smaller_than_the_image_is_refused(self, world: WorldT) -> None:
        """With both sizes; the image's own size and a larger disk fit."""
        made = self.find_made(world)
        large = replace(made, facts={**made.facts, "gigabytes": 12})
        for volume in (None, 12, 13):
            world.make_target(volume=volume).images.refuse_unfit(large)
        with pytest.raises(SettingsError, match="smaller than the image app") as raised:
            world.make_target(volume=11).images.refuse_unfit(large)
        assert raised.value.facts == ("volume: 11 GiB", f"{made.id}: 12 GiB")

    def test_a_bake_through_a_tunnel_needs_its_tool(
        self, world: WorldT, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is missed before anything is launched, and only where something is to be baked."""
        monkeypatch.setenv("PATH", "")
        through = world.make_target(**self.through).images
        through.refuse_unfit(self.find_made(world))
        world.make_target().images.refuse_unfit(None)
        with pytest.raises(SetupError, match=f"lacks {self.tool}"):
            through.refuse_unfit(None)

    def test_a_child_is_baked_through_an_open_window(self, world: WorldT, tmp_path: Path) -> None:
        """A sealed parent gets launch data with a key that is gone after the bake."""
        packer = self.make_packer(world)
        parent = Artifact("base", PARENT, self.parent, facts={"gigabytes": 12})
        world.make_target().images.bake(make_request(tmp_path, parent=parent), packer)
        launch = self.read_launch(packer.given)
        assert launch["login_key"].startswith("ssh-ed25519 ")
        assert time.time() < launch["window_ends"] <= time.time() + 60
        assert "PRIVATE KEY" in packer.key
        assert not Path(packer.given["login"]).exists()

    @pytest.mark.parametrize("moment", [0, 1])
    def test_who_finds_the_name_taken_takes_the_other_s_image(
        self, world: WorldT, tmp_path: Path, moment: int
    ) -> None:
        """At the end of its own bake, or as it begins; another failure of Packer stays one."""
        request = make_request(tmp_path, lock=self.find_lock(world))
        catalog = world.make_target().images
        with pytest.raises(ImageError, match="failed"):
            catalog.bake(request, self.make_packer(world, fails="a script failed"))
        packer = self.make_packer(world)
        packer.fails = packer.taken[moment]
        (made,) = {catalog.bake(request, packer).id, *(one.id for one in catalog.list())}
        assert made

    def test_an_image_that_another_run_makes_is_waited_for(
        self, world: WorldT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is not touched, and taken when it is whole; nothing is baked beside it."""
        pending, said = self.begin_image(world), list[str]()

        def finish(_seconds: float) -> bool:
            self.finish_image(world, pending)
            return False

        monkeypatch.setattr(stopping.STOP, "wait", finish)
        request = make_request(tmp_path, lock=self.find_lock(world), say=said.append)
        packer = self.make_packer(world)
        artifact = world.make_target().images.bake(request, packer)
        assert (artifact.id, packer.given) == (pending, {})
        assert any("which another run bakes" in line for line in said)
