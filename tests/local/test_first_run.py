"""The life of a stack, from the first `up` to its end, on real machines."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.ci_runner import Runner
from harness.haproxy_world import Client
from harness.local_stack import MIRROR, TOKEN, LocalStack, World, answers, wait_until
from immutable_servers.contract.asking import ask_every_node

ANSWERS = 50


@pytest.fixture(scope="module")
def stack(new_stack: Callable[[str, int], LocalStack]) -> LocalStack:
    """Return a stack with two servers that serves; the tests of this file follow its life."""
    made = new_stack("life", 2)
    made.update()
    return made


def test_the_first_run_ends_with_two_sealed_servers_that_answer(stack: LocalStack) -> None:
    """Two servers of the baked images answer at the address, and none takes a login any more."""
    said = stack.ask_version()
    assert set(said["images"]) == {"base", "app"}
    assert len({stack.ask_version()["server"] for _ in range(20)}) == 2
    assert len(stack.find_machine_processes()) == 2
    stack.assert_sealed(said["generation"])
    assert stack.ledger()["generations"][said["generation"]]["verified"]


def test_the_image_says_what_it_is(stack: LocalStack) -> None:
    """The artifact's facts name image, version, parents and commit."""
    images = stack.ask_version()["images"]
    folder = stack.world.data / "images" / "app" / images["app"]
    facts = json.loads((folder / "image.json").read_text())
    assert (facts["image"], facts["version"]) == ("app", images["app"])
    assert facts["parents"] == {"base": images["base"]}
    assert {"commit", "clean", "baked_at"} <= facts.keys()
    base = json.loads((folder.parents[1] / "base" / images["base"] / "image.json").read_text())
    assert base["archives"]


def test_no_private_key_is_in_the_state(stack: LocalStack) -> None:
    """The state, its secrets shown, holds no private key."""
    shown = stack.pulumi("stack", "export", "--show-secrets", "-s", stack.stack).stdout
    assert "deployment" in shown
    assert "PRIVATE KEY" not in shown


def test_the_secret_of_a_bake_is_nowhere(stack: LocalStack) -> None:
    """The bake used it, and its setting `bake`; image, log, state and machines hold neither."""
    folder = stack.world.data / "images" / "app" / stack.ask_version()["images"]["app"]
    used = hashlib.sha256(TOKEN.encode()).hexdigest()
    assert holds(folder / "disk.qcow2", used)
    assert holds(folder / "disk.qcow2", hashlib.sha256(MIRROR.encode()).hexdigest())
    places = (stack.root.parent, stack.folder, stack.world.folder / "run", folder)
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert len(files) > 20
    found = [str(path) for path in files for word in (TOKEN, MIRROR) if holds(path, word)]
    assert found == []


def test_nothing_to_do_does_nothing(stack: LocalStack) -> None:
    """`up` again changes no resource."""
    assert stack.update().changes == {}


def test_the_workflows_work_as_written(stack: LocalStack, tmp_path: Path) -> None:
    """CI's own scripts preview and deploy the stack that serves, and propose a newer lock.

    The lock is written in a copy of the project, which is committed and pushed as a branch.
    """
    live = stack.live()
    runner = Runner.create(stack, tmp_path / "runner")
    for name in ("Preview of a fork", "Preview", "Summary"):
        runner.run("preview.yml", "preview", name)
    runner.hand_over()
    runner.run("preview.yml", "comment", "Comment")
    assert f"### Stack `{stack.stack}`: nothing to do" in runner.summary.read_text()
    assert "--method POST repos/me/shop/issues/7/comments" in runner.asked
    assert "nothing to do" in runner.run("deploy.yml", "dev", "Update")
    assert stack.live() == live
    (stack.root / "immutable").unlink()

    hidden = shutil.ignore_patterns(".*")
    copy = shutil.copytree(stack.root, tmp_path / "copy", symlinks=True, ignore=hidden)
    lock = "packer/base/upstream.lock.json"
    (copy / lock).write_text('{"rebuild": 0, "entries": {}}')
    run_git(tmp_path, "init", "--quiet", "--bare", "origin")
    for words in (["init", "--quiet"], ["remote", "add", "origin", "../origin"], ["add", "packer"]):
        run_git(copy, *words)
    run_git(copy, "-c", "user.name=me", "-c", "user.email=me@example.com", "commit", "-qm", "one")
    weekly = Runner.create(stack, tmp_path / "weekly", copy)
    weekly.run("rebuild.yml", "locks", "Look for newer upstreams")
    weekly.run("rebuild.yml", "locks", "Open a pull request")
    pushed = run_git(tmp_path / "origin", "show", f"immutable-servers/locks:{lock}")
    assert json.loads(pushed)["entries"]["local"]
    assert "pr create --head immutable-servers/locks" in weekly.asked


