"""Which process is ours, and that no other one is ever signalled."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from immutable_servers.system.processes import (
    Process,
    end_process,
    find_process,
    identify_process,
    is_maker_gone,
    read_process,
    signal_process,
    write_process,
)
from immutable_servers.system.supervisor import read_stat

PROGRAM = "import signal, sys; print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + PROGRAM


def _start(program: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, f"{folder}/pid"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    return process


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that names `tmp_path` in its command line."""
    with _start(PROGRAM, tmp_path) as process:
        yield process
        process.kill()


def test_a_process_is_found_while_it_becomes_another_program(tmp_path: Path) -> None:
    """HAProxy's master does so in each reload: it is not taken for gone."""
    script = tmp_path / "again"
    script.write_text('exec sh "$0"\n')
    with subprocess.Popen(["sh", script]) as process:
        try:
            found = identify_process(process.pid, script)
            assert found
            assert all(find_process(found) for _ in range(5000))
        finally:
            process.kill()


def _identify(child: subprocess.Popen[str], marker: Path) -> Process:
    found = identify_process(child.pid, marker)
    assert found
    return found


def test_a_running_process_is_found_until_it_ends(
    child: subprocess.Popen[str], tmp_path: Path
) -> None:
    """A process is found while it runs; one that is dead and not yet waited for is gone."""
    process = _identify(child, tmp_path)
    assert find_process(process)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not find_process(process)


def test_a_process_that_does_not_name_the_marker_is_not_ours(
    child: subprocess.Popen[str], tmp_path: Path
) -> None:
    """The marker has to be an argument, or a folder above one; a common beginning is not enough."""
    assert identify_process(child.pid, tmp_path / "other") is None
    assert identify_process(child.pid, Path(str(tmp_path)[:-1])) is None


def test_a_reused_pid_is_not_signalled(child: subprocess.Popen[str], tmp_path: Path) -> None:
    """A process of another start time, or of another boot, has only the pid in common."""
    process = _identify(child, tmp_path)
    for other in (replace(process, start=process.start - 1), replace(process, boot="earlier")):
        end_process(other, 0.1)
        assert not signal_process(other, signal.SIGKILL)
    assert child.poll() is None
    assert find_process(process)


def test_a_stubborn_process_is_killed(tmp_path: Path) -> None:
    """What ignores SIGTERM gets SIGKILL after the deadline."""
    with _start(STUBBORN, tmp_path) as child:
        end_process(_identify(child, tmp_path), 0.2)
        assert child.wait() == -signal.SIGKILL


def test_a_willing_process_is_not_killed(child: subprocess.Popen[str], tmp_path: Path) -> None:
    """SIGTERM is enough for a process that ends by it."""
    end_process(_identify(child, tmp_path), 5)
    assert child.wait() == -signal.SIGTERM


def test_a_process_is_found_by_its_pidfile_when_nobody_recorded_it(
    child: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Whoever started it may have been killed before writing the record."""
    record, pidfile = tmp_path / "process.json", tmp_path / "pid"
    pidfile.write_text(str(child.pid))
    found = read_process(record, pidfile, tmp_path)
    assert found == _identify(child, tmp_path)
    write_process(record, found)
    pidfile.write_text(str(os.getpid()))
    assert read_process(record, pidfile, tmp_path) == found


def test_a_record_that_was_copied_is_no_proof(child: subprocess.Popen[str], tmp_path: Path) -> None:
    """A copied folder of a machine does not own the original's process."""
    record = tmp_path / "process.json"
    write_process(record, _identify(child, tmp_path))
    assert read_process(record, tmp_path / "none", tmp_path)
    assert read_process(record, tmp_path / "none", tmp_path / "copy") is None


def test_ending_what_is_gone_does_nothing(tmp_path: Path) -> None:
    """No process, and a process that ended long ago, are no error."""
    end_process(None, 1)
    with _start(PROGRAM, tmp_path) as child:
        process = _identify(child, tmp_path)
        child.kill()
    end_process(process, 1)
    assert read_process(tmp_path / "none", tmp_path / "none", tmp_path) is None


def test_a_maker_that_nobody_has_reaped_is_gone(tmp_path: Path) -> None:
    """A killed engine's provider stays in `/proc` until its new parent asks for its exit code."""
    process = _start(PROGRAM, tmp_path)
    stat = read_stat(process.pid)
    assert stat
    mark = f"{process.pid}.{stat.started}"
    assert not is_maker_gone(mark)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert read_stat(process.pid)
    assert is_maker_gone(mark)
    process.wait()
    assert is_maker_gone(mark)
