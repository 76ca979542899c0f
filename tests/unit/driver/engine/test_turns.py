"""When a run waits for another one that holds the stack."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.engine.turns import take_turn
from immutable_servers.driver.terminal import console
from immutable_servers.system import stopping


@pytest.mark.parametrize("let_go", [True, False])
def test_a_holder_that_ended_meanwhile_is_tried_once_more(tmp_path: Path, *, let_go: bool) -> None:
    """Between the refusal and our look it may have let go; one that was killed never does."""
    with subprocess.Popen(["true"]) as ended:
        pass
    holder = f"created by me@{socket.gethostname()} (pid {ended.pid}) at 2026-01-01T00:00:00Z"
    locked = f"the stack is currently locked by 1 lock(s)\n  {holder}"
    answers = [locked, "done" if let_go else locked]
    said: list[str] = []
    with console.speaking_to(said.append):
        done = take_turn(Stack(tmp_path, "dev", {}, own=False), lambda: answers.pop(0), str)
    assert done == ("done" if let_go else locked)
    assert answers == []
    assert said == []


def test_a_run_that_ends_is_waited_for_and_said(tmp_path: Path) -> None:
    """Nobody holds the lock that its engine was given; the next try is when it has ended."""
    environment = {**os.environ, stopping.VARIABLE: str(tmp_path / "gone")}
    words, pipe = ["pulumi-of-a-test", "-c", "echo; read -r never"], subprocess.PIPE
    said: list[str] = []
    with subprocess.Popen(
        words, executable="/bin/sh", env=environment, stdin=pipe, stdout=pipe
    ) as engine:
        assert engine.stdin
        assert engine.stdout
        engine.stdout.readline()
        holder = f"created by me@{socket.gethostname()} (pid {engine.pid}) at 2026-01-01T00:00:00Z"
        answers = [f"the stack is currently locked by 1 lock(s)\n  {holder}", "done"]

        def end(line: str) -> None:
            said.append(line)
            engine.communicate(b"\n")

        with console.speaking_to(end):
            done = take_turn(Stack(tmp_path, "dev", {}, own=False), lambda: answers.pop(0), str)
    assert done == "done"
    assert "its engine still ends what was under way" in said[0]
    assert len(said) == 1
