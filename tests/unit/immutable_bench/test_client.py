"""The clients that ask while traffic moves, and what is counted of their answers."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR, create_server

import pytest
import tenacity

from immutable_bench.client import (
    Answer,
    count_early,
    find_longest_gap,
    find_percentile,
    measure_load,
    start_clients,
)
from immutable_bench.load_servers.target import ANSWERER


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Start a server of the load run and yield where it answers."""
    command = [
        sys.executable,
        "-I",
        "-S",
        str(ANSWERER),
        str(tmp_path),
        "3f2a9c41",
        "web-3f2a9c41-0",
    ]
    with subprocess.Popen(command) as server:
        tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda there: not there),
            wait=tenacity.wait_fixed(0.02),
            stop=tenacity.stop_after_delay(20),
        )((tmp_path / "port").exists)
        yield f"http://127.0.0.1:{(tmp_path / 'port').read_text()}"
        server.kill()


def test_clients_ask_by_the_clock_until_they_are_stopped(address: str) -> None:
    """Each request has an answer that names who gave it, on kept and on fresh connections."""
    with start_clients(address, 100) as clients:
        threading.Event().wait(0.5)
        faster = clients.set_rate(400)
        threading.Event().wait(0.5)
    answers = clients.answers
    assert {(one.ok, one.generation, one.why) for one in answers} == {(True, "3f2a9c41", "")}
    assert all(one.due <= one.at for one in answers)
    slow, fast = ([one.due for one in answers if (one.due >= faster) == late] for late in (0, 1))
    assert len(slow) >= 50
    assert len(fast) >= 200


def test_a_refusal_is_a_failure_with_its_reason() -> None:
    """A port where nobody listens fails each request, and the clients go on."""
    with start_clients("http://127.0.0.1:9", 50) as clients:
        threading.Event().wait(0.5)
    assert len(clients.answers) >= 25
    assert {(one.ok, one.generation) for one in clients.answers} == {(False, "")}
    assert all("ConnectionRefusedError" in one.why for one in clients.answers)


def test_a_connection_that_is_cut_under_its_request_is_a_failure() -> None:
    """A server that hangs up without an answer is noticed on every connection."""
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.recv(1000)
                    connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with start_clients(f"http://127.0.0.1:{port}", 50) as clients:
            threading.Event().wait(0.5)
        listener.shutdown(SHUT_RDWR)
        thread.join()
    assert clients.answers
    assert {one.ok for one in clients.answers} == {False}


def test_a_load_is_counted_within_its_spans() -> None:
    """Rate, failures, gap and latency are those of what was due there, and of nothing else."""
    answers = [Answer(due / 10, due / 10 + 0.01) for due in range(20)]
    answers += [Answer(0.55, 0.9, ok=False, why="status 503"), Answer(0.56, 0.97)]
    load = measure_load(answers, (0, 0.5), (0.5, 1))
    assert (load.requests, load.failed, load.rate) == (12, 1, 11)
    assert load.latency == pytest.approx(0.41)
    assert load.gap == pytest.approx(0.1)
    assert load.has_reached(11)
    assert not load.has_reached(12)
    assert measure_load([], (0, 1)).rate == 0


def test_the_percentile_is_a_value_that_was_measured() -> None:
    """Of 100 values one is above the 99th, of a few none is."""
    assert find_percentile([*range(1, 101)], 99) == 99
    assert find_percentile([3, 1, 2], 99) == 3
    assert find_percentile([], 99) == 0


def test_the_longest_gap_is_between_good_answers() -> None:
    """Failures between do not shorten it; answers come in any order."""
    answers = [Answer(0, 3), Answer(0, 1), Answer(0, 2, ok=False), Answer(0, 3.5)]
    assert find_longest_gap(answers) == 2
    assert find_longest_gap([]) == 0


def test_answers_before_the_verification_or_of_strangers_are_counted() -> None:
    """The old generation may always answer, the new one once it was verified, nobody else."""
    answers = [
        Answer(0, 1, generation="old"),
        Answer(0, 2, generation="new"),
        Answer(0, 4, generation="stranger"),
        Answer(0, 5, generation="new"),
        Answer(0, 6, ok=False),
    ]
    assert count_early(answers, "old", "new", verified=3) == 2
