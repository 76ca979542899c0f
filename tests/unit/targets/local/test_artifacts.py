"""The images on this machine, and how a bake becomes one: with a Packer that only writes a disk."""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from immutable_servers.contract.images import Packer
from immutable_servers.contract.values import Artifact, BakeRequest
from immutable_servers.errors import ImageError
from immutable_servers.targets.local import LocalTarget, layout
from immutable_servers.targets.local import bake as bake_module
from immutable_servers.targets.local.artifacts import verify_artifact
from immutable_servers.targets.local.qcow2 import read_backing_file
from immutable_servers.targets.local.upstream import Upstream

BASE, APP = "ba5e00000001", "a99000000001"


class FakePacker(Packer):
    """Writes an overlay as the qemu builder does, and keeps what it was given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.variables: Mapping[str, str] = {}
        self.credential = ""

    def build(
        self, variables: Mapping[str, str], watch: Callable[[str], None] | None = None
    ) -> Mapping[str, Any]:
        """Make the disk."""
        self.variables = variables
        (credential,) = json.loads(variables["credentials"])
        self.credential = Path(credential).read_text()
        output = Path(variables["output"])
        output.mkdir()
        make_disk(output / "disk.qcow2", variables["disk"])
        if self.error:
            raise self.error
        return {}


def make_disk(file: Path, backing: str = "") -> None:
    options = ["-F", "qcow2", "-b", backing] if backing else []
    size = [] if backing else ["1M"]
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *options, str(file), *size]
    subprocess.run(command, check=True)


class World:
    """A folder of images, and requests to bake into it."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path
        self.images = layout.images_dir()
        self.catalog = LocalTarget({"accelerator": "tcg"}).images
        self.said: list[str] = []

    def request(self, image: str, version: str, parent: Artifact | None = None) -> BakeRequest:
        """Return a request as `MachineImage` makes it."""
        lineage = {
            "image": image,
            "version": version,
            "parents": {parent.image: parent.version} if parent else {},
            "baked_at": f"2026-01-01T00:00:0{1 if parent else 0}Z",
        }
        return BakeRequest(
            image=image,
            version=version,
            template=self.root / "template",
            sources=self.root / "sources",
            parent=parent,
            lock={"suite": "trixie", "release": "sha256:00"},
            variables={},
            secrets={},
            lineage=lineage,
            manifest={"template/provision.sh": "sha256:11"},
            log=self.root / "bake.log",
            deadline=60,
            say=self.said.append,
        )

    def bake_both(self) -> tuple[Artifact, Artifact]:
        """Bake a base and an app on top of it."""
        base = self.catalog.bake(self.request("base", BASE), FakePacker())
        app = self.catalog.bake(self.request("app", APP, base), FakePacker())
        return base, app


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    upstream = tmp_path / "data" / "upstream" / "key"
    upstream.mkdir(parents=True)
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    make_disk(upstream / "disk.qcow2")
    for name in ("vmlinuz", "initrd.img"):
        (upstream / name).write_text(name)
    found = Upstream(upstream, {"trixie": "sha256:22"}, newer=False)
    monkeypatch.setattr(bake_module, "provide_upstream", lambda *_, **__: found)
    return World(tmp_path)


def test_bake_gives_a_whole_artifact(world: World) -> None:
    """A base's disk stands alone; its facts hold lineage, manifest and archive digests."""
    base, _ = world.bake_both()
    assert (base.id, base.parents) == (f"base/{BASE}", {})
    assert base.facts["archives"] == {"trixie": "sha256:22"}
    folder = world.images / base.id
    assert read_backing_file(folder / "disk.qcow2") is None
    assert json.loads((folder / "manifest.json").read_text()) == {
        "template/provision.sh": "sha256:11"
    }
    verify_artifact(world.images, base.id)


def test_app_lies_on_its_parent_by_a_relative_path(world: World) -> None:
    """The folder of all images can be moved: an overlay names its parent relative to itself."""
    _, app = world.bake_both()
    assert app.parents == {"base": BASE}
    moved = world.images.rename(world.root / "elsewhere")
    backing = read_backing_file(moved / app.id / "disk.qcow2")
    assert backing == moved / "base" / BASE / "disk.qcow2"
    verify_artifact(moved, app.id)


