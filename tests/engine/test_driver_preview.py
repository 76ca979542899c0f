"""`./immutable preview` on the real engine: what it says is what the next update does."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from harness.ci_runner import Runner
from harness.engine.project import Project


def drive(project: Project, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run the driver in the project."""
    return project.run_driver(*words, **more)


def read_data(project: Project, *words: str) -> dict[str, Any]:
    """Return the data of a preview of dev."""
    done = drive(project, "preview", "--json", "-", *words)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    (stack,) = data["stacks"]
    return {**stack, "result": data["result"]}


def test_an_app_change_is_explained_and_then_done(serving: Project) -> None:
    """The file is named, bake and found are told apart, and the update makes what was said."""
    old = serving.live()
    before = drive(serving, "preview", "--exit-code")
    assert before.returncode == 0, before.stderr
    assert "Result: nothing to do" in before.stdout
    serving.edit("app/server.txt", "version two")
    said = read_data(serving)
    base, app = said["images"]
    assert (base["fate"], base["old"] == base["new"]) == ("found", True)
    assert (app["fate"], app["why"]) == ("to be baked", ["app/server.txt changed"])
    (web,) = said["services"]
    assert (web["move"], web["live"]["id"]) == ("replace", old)
    assert (web["launched"], web["retired"]) == (2, 0)
    assert web["servers"] == {"now": 2, "during": 4, "after": 4}
    assert {"operation": "create-replacement", "type": "Release", "name": "web"} in said["engine"][
        "steps"
    ]
    text = drive(serving, "preview", "--exit-code", "--markdown", "comment.md")
    assert text.returncode == 20, text.stderr
    assert "because app/server.txt changed" in text.stdout
    expected = f"generation {old} → {web['desired']['id']}, create before destroy"
    assert expected in text.stdout
    comment = (serving.root / "comment.md").read_text()
    assert comment.startswith("<!-- immutable-servers: dev -->\n")
    assert expected in comment
    assert serving.up().code == 0
    assert serving.live() == web["desired"]["id"]
    assert len(serving.fleets()) * 2 == web["servers"]["after"]


def test_parent_lock_and_standbys_are_named(serving: Project) -> None:
    """A new lock shows as the base's reason, the base as the app's, and the oldest standby goes."""
    first = serving.live()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    lock = serving.root / "packer/base/upstream.lock.json"
    lock.write_text(lock.read_text().replace("sha256:one", "sha256:two"))
    said = read_data(serving)
    base, app = said["images"]
    assert all(line.startswith("lock: ") for line in base["why"])
    assert base["why"]
    assert app["why"] == [f"parent base {base['old']} → base {base['new']}"]
    (web,) = said["services"]
    assert [generation["id"] for generation in web["going"]] == [first]
    assert [generation["id"] for generation in web["standbys"]] == [serving.live()]
    assert web["retired"] == 2


def test_settings_that_make_no_image(serving: Project) -> None:
    """More servers and another env bake nothing, and are told apart."""
    serving.services["web"]["servers"] = 3
    serving.write_settings()
    (web,) = read_data(serving)["services"]
    assert (web["move"], web["why"], web["launched"]) == ("resize", ["servers 2 → 3"], 1)
    serving.services["web"].update(servers=2, env={"GREETING": "hi"})
    serving.write_settings()
    said = read_data(serving)
    (web,) = said["services"]
    assert (web["move"], web["why"]) == ("replace", ["env.GREETING changed"])
    assert {image["fate"] for image in said["images"]} == {"found"}


