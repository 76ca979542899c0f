"""Bakes that go wrong: a clear error, nothing left, and what served goes on serving."""

import os
import secrets
import signal
from contextlib import suppress

from harness.checkout import Outcome
from harness.local_stack import GONE_SECONDS, LocalStack, wait_until

PROVISION = "packer/app/provision.sh"
BAKING = ("qemu-system", "/output/disk.qcow2")
PACKER = ("packer ", " build ")
KILLED = (
    (PACKER, signal.SIGKILL, "was ended by the signal SIGKILL"),
    (PACKER, signal.SIGINT, "`packer build` of image app was interrupted"),
    (BAKING, signal.SIGKILL, "The machine of the bake ended before Packer could log in"),
    (BAKING, signal.SIGINT, "The machine of the bake ended before Packer could log in"),
)
"""Whose command line holds which words, what it is sent in a bake, and what is said then."""
FIRST = "sources=/var/tmp/sources\n"


def test_a_provisioning_script_that_fails(serving: LocalStack) -> None:
    """Packer's message and the log are named; no half artifact and no machine is left."""
    serving.change(PROVISION, FIRST, f"{FIRST}echo the disk is on fire\nexit 3\n")
    done = serving.up()
    (log,) = find_logs(serving, "the disk is on fire")
    done.assert_failed("non-zero exit status: 3", "the disk is on fire", log)
    assert_nothing_left(serving)


def test_a_bake_that_hangs(serving: LocalStack) -> None:
    """A bake is ended by its deadline, with all that it had started."""
    serving.deadline = "20s"
    serving.write_settings()
    serving.change(PROVISION, FIRST, f"{FIRST}exec sleep 3600\n")
    done = serving.up()
    done.assert_failed("passed its deadline of 20 s")
    assert_nothing_left(serving)


def test_a_template_that_packer_does_not_accept(serving: LocalStack) -> None:
    """The preview fails, with Packer's own message and line."""
    serving.edit("packer/app/local.pkr.hcl", "build {")
    done = serving.preview()
    done.assert_failed("local.pkr.hcl line")
    assert_nothing_left(serving)


def test_bakes_that_are_interrupted(serving: LocalStack) -> None:
    """After Ctrl-C and after `kill -9` no Packer and no QEMU runs, and the next `up` bakes it.

    When Packer or its machine is killed, the run ends at once and says so. While the last one runs,
    a second `up` of the same stack says who holds it, and fails.
    """
    live = serving.live()
    serving.edit("app/server.py", f"# {secrets.token_hex()}: no earlier session has baked this")
    with serving.start_up() as run:
        run.wait_until(lambda: serving.world.find_processes(*BAKING))
        assert run.interrupt() != 0, run.text
    wait_until(lambda: not serving.world.find_bakes(), GONE_SECONDS)
    with serving.start_up() as run:
        run.wait_until(lambda: serving.world.find_processes(*BAKING))
        run.kill_engine()
    wait_until(lambda: not serving.world.find_bakes(), GONE_SECONDS)
    for words, number, said in KILLED:
        done = kill_in_bake(serving, words, number)
        done.assert_failed(said, "the same command again")
        assert_nothing_left(serving)
    assert serving.live() == live
    with serving.start_up() as run:
        run.wait_until(serving.world.find_bakes)
        second = serving.up()
        assert run.wait() == 0, run.text
    second.assert_failed("locked", f"pid {run.process.pid}")
    assert serving.states()[live] == "standby"
    assert_nothing_left(serving)


def kill_in_bake(stack: LocalStack, words: tuple[str, ...], number: int) -> Outcome:
    """Bake, and signal processes while Packer waits for the login; the run fails by itself."""
    for log in (stack.root / ".immutable" / "logs").glob("bake-*.log"):
        log.unlink()
    with stack.start_up() as run:
        run.wait_until(lambda: find_logs(stack, "Waiting for SSH"))
        for pid in stack.world.find_processes(*words):
            with suppress(ProcessLookupError):  # It went with one that was killed before it.
                os.kill(pid, number)
        return Outcome(run.wait(), run.text, {}, [], [], {})


def assert_nothing_left(stack: LocalStack) -> None:
    """Assert that no bake runs and no half artifact is there, and the stack answers."""
    assert not stack.world.find_bakes()
    assert not stack.world.find_halves()
    assert not list((stack.root / ".immutable" / "bakes").glob("*"))
    assert stack.live()


def find_logs(stack: LocalStack, text: str) -> list[str]:
    """Return the paths of a stack's logs that hold some text."""
    logs = (stack.root / ".immutable" / "logs").glob("*.log")
    return [str(log) for log in logs if text in log.read_text()]