def test_nothing_is_left_of_a_failed_bake(world: World) -> None:
    """No artifact, no half, no key stays when Packer fails."""
    with pytest.raises(ImageError, match="exit code 3"):
        world.catalog.bake(
            world.request("base", BASE),
            FakePacker(ImageError("`packer build` failed with exit code 3")),
        )
    assert list((world.images / "base").iterdir()) == []
    assert [path for path in (world.root / "run").rglob("*") if path.is_file()] == []
    assert world.catalog.list() == []


def test_login_of_a_bake_is_its_own_and_goes(world: World) -> None:
    """An upstream guest gets systemd's credential, a sealed one an open window; no key is kept."""
    base_packer, app_packer = FakePacker(), FakePacker()
    base = world.catalog.bake(world.request("base", BASE), base_packer)
    world.catalog.bake(world.request("app", APP, base), app_packer)
    assert "ssh.authorized_keys.root=" in base_packer.credential
    assert "immutable.launch=" in app_packer.credential
    for packer in (base_packer, app_packer):
        assert not Path(packer.variables["login"]).exists()
    assert base_packer.credential != app_packer.credential


def test_damaged_parent_is_not_baked_on(world: World) -> None:
    """A parent whose checksums fail stops the bake before Packer starts."""
    base, _ = world.bake_both()
    with (world.images / base.id / "disk.qcow2").open("ab") as file:
        file.write(b"x")
    packer = FakePacker()
    with pytest.raises(ImageError, match=r"disk\.qcow2"):
        world.catalog.bake(world.request("app", "a99000000002", base), packer)
    assert packer.variables == {}


@pytest.mark.parametrize("name", ["disk.qcow2", "vmlinuz", "image.json", "SHA256SUMS"])
def test_only_whole_artifacts_are_found(world: World, name: str) -> None:
    """An artifact that lacks a file, or whose parent lacks one, is not there."""
    base, app = world.bake_both()
    (world.images / base.id / name).unlink()
    assert world.catalog.find("base", BASE) is None
    assert world.catalog.find("app", APP) is None
    assert [artifact.id for artifact in world.catalog.list()] == [app.id]


def test_unknown_version_is_not_found(world: World) -> None:
    """A version that nobody baked is None."""
    assert world.catalog.find("base", BASE) is None


def test_list_is_oldest_first(world: World) -> None:
    """All images are listed in the order of their bakes."""
    base, app = world.bake_both()
    assert [artifact.id for artifact in world.catalog.list()] == [base.id, app.id]


def test_marks_are_kept_beside(world: World) -> None:
    """A mark is written, read back and removed without touching what the checksums cover."""
    base, _ = world.bake_both()
    world.catalog.mark(base, "verified", "2026-01-01")
    found = world.catalog.find("base", BASE)
    assert found is not None
    assert found.facts["marks"] == {"verified": "2026-01-01"}
    verify_artifact(world.images, base.id)
    world.catalog.mark(base, "verified", "")
    found = world.catalog.find("base", BASE)
    assert found is not None
    assert found.facts["marks"] == {}


def test_parent_of_an_artifact_is_not_deleted(world: World) -> None:
    """Deleting what another disk lies on is refused, and named."""
    base, app = world.bake_both()
    with pytest.raises(ImageError, match=f"{app.id} was baked from it"):
        world.catalog.delete(base)
    world.catalog.delete(app)
    world.catalog.delete(base)
    assert world.catalog.list() == []


def test_artifact_of_a_server_is_not_deleted(world: World) -> None:
    """A server's disk was baked from its artifact, which stays as long as the server does."""
    _, app = world.bake_both()
    server = world.images.parent / "stacks/p/dev/generations/web-3f2a9c41/servers/0"
    server.mkdir(parents=True)
    make_disk(server / "disk.qcow2", str(world.images / app.id / "disk.qcow2"))
    with pytest.raises(ImageError, match="cannot be deleted"):
        world.catalog.delete(app)
    assert world.catalog.find("app", APP) is not None


def test_version_that_was_damaged_is_baked_again(world: World) -> None:
    """A bake takes the place of a folder that is not whole."""
    base, _ = world.bake_both()
    (world.images / base.id / "vmlinuz").unlink()
    again = world.catalog.bake(world.request("base", BASE), FakePacker())
    assert replace(again, facts={}) == replace(base, facts={})
    assert world.catalog.find("app", APP) is not None
