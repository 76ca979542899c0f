"""The images on this machine, and how a bake becomes one: with a Packer that only writes a disk."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from immutable_servers.contract.images import Packer
from immutable_servers.contract.values import Artifact, BakeRequest, FleetSpec, Launch, Scope
from immutable_servers.errors import ImageError
from immutable_servers.images.template import make_packer_environment
from immutable_servers.targets.local import LocalTarget, layout
from immutable_servers.targets.local import bake as bake_module
from immutable_servers.targets.local.artifacts import compute_base, verify_artifact
from immutable_servers.targets.local.fleet_records import FleetRecord, write_record
from immutable_servers.targets.local.qcow2 import read_backing_file
from immutable_servers.targets.local.settings import Size
from immutable_servers.targets.local.upstream import Upstream

BASE, APP = "ba5e00000001", "a99000000001"


def digest(version: str) -> str:
    """Return a digest that begins with a version."""
    return version + "0" * 52


class FakePacker(Packer):
    """Writes an overlay as the qemu builder does, and keeps what it was given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.variables: Mapping[str, str] = {}
        self.credential = ""
        self.emulator: list[str] = []

    def build(
        self,
        variables: Mapping[str, str],
        watch: Callable[[str], None] | None = None,
        programs: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, Any]:
        """Make the disk."""
        assert not environment
        self.variables = variables
        (credential,) = json.loads(variables["credentials"])
        self.credential = Path(credential).read_text()
        assert programs
        self.emulator = run_emulator(programs)
        output = Path(variables["output"])
        output.mkdir()
        make_disk(output / "disk.qcow2", variables["disk"])
        if self.error:
            raise self.error
        return {}


def run_emulator(programs: Path) -> list[str]:
    """Return what the QEMU that Packer finds says of its version and of an open network."""
    options = (["-version"], ["-netdev", "user,id=a,net=192.0.2.0/24"])
    found = shutil.which(
        "qemu-system-x86_64", path=make_packer_environment(programs, {}, programs=programs)["PATH"]
    )
    done = [subprocess.run([str(found), *o], capture_output=True, text=True) for o in options]  # noqa: PLW1510
    return [one.stdout + one.stderr for one in done]


