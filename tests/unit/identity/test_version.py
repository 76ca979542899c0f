from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from immutable_servers.contract import digests
from immutable_servers.contract.values import Artifact
from immutable_servers.errors import ImageError, SettingsError
from immutable_servers.identity import (
    ImageInputs,
    compute_versions,
    explain_change,
    make_version,
)
from immutable_servers.identity.upstream_lock import read_lock, write_lock
from immutable_servers.images.staging import stage_image
from immutable_servers.settings import Settings

if TYPE_CHECKING:
    from immutable_servers.contract.target import Target

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
BASE, APP = "e2371a4e56a0", "358657bad760"


@dataclass
class ToyTarget:
    name: str = "local"
    architecture: str = "x86_64"
    packer_source: Path | None = None


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a small repository with a base and an app."""
    content = {
        ".gitignore": "__pycache__/\n",
        "packer/base/base.pkr.hcl": 'build {\n  sources = ["source.qemu.base"]\n}\n',
        "packer/base/local.pkr.hcl": 'source "qemu" "base" {}\n',
        "packer/base/aws.pkr.hcl": 'source "amazon-ebs" "base" {}\n',
        "packer/base/setup.sh": "#!/bin/sh\nset -eu\n",
        "packer/app/app.pkr.hcl": "build {}\n",
        "app/server.py": "print('hello')\n",
        "app/__pycache__/server.pyc": "x",
    }
    for name, text in content.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "packer/base/setup.sh").chmod(0o755)
    (tmp_path / "app/main.py").symlink_to("server.py")
    lock(tmp_path, "trixie")
    return tmp_path


def lock(root: Path, suite: str, target: str = "local", moment: datetime = NOW) -> None:
    folder = root / "packer/base"
    write_lock(
        folder,
        read_lock(folder).with_entry(
            target, "x86_64", {"suite": suite, "release": "sha256:00"}, moment
        ),
    )


def make_settings(**app: object) -> Settings:
    images = {"app": {"parent": "base", "sources": ["app"], **app}, "base": {}}
    return Settings.model_validate({"target": "local", "images": images, "services": {}})


def read(root: Path, **app: object) -> Mapping[str, str]:
    versions = compute_versions(root, make_settings(**app), "x86_64")
    return {image: found.version for image, found in versions.items()}


def test_golden_versions(root: Path) -> None:
    """Versions are pinned: a change here bakes every user's images again (then raise FORMAT)."""
    assert read(root) == {"base": BASE, "app": APP}


def test_the_digest_of_a_child_tells_parents_of_one_version_apart(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version takes twelve digits of its parent's; the digest takes all of them."""
    before = compute_versions(root, make_settings(), "x86_64")
    assert before["base"].digest.startswith(BASE)
    assert {len(one.digest) for one in before.values()} == {64}
    monkeypatch.setattr(digests, "DIGITS", 0)  # every pair meets
    first = compute_versions(root, make_settings(), "x86_64")
    (root / "packer/base/setup.sh").write_text("echo a back door\n")
    second = compute_versions(root, make_settings(), "x86_64")
    assert first["app"].version == second["app"].version
    assert first["app"].inputs == second["app"].inputs
    assert first["app"].digest != second["app"].digest


def test_parents_come_first(root: Path) -> None:
    """Images are in the order in which they are baked."""
    assert list(read(root)) == ["base", "app"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("app/server.py", {"app"}),
        ("app/new.py", {"app"}),
        ("packer/app/app.pkr.hcl", {"app"}),
        ("packer/base/setup.sh", {"base", "app"}),
        ("packer/base/local.pkr.hcl", {"base", "app"}),
        ("packer/base/aws.pkr.hcl", set()),
        ("packer/base/gcp.pkr.hcl", set()),
        ("packer/base/digitalocean.pkr.hcl", set()),
        ("app/__pycache__/server.pyc", set()),
        ("README.md", set()),
    ],
)
def test_a_file_counts_where_it_is_declared(root: Path, name: str, changes: set[str]) -> None:
    """A byte changes the image that declares it and its children, and no other."""
    before = read(root)
    with (root / name).open("a") as file:
        file.write("#")
    after = read(root)
    assert {image for image in before if before[image] != after[image]} == changes


def test_executable_bit_and_link_count(root: Path) -> None:
    """The executable bit and a link's target are content."""
    first = read(root)["app"]
    (root / "app/server.py").chmod(0o755)
    second = read(root)["app"]
    (root / "app/main.py").unlink()
    (root / "app/main.py").symlink_to("/elsewhere")
    assert len({first, second, read(root)["app"]}) == 3


def test_lock_counts_by_entry_and_counter(root: Path) -> None:
    """The target's own entry and the rebuild counter count; another's entry and the time do not."""
    first = read(root)
    lock(root, "noble", target="aws")
    lock(root, "trixie", moment=datetime(2026, 2, 1, tzinfo=UTC))
    assert read(root) == first
    lock(root, "forky")
    second = read(root)
    write_lock(root / "packer/base", read_lock(root / "packer/base").with_rebuild())
    assert len({first["base"], second["base"], read(root)["base"]}) == 3
    assert first["app"] != second["app"]


