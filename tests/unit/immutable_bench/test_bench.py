"""The parts of `bench` that need no machine."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR, create_server

import pytest
import tenacity

from immutable_bench import stacks, table
from immutable_bench.client import (
    Answer,
    count_early,
    find_longest_gap,
    find_percentile,
    measure_load,
    start_clients,
)
from immutable_bench.load import RATE, judge
from immutable_bench.load_servers.target import ANSWERER
from immutable_bench.memory import measure, start_sampling
from immutable_bench.runs import Rollback, Runs, Timing, find_address
from immutable_bench.scratch import MARK, Scratch, choose_settings, make_environment, was_made_of
from immutable_servers.driver.engine.reporter import Reporter
from immutable_servers.driver.engine.run import Ended
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.phases import Timeline
from immutable_servers.driver.project.files import read_values
from immutable_servers.errors import ImmutableError

SERVICE = {"image": "app", "servers": 2, "route": {"port": 8080}, "env": {"GREETING": "hello"}}
VALUES = {
    "target": "local",
    "images": {"base": {}, "app": {"parent": "base", "sources": ["source"]}},
    "services": {"web": SERVICE, "api": SERVICE},
}


def test_the_numbers_of_the_project_are_measured() -> None:
    """Each goal that the project states has a measurement."""
    assert stacks
    wanted = {"up-nothing", "preview-change", "app-change", "two-servers", "cutover", "memory"}
    assert wanted | {"rollback", "load"} <= set(table.MEASUREMENTS)


# the scratch stack


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """A scratch stack in a folder."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "source").mkdir()
    settings, service = choose_settings(VALUES, 4711)
    return Scratch(Stack(tmp_path, "bench-1", {}, own=True), settings, service)


def test_the_first_service_alone_is_measured_at_a_port_of_its_own() -> None:
    """The user's port may be in use by the user's own stack; the user's values stay as they are."""
    settings, service = choose_settings(VALUES, 4711)
    assert service == "web"
    assert settings["services"] == {"web": {**SERVICE, "route": {"port": 4711}}}
    assert SERVICE["route"] == {"port": 8080}
    with pytest.raises(ImmutableError, match="no service"):
        choose_settings({"services": {}}, 4711)


def test_the_stack_file_is_one_that_the_program_reads(scratch: Scratch) -> None:
    """What is written comes back under the project's name, with the new count and env."""
    scratch.write(3, MEASURED="yes")
    read = read_values(scratch.stack.root, "bench-1")
    service = read["services"]["web"]
    assert service["servers"] == 3
    assert service["env"] == {"GREETING": "hello", "MEASURED": "yes"}
    assert read["images"] == VALUES["images"]


def test_an_image_of_the_changed_source_is_known_by_its_manifest(scratch: Scratch) -> None:
    """Only images that a measurement has made are deleted after it."""
    scratch.change_source()
    assert (scratch.stack.root / "source" / scratch.change).exists()
    assert was_made_of(scratch.change, {"sources": {"source": {scratch.change: "sha256:1"}}})
    assert not was_made_of(scratch.change, {"sources": {"source": {"server.py": "sha256:1"}}})
    assert not was_made_of(scratch.change, {})


def test_nobody_s_backend_or_passphrase_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scratch stack's state lies in its own folder, whoever is logged in."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///elsewhere")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "theirs")
    made = make_environment(tmp_path)
    assert made["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/.immutable/state?metadata=skip"
    assert "theirs" not in made.values()
    assert made[MARK] == str(os.getpid())


# what the runs say


def test_traffic_has_moved_before_the_run_ends() -> None:
    """A phase lasts from its first start to its last end; without traffic the run's end counts."""
    reporter = Reporter(
        timeline=Timeline(spans={("bake", "app"): (11, 15), ("traffic", "web"): (30, 31)})
    )
    timing = Timing(40, 10, reporter)
    assert timing.phase("bake") == 4
    assert timing.phase("launch") == 0
    assert timing.until_traffic == 21
    assert Timing(40, 10, Reporter()).until_traffic == 40


def test_what_builds_on_a_failed_run_is_not_tried(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first failure is the answer to every measurement that needs the run."""
    tried: list[object] = []

    def fail(_stack: Stack, words: object, _reporter: Reporter) -> Ended:
        tried.append(words)
        return Ended(1, ["no luck"])

    monkeypatch.setattr("immutable_bench.runs.run_engine", fail)
    runs = Runs(scratch)
    for _ in range(2):
        with pytest.raises(ImmutableError, match="no luck"):
            _ = runs.changed
    assert len(tried) == 1


def test_the_address_is_an_output_of_the_run() -> None:
    """An output without it is an error, and not a request to nowhere."""
    assert find_address({"services": {"web": {"address": "http://x"}}}, "web") == "http://x"
    wrong: list[object] = [{}, {"services": {}}, {"services": {"web": {}}}, None]
    for outputs in wrong:
        with pytest.raises(ImmutableError, match="no address"):
            find_address(outputs, "web")


# the clients


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


def test_runs_and_the_time_between_are_told_apart() -> None:
    """A load run that was not answered at its rate is not met, whatever did not fail."""
    answers = [Answer(number / RATE, number / RATE + 0.02) for number in range(10 * RATE)]
    good = judge(answers, (0, 10), [(2, 3), (5, 6)])
    assert good.good
    assert "0 failed of 5000 in 10 s (500/s of 500)" in good.value
    assert not judge(answers[::2], (0, 10), [(2, 3)]).good
    assert not judge([*answers, Answer(4, 4, ok=False)], (0, 10), [(2, 3)]).good


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


def test_a_rollback_is_timed_until_the_standby_answers() -> None:
    """A standby that never answered took for ever; failures are counted."""
    answers = [
        Answer(10, 11, generation="live"),
        Answer(12, 12.5, generation="standby"),
        Answer(11, 12, ok=False),
        Answer(12, 13, generation="standby"),
    ]
    found = Rollback(10, "standby", answers)
    assert (found.seconds, found.failed) == (2.5, 1)
    assert Rollback(10, "other", answers).seconds == float("inf")


# memory


def test_memory_counts_marked_processes_but_machines(tmp_path: Path) -> None:
    """A child with the mark is counted, and alone; one that is named like a machine is not."""
    mark = f"{MARK}_TEST"
    variable = f"{mark}={os.getpid()}"
    assert measure(variable) == {}
    program = "import sys; kept = bytes(64_000_000); print(len(kept), flush=True); sys.stdin.read()"
    for name, counts in (("python", True), ("qemu-system-toy", False)):
        link = tmp_path / name
        link.symlink_to(sys.executable)
        with subprocess.Popen(
            [str(link), "-c", program],
            env={**os.environ, mark: str(os.getpid())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            taken = sum(measure(variable).values())
            child.kill()
        assert (taken > 4_000_000) == counts


def test_the_most_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample that is less than one before changes nothing."""
    samples = iter([5, 9, 3])
    over = threading.Event()

    def give(_variable: str) -> dict[str, int]:
        try:
            return {"pulumi": next(samples), "python": 1}
        except StopIteration:
            over.set()
            return {}

    monkeypatch.setattr("immutable_bench.memory.measure", give)
    monkeypatch.setattr("immutable_bench.memory.EVERY", 0.001)
    with start_sampling(MARK) as memory:
        assert over.wait(10)
    assert memory.most == 10
    assert memory.parts == {"pulumi": 9, "python": 1}