def make_disk(file: Path, backing: str = "", size: str = "1M") -> None:
    options = ["-F", "qcow2", "-b", backing] if backing else []
    sizes = [] if backing else [size]
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *options, str(file), *sizes]
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
            "digest": digest(version),
            "parents": {parent.image: parent.version} if parent else {},
            "baked_at": f"2026-01-01T00:00:0{1 if parent else 0}Z",
        }
        return BakeRequest(
            image=image,
            version=version,
            template=self.root / "template",
            inputs=self.root / "sources",
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


def test_no_template_gets_a_qemu_that_is_open(world: World) -> None:
    """The QEMU that Packer finds first runs within its walls; nothing of it is in the artifact."""
    packer = FakePacker()
    artifact = world.catalog.bake(world.request("base", BASE), packer)
    version, refused = packer.emulator
    assert "QEMU emulator version" in version
    assert "net is not taken. A guest must reach nothing of this machine." in refused
    names = {path.name for path in (world.images / artifact.id).iterdir()}
    assert names.isdisjoint({"programs", "output"})


def test_bake_gives_a_whole_artifact(world: World) -> None:
    """A base's disk stands alone; its facts hold lineage, manifest and archive digests."""
    base, app = world.bake_both()
    assert (base.id, base.parents) == (f"base/{BASE}", {})
    assert (base.digest, app.digest) == (digest(BASE), digest(APP))
    with pytest.raises(ImageError, match="another than this run wants"):
        world.catalog.find("app", APP, APP + "1" * 52)
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


def test_an_image_on_a_parent_that_was_baked_again_is_not_found(world: World) -> None:
    """What lies on other bytes than it was baked on is baked again; no server starts from it."""
    base, app = world.bake_both()
    verify_artifact(world.images, app.id)
    before = compute_base(world.images, app.id)
    assert before == compute_base(world.images, app.id) != compute_base(world.images, base.id)
    shutil.rmtree(world.images / base.id)
    assert compute_base(world.images, app.id) == ""
    make_disk(world.root / "data/upstream/key/disk.qcow2", size="2M")
    again = world.catalog.bake(world.request("base", BASE), FakePacker())
    assert again.id == base.id
    assert world.catalog.find("base", BASE, "") == again
    assert world.catalog.find("app", APP, "") is None
    with pytest.raises(ImageError, match=rf"\.\./\.\./base/{BASE}/disk\.qcow2"):
        verify_artifact(world.images, app.id)
    assert compute_base(world.images, app.id) not in ("", before)
    app = world.catalog.bake(world.request("app", APP, again), FakePacker())
    verify_artifact(world.images, app.id)


def test_an_image_of_an_earlier_program_is_found(world: World) -> None:
    """Its checksums do not name its parent's disk."""
    _, app = world.bake_both()
    sums = world.images / app.id / "SHA256SUMS"
    kept = [line for line in sums.read_text().splitlines(keepends=True) if "../" not in line]
    assert len(kept) == 5
    sums.write_text("".join(kept))
    assert world.catalog.find("app", APP, "") == app
    verify_artifact(world.images, app.id)


@pytest.mark.parametrize("name", ["disk.qcow2", "vmlinuz", "image.json", "SHA256SUMS"])
def test_only_whole_artifacts_are_found(world: World, name: str) -> None:
    """An artifact that lacks a file, or whose parent lacks one, is not there."""
    base, app = world.bake_both()
    (world.images / base.id / name).unlink()
    assert world.catalog.find("base", BASE, "") is None
    assert world.catalog.find("app", APP, "") is None
    assert [artifact.id for artifact in world.catalog.list()] == [app.id]


def test_unknown_version_is_not_found(world: World) -> None:
    """A version that nobody baked is None."""
    assert world.catalog.find("base", BASE, "") is None


def test_list_is_oldest_first(world: World) -> None:
    """All images are listed in the order of their bakes."""
    base, app = world.bake_both()
    assert [artifact.id for artifact in world.catalog.list()] == [base.id, app.id]


def test_marks_are_kept_beside(world: World) -> None:
    """A mark is written, read back and removed without touching what the checksums cover."""
    base, _ = world.bake_both()
    world.catalog.mark(base, "verified", "2026-01-01")
    found = world.catalog.find("base", BASE, "")
    assert found is not None
    assert found.facts["marks"] == {"verified": "2026-01-01"}
    verify_artifact(world.images, base.id)
    world.catalog.mark(base, "verified", "")
    found = world.catalog.find("base", BASE, "")
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
    assert world.catalog.find("app", APP, "") is not None


def test_version_that_was_damaged_is_baked_again(world: World) -> None:
    """A bake takes the place of a folder that is not whole."""
    base, _ = world.bake_both()
    (world.images / base.id / "vmlinuz").unlink()
    again = world.catalog.bake(world.request("base", BASE), FakePacker())
    assert replace(again, facts={}) == replace(base, facts={})
    assert world.catalog.find("app", APP, "") is not None


def test_an_artifact_that_anything_lies_on_is_not_deleted(world: World) -> None:
    """A server's or probe's disk of any stack, a bake under way, and a fleet without its servers.

    Whoever begins while it is deleted is seen as well, and it is put back.
    """
    base, app = world.bake_both()
    assert world.catalog.measure(base) > 0
    disk = world.images / app.id / "disk.qcow2"
    stack = layout.stacks_dir() / "another" / "dev"
    for overlay in (
        stack / "generations/web-aaaaaaaa/servers/0/overlay.qcow2",
        stack / "probes/web-aaaaaaaa/servers/0/overlay.qcow2",
        world.images / "top" / ".3f2a9c41d0e7.1.1" / "output" / "disk.qcow2",
    ):
        overlay.parent.mkdir(parents=True)
        make_disk(overlay, str(disk))
        with pytest.raises(ImageError, match="cannot be deleted") as raised:
            world.catalog.delete(app)
        assert raised.value.facts == (f"{overlay} lies on it",)
        overlay.unlink()
    fleet = stack / "generations" / "web-aaaaaaaa"
    launch = Launch("small", 80, "/")
    spec = FleetSpec(Scope("another", "dev", "web", "aaaaaaaa"), app.id, launch, 1, {})
    write_record(fleet, FleetRecord(spec, Size(memory=512, cpus=1)))
    with pytest.raises(ImageError, match="cannot be deleted"):
        world.catalog.delete(app)
    with pytest.raises(ImageError):  # as if it was launched right after the looks
        world.catalog._delete(app)
    assert disk.exists()
    shutil.rmtree(stack)
    with pytest.raises(ImageError, match=f"{app.id} was baked from it"):
        world.catalog.delete(base)
    world.catalog.delete(app)
    world.catalog.delete(base)
    assert world.catalog.list() == []
    assert list((world.images / "app").iterdir()) == []
