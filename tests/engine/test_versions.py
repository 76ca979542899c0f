"""A version is its whole digest: what meets in its short name is never used for the other."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.engine.project import Project
from harness.engine.watcher import start_watching
from immutable_servers.contract import digests
from immutable_servers.identity import compute_versions
from immutable_servers.settings import Settings

SOURCE = "app/server.txt"
REVIEWED, EVIL = "as reviewed", "with a back door, number {}"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what this process digests to itself."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "digested"))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have versions of one digit, here and in every process of a run."""
    monkeypatch.setenv("INSTANT_DIGITS", "1")
    monkeypatch.setattr(digests, "DIGITS", 1)


def compute(project: Project) -> str:
    """Return the version of the checkout's app."""
    plain = {"target": "instant", "images": project.images, "services": {}}
    return compute_versions(project.root, Settings.model_validate(plain), "x86_64")["app"].version


def say(project: Project, text: str) -> str:
    """Have the application say something, and return its version."""
    project.put_back(SOURCE)
    project.edit(SOURCE, text)
    return compute(project)


def say_evil(project: Project, version: str) -> None:
    """Look for a source of the same version that says something else."""
    assert any(say(project, EVIL.format(number)) == version for number in range(200))


@pytest.mark.usefixtures("short")
def test_two_sources_of_one_version_are_told_apart(serving: Project, tmp_path: Path) -> None:
    """What another branch has baked under the reviewed source's name is neither used nor lost.

    The preview names both digests and the way out, which works.
    """
    version = say(serving, REVIEWED)
    (tmp_path / "evil").mkdir()
    evil = serving.copy_to(tmp_path / "evil")
    say_evil(evil, version)
    done = evil.up()
    assert (done.code, evil.answer()) == (0, evil.read_source()), done.text
    made = f"images/app-{version}.json"
    shutil.copy(evil.world / made, serving.world / made)
    text, old = (serving.world / made).read_text(), serving.live()
    digest = json.loads(text)["digest"]
    for run in (serving.preview, serving.up):
        done = run()
        done.assert_failed("another than this run wants", digest, "--rebuild")
        assert (done.count("bake"), done.count("boot")) == (0, 0)
    assert ((serving.world / made).read_text(), serving.live()) == (text, old)

    (serving.root / "packer/app/upstream.lock.json").write_text('{"rebuild": 1}')
    assert compute(serving) != version, "the counter's version meets too: take another text"
    done = serving.up()
    assert (done.code, serving.answer()) == (0, serving.read_source()), done.text
    serving.ask_three_questions()


@pytest.mark.usefixtures("short")
def test_what_serves_is_not_the_other_source_of_its_version(serving: Project) -> None:
    """Its image is pruned, so nothing is there to compare: the ledger's digest says it."""
    version = say(serving, REVIEWED)
    assert serving.up().code == 0
    first = serving.live()
    say_evil(serving, version)
    serving.up().assert_failed("another than this run wants")
    (serving.world / f"images/app-{version}.json").unlink()
    with start_watching(serving.world):
        done = serving.up()
    assert (done.code, done.count("bake"), done.count("boot")) == (0, 1, 2), done.text
    assert (serving.live() != first, serving.answer()) == (True, serving.read_source())
    assert serving.ledger()["generations"][serving.live()]["round"] == 1


def forget_digests(project: Project) -> None:
    """Have state, images and fleets as a program left them that kept no digest."""
    file = project.root.parent / "state.json"
    project.pulumi("stack", "export", "-s", "dev", "--file", str(file))
    for path in (
        file,
        *project.world.glob("images/*.json"),
        *project.world.glob("fleets/*/*.json"),
    ):
        path.write_text(json.dumps(strip(json.loads(path.read_text()))))
    project.pulumi("stack", "import", "-s", "dev", "--file", str(file))


def strip(plain: Any) -> Any:  # noqa: ANN401 - plain values of any shape
    """Return plain values without any key `digest`."""
    if isinstance(plain, dict):
        return {key: strip(value) for key, value in plain.items() if key != "digest"}
    return [strip(value) for value in plain] if isinstance(plain, list) else plain


def test_a_stack_of_an_early_program_goes_on(serving: Project) -> None:
    """Its images prove their digests by their inputs: nothing to do, and no bake for another size.

    The ledger learns the digest of what serves.
    """
    digest = serving.ledger()["generations"][serving.live()]["digest"]
    assert len(digest) == 64
    forget_digests(serving)
    assert "digest" not in serving.ledger()["generations"][serving.live()]
    serving.ask_three_questions()
    assert serving.ledger()["generations"][serving.live()]["digest"] == digest
    serving.services["web"]["size"] = "medium"
    serving.write_settings()
    done = serving.up()
    assert (done.code, done.count("bake"), done.count("boot")) == (0, 0, 2), done.text
    serving.ask_three_questions()


def test_what_proves_nothing_serves_on_and_is_launched_no_more(serving: Project) -> None:
    """An early program's image without its inputs: the next launch is refused in the preview."""
    forget_digests(serving)
    (file,) = serving.world.glob("images/app-*.json")
    image = json.loads(file.read_text())
    del image["facts"]["manifest"]
    file.write_text(json.dumps(image))
    serving.ask_three_questions()
    old = serving.live()
    serving.services["web"]["size"] = "medium"
    serving.write_settings()
    for run in (serving.preview, serving.up):
        done = run()
        done.assert_failed("does not say what it was baked from", "update app --rebuild")
        assert (done.count("bake"), done.count("boot")) == (0, 0)
    assert serving.live() == old
    (serving.root / "packer/app/upstream.lock.json").write_text('{"rebuild": 1}')
    done = serving.up()
    assert (done.code, done.count("bake")) == (0, 1), done.text
    serving.ask_three_questions()