def test_rebuild_of_a_child_counts(root: Path) -> None:
    """An image with a parent needs no lock, but may be rebuilt by its counter."""
    first = read(root)
    write_lock(root / "packer/app", read_lock(root / "packer/app").with_rebuild())
    assert read(root)["base"] == first["base"]
    assert read(root)["app"] != first["app"]


def test_variables_count_and_secrets_do_not(root: Path) -> None:
    """A plain variable is an input; a secret, the deadline and what update looks for are none."""
    first = read(root)["app"]
    assert read(root, variables={"greeting": "hello"})["app"] != first
    assert read(root, secrets=["license"], deadline="5m")["app"] == first


def test_inputs_come_back(root: Path) -> None:
    """Inputs that were kept with an image give its version again."""
    for found in compute_versions(root, make_settings(), "x86_64").values():
        assert (
            make_version(ImageInputs.from_plain(found.inputs.to_plain())).version == found.version
        )


def test_says_what_changed(root: Path) -> None:
    """Each changed input is one line, by its name."""
    before = compute_versions(root, make_settings(variables={"a": "1", "b": "1"}), "x86_64")
    assert explain_change(before["app"].inputs.to_plain(), before["app"].inputs) == []
    (root / "app/server.py").write_text("")
    (root / "app/main.py").unlink()
    (root / "app/new.py").write_text("")
    (root / "packer/app/app.pkr.hcl").write_text("")
    lock(root, "forky")
    after = compute_versions(root, make_settings(variables={"a": "2", "c": "1"}), "x86_64")
    assert explain_change(before["app"].inputs.to_plain(), after["app"].inputs) == [
        "packer/app/app.pkr.hcl changed",
        "app/main.py removed",
        "app/new.py added",
        "app/server.py changed",
        "variable a changed",
        "variable b removed",
        "variable c added",
        f"parent base {before['base'].version} → base {after['base'].version}",
    ]
    assert explain_change(before["base"].inputs.to_plain(), after["base"].inputs) == [
        "lock: suite changed"
    ]


def test_missing_lock_stops(root: Path) -> None:
    """Nothing outside is asked for what the lock does not say."""
    (root / "packer/base/upstream.lock.json").unlink()
    with pytest.raises(SettingsError, match=r"Run \./immutable update base"):
        read(root)


@pytest.mark.parametrize("sources", [["nowhere"], ["app/__pycache__"]])
def test_source_without_files_stops(root: Path, sources: list[str]) -> None:
    """A source that is missing, or wholly ignored, is no input."""
    with pytest.raises(ImageError, match="holds no file"):
        read(root, sources=sources)


def stage(root: Path, image: str, destination: Path, parent: str = "") -> ImageInputs:
    artifact = Artifact("base", parent, f"base/{parent}") if parent else None
    settings = make_settings().images[image]
    return stage_image(root, settings, image, cast("Target", ToyTarget()), artifact, destination)


def test_copy_has_the_version_of_the_checkout(root: Path, tmp_path: Path) -> None:
    """What is baked is what was hashed: the copy's own inputs give the same version."""
    versions = compute_versions(root, make_settings(), "x86_64")
    base = stage(root, "base", tmp_path / "staged-base")
    app = stage(root, "app", tmp_path / "staged-app", versions["base"].version)
    assert base == versions["base"].inputs
    assert app == versions["app"].inputs


def test_copy_holds_the_declared_files_alone(root: Path, tmp_path: Path) -> None:
    """No lock, no other target's sources, nothing ignored; bits and links are kept."""
    stage(root, "base", tmp_path / "base")
    stage(root, "app", tmp_path / "app-copy", "0" * 12)
    template = tmp_path / "base/template"
    found = sorted(file.name for file in template.iterdir())
    assert found == ["base.pkr.hcl", "local.pkr.hcl", "setup.sh"]
    assert (template / "setup.sh").stat().st_mode & 0o777 == 0o755
    source = tmp_path / "app-copy/sources/app"
    assert sorted(file.name for file in source.iterdir()) == ["main.py", "server.py"]
    assert str((source / "main.py").readlink()) == "server.py"


def test_copy_of_a_changed_checkout_has_another_version(root: Path, tmp_path: Path) -> None:
    """A file that changed after the version was computed shows in the copy."""
    planned = compute_versions(root, make_settings(), "x86_64")["base"]
    (root / "packer/base/setup.sh").write_text("#!/bin/sh\n")
    staged = stage(root, "base", tmp_path / "staged")
    assert make_version(staged).version != planned.version
    mended = replace(staged, template=planned.inputs.template)
    assert make_version(mended).version == planned.version