def test_offline_needs_neither_engine_nor_target(serving: Project, tmp_path: Path) -> None:
    """Without `pulumi` on the PATH the same generations are named, and why is asked of git.

    Files are named as they are, whatever their bytes, and so is a submodule that is not fetched.
    """
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], cwd=serving.root, check=True)
    serving.edit("app/server.txt", "one")
    assert serving.up().code == 0
    subprocess.run([*git, "commit", "-qam", "two"], cwd=serving.root, check=True)
    serving.edit("app/server.txt", "two")
    for name in (b"caf\xe9.txt", "ä.txt".encode()):
        (serving.root / "app" / os.fsdecode(name)).touch()
    gitlink = f"160000,{'1' * 40},app/lib"
    for words in (
        ["config", "core.quotePath", "false"],
        ["update-index", "--add", "--cacheinfo", gitlink],
    ):
        subprocess.run([*git, *words], cwd=serving.root, check=True)
    online = read_data(serving)
    (serving.world / "traffic").rename(tmp_path / "nobody-asks")
    done = drive(
        serving, "preview", "--offline", "--json", "-", "--exit-code", PATH="/usr/bin:/bin"
    )
    assert done.returncode == 20, done.stderr
    (said,) = json.loads(done.stdout)["stacks"]
    assert said["services"][0]["desired"] == online["services"][0]["desired"]
    assert said["services"][0]["live"] == online["services"][0]["live"]
    why = ["app/caf\\xe9.txt added", "app/server.txt changed", "app/ä.txt added"]
    assert said["images"][1]["why"] == online["images"][1]["why"] == why
    assert said["commit"]
    assert not said["clean"]
    (unfetched,) = [note for note in said["notes"] if "submodule" in note]
    assert unfetched.startswith("app/lib is a submodule that is not fetched")
    assert online["engine"]["warnings"] == [unfetched]
    assert {image["fate"] for image in said["images"]} == {"not asked"}
    assert said["engine"] is None
    (serving.root.parent / "state").rename(tmp_path / "no-state")
    blind = drive(serving, "preview", "--offline", "--exit-code")
    assert blind.returncode == 20, blind.stderr
    assert "what serves now is not known" in blind.stdout
    assert "the first" not in blind.stdout


def test_errors_in_the_settings_stand_in_the_comment(serving: Project) -> None:
    """They are reported together, with the exit code of their branch, online and offline."""
    serving.services["web"].update(servers=0, port="x")
    serving.write_settings()
    for flags in ((), ("--offline",)):
        done = drive(serving, "preview", "--exit-code", "--markdown", "comment.md", *flags)
        assert done.returncode == 2, done.stderr
        comment = (serving.root / "comment.md").read_text()
        assert "services.web.servers" in comment
        assert "services.web.port" in comment
        assert done.stderr.count("error:") == 1


def test_all_stacks_and_one_that_does_not_exist(serving: Project) -> None:
    """`--all` previews each; an unknown stack is told which exist."""
    prod = serving.root / "Pulumi.prod.yaml"
    (serving.root.parent / "other-world").mkdir()
    prod.write_text(serving.stack_file.read_text().replace("../world", "../other-world"))
    done = drive(serving, "preview", "--all", "--json", "all.json", "--exit-code")
    assert done.returncode == 20, done.stderr
    data = json.loads((serving.root / "all.json").read_text())
    assert [stack["stack"] for stack in data["stacks"]] == ["dev", "prod"]
    assert data["stacks"][1]["services"][0]["move"] == "first"
    unknown = drive(serving, "preview", "prd")
    assert unknown.returncode == 2
    assert "dev, prod" in unknown.stderr
    assert "Did you mean prod?" in unknown.stderr


def test_the_steps_of_the_workflows_work_as_written(serving: Project, tmp_path: Path) -> None:
    """A preview is commented, commented again in its place, and then deployed, in groups."""
    serving.edit("app/server.txt", "two")
    old = serving.live()
    runner = Runner.create(serving, tmp_path / "runner")
    for name in ("Preview of a fork", "Preview", "Summary"):
        runner.run("preview.yml", "preview", name)
    assert "### Stack `dev`" in runner.summary.read_text()
    runner.hand_over()
    runner.run("preview.yml", "comment", "Comment")
    assert "--method POST repos/me/shop/issues/7/comments" in runner.asked
    assert runner.comment.startswith("<!-- immutable-servers: dev -->\n<sub>Said by the branch's")
    assert f"generation {old} → " in runner.comment
    runner.found.write_text("42\n")
    runner.run("preview.yml", "comment", "Comment")
    assert "--method PATCH repos/me/shop/issues/comments/42" in runner.asked
    said = runner.run("deploy.yml", "dev", "Update")
    assert said.count("::group::") == said.count("::endgroup::") > 0
    assert "::group::verify web" in said
    assert serving.live() != old
    serving.assert_serving()