def run_git(folder: Path, *words: str) -> str:
    """Run git, and return what it printed."""
    return subprocess.run(
        ["git", *words], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def test_a_change_under_load_and_back_again(stack: LocalStack) -> None:
    """A byte of the app makes a new generation, and a revert goes back, with no failed answer.

    No answer is a generation's that was not verified yet; the old one is kept as standby, and
    the way back to it bakes and boots nothing.
    """
    old = stack.live()
    with stack.start_clients() as clients:
        stack.edit("app/server.py", "# a change")
        done = stack.update()
        new = stack.live()
        wait_for(clients, new)
        assert "traffic web: API " in done.text
        assert "cannot be asked" not in done.text
        assert "create Image app" not in done.steps
        assert not [step for step in done.steps if step.endswith(" Image base")]
        assert stack.states() == {old: "standby", new: "live"}
        machines = stack.find_machine_processes()
        (answer,) = ask_every_node(f"http://127.0.0.1:{stack.port}", "example.com", "/")
        assert (answer.status, answer.names) == (200, (f"web-{new}",))
        for client in clients:
            assert client.first[new] >= done.ended["Verification"]
            client.answers[old] = 0
        stack.put_back("app/server.py")
        back = stack.update()
        wait_for(clients, old)
    assert stack.states() == {old: "live", new: "standby"}
    assert "baked in" not in back.text
    assert "booting" not in back.text
    assert stack.find_machine_processes() == machines
    answered: Counter[str] = sum((client.answers for client in clients), Counter())
    assert set(answered) == {old, new}
    stack.assert_sealed(new)
    assert stack.update().changes == {}


def test_a_delete_that_is_killed_half_way_is_finished(stack: LocalStack) -> None:
    """With one of two servers gone and the provider killed, the fleet goes with the next `up`."""
    live, standby = stack.live(), find_standby(stack)
    gone, *_, held = find_pids(stack, standby)
    os.kill(held, signal.SIGSTOP)  # so that the delete waits for it
    keep(stack, 0)
    with stack.start_up() as run:
        run.wait_until(lambda: gone not in stack.find_machine_processes())
        run.kill_provider()
        assert run.wait() != 0, run.text
    assert "Traceback" not in run.text
    assert stack.find_machine_processes(standby) == [held]
    os.kill(held, signal.SIGCONT)
    stack.update()
    assert stack.states() == {live: "live", standby: "retired"}
    assert not stack.find_machine_processes(standby)
    assert stack.update().changes == {}
    stack.assert_nothing_left()


def test_an_engine_that_is_killed_after_the_traffic_moved(stack: LocalStack) -> None:
    """The reverted source sends the traffic back to what served, which neither bakes nor boots.

    What serves when the engine is killed is the source of the deleted generation, made again from
    its artifact as a new round.
    """
    keep(stack, 1)
    old, machines = stack.live(), stack.find_machine_processes()
    earlier = stack.states()
    stack.edit("app/server.py", "# a change")
    with stack.start_up() as run:
        pointer = stack.folder / "balancer" / "traffic.map"  # written when HAProxy has confirmed
        run.wait_until(lambda: old not in pointer.read_text())
        run.kill_engine()
    new = stack.live()
    assert new not in earlier
    assert "baked in" not in run.text
    assert set(machines) < set(stack.find_machine_processes())
    stack.put_back("app/server.py")
    with stack.start_clients() as clients:
        back = stack.update()
        wait_for(clients, old)
    assert "booting" not in back.text
    assert stack.states()[old] == "live"
    answered: Counter[str] = sum((client.answers for client in clients), Counter())
    assert set(answered) <= {old, new}
    assert set(machines) <= set(stack.find_machine_processes())
    assert stack.update().changes == {}
    stack.assert_nothing_left()


def test_a_balancer_that_is_killed_comes_back_at_the_same_address(stack: LocalStack) -> None:
    """`status` says that it is gone, and `up` starts it; no server is touched."""
    live, machines = stack.live(), stack.find_machine_processes()
    for pid in stack.find_balancer_processes():
        os.kill(pid, signal.SIGKILL)
    asked = stack.run_driver("status", stack.stack)
    assert "the balancer does not run" in asked.stdout, asked.stdout + asked.stderr
    stack.update()
    assert stack.live() == live
    assert stack.find_machine_processes() == machines
    stack.assert_nothing_left()


def test_after_a_reboot_the_same_generation_answers_at_the_same_address(stack: LocalStack) -> None:
    """With every machine and the balancer killed, `up` brings all of it back, sealed."""
    live, states = stack.live(), stack.states()
    for pid in (*stack.find_machine_processes(), *stack.find_balancer_processes()):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not answers(stack.port), 20)
    done = stack.update()
    assert "baked in" not in done.text
    assert stack.live() == live
    assert stack.states() == states
    assert len(stack.find_machine_processes(live)) == 2
    stack.assert_sealed(live)


def test_destroy_leaves_the_images_alone(stack: LocalStack, world: World) -> None:
    """After `destroy` no process, port or folder of the stack is left, and the images are."""
    images = sorted((world.data / "images").glob("*/*/disk.qcow2"))
    done = stack.destroy()
    assert done.code == 0, done.text
    assert not stack.find_machine_processes()
    assert not stack.find_balancer_processes()
    assert not answers(stack.port)
    assert not stack.folder.exists()
    assert sorted((world.data / "images").glob("*/*/disk.qcow2")) == images


def keep(stack: LocalStack, standbys: int) -> None:
    """Have so many standbys kept from the next run on."""
    stack.services["web"]["keep"] = standbys
    stack.write_settings()


def find_standby(stack: LocalStack) -> str:
    """Return the one standby."""
    (found,) = (generation for generation, state in stack.states().items() if state == "standby")
    return found


def find_pids(stack: LocalStack, generation: str) -> list[int]:
    """Return the pids of a generation's machines, in the order of the servers."""
    files = sorted(stack.generation_folder(generation).glob("servers/*/pid"))
    return [int(file.read_text()) for file in files]


def wait_for(clients: list[Client], generation: str) -> None:
    """Wait until each client was answered by a generation often enough to be sure."""
    for client in clients:
        client.wait_for(generation, ANSWERS)


def holds(path: Path, text: str) -> bool:
    """Say whether a file holds some text, without reading it as a whole."""
    return not subprocess.run(["grep", "-qaF", "--", text, path], check=False).returncode
