"""What a check must do to pass: run to its end, in real pytest processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from immutable_servers.verification.report import Report

Check = Callable[..., Report]

THREAD = (
    "from threading import Thread\n"
    "def bad(): assert 0, 'in a thread'\n"
    "def test_it():\n"
    "    thread = Thread(target=bad)\n"
    "    thread.start()\n"
    "    thread.join()\n"
)
EVENTUALLY = "import pytest\n@pytest.mark.eventually\n"


@pytest.mark.parametrize("head", ["", EVENTUALLY], ids=["plain", "eventually"])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("async def test_it(host): assert False\n", "it is `async def` or a generator"),
        ("async def test_it():\n    assert False\n    yield\n", "it is `async def` or a generator"),
        ("def test_it(): yield\n", "'yield' keyword is allowed in fixtures, but not in tests"),
        ("def test_it(host): return host.file('/nope').exists\n", "it returned False"),
        ("def test_it(): return 0\n", "it returned 0, which nobody reads: use `assert`"),
        ("def test_it(): return 'x' * 3_000_000\n", "more characters), which nobody reads"),
        ("def test_it(): return other()\nasync def other(): assert 0\n", "it returned <coroutine"),
        ("def test_it(): return (x for x in '')\n", "it returned <generator"),
    ],
)
def test_a_check_that_nobody_runs_or_reads_fails(
    check: Check, head: str, body: str, message: str
) -> None:
    """Coroutines, generators and returned values prove nothing, with or without `eventually`."""
    report = check(f"{head}{body}def test_good(): pass\n")
    assert not report.ok
    assert report.servers[0].failed == 1
    assert message in "\n".join(report.describe_failures())


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("async def test_it(self): assert 0", "It is deprecated to return a value"),
        ("def test_it(self): return False", "It is deprecated to return a value"),
        ("def test_it(self): yield", "It is deprecated to return a value"),
        ("def __init__(self, *_): super().__init__()", "no attribute 'runTest'"),
    ],
)
def test_a_method_of_a_test_case_is_held_to_the_same(
    check: Check, method: str, message: str
) -> None:
    """`unittest` warns of what it does not run; here that is a failure."""
    case = f"import unittest\nclass TestIt(unittest.TestCase):\n    {method}\n"
    report = check(f"{case}    def test_good(self): pass\ndef test_good(): pass\n")
    assert not report.ok
    assert message in "\n".join(report.describe_failures())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "class TestIt:\n    def __init__(self): pass\n    def test_it(self): assert 0\n",
            "cannot collect test class 'TestIt' because it has a __init__ constructor",
        ),
        ("test_it = 3\n", ""),
        (
            "import pytest\n@pytest.fixture\nasync def page(): 0\ndef test_it(page): assert page\n",
            "requested an async fixture 'page'",
        ),
        (THREAD, "AssertionError: in a thread"),
    ],
)
def test_what_pytest_only_warns_of_fails(check: Check, text: str, message: str) -> None:
    """A class that is left out, a fixture that nobody awaits, an assertion lost in a thread."""
    report = check(f"{text}def test_good(): pass\n")
    assert report.ok == (not message)
    assert message in "\n".join(report.describe_failures())


@pytest.mark.parametrize("named", [(), ("PYTHONOPTIMIZE", "PYTHONWARNINGS")])
def test_assertions_of_helpers_count(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...]
) -> None:
    """`PYTHONOPTIMIZE` takes assertions out of modules that pytest does not rewrite."""
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    (tmp_path / "checks" / "helpers.py").write_text("def must(truth): assert truth\n")
    text = "from helpers import must\ndef test_it(host): must(host.file('/nope').exists)\n"
    report = check(text, environment=named)
    assert (report.ok, report.servers[0].failed) == (False, 1)


RUNNER = (
    "import asyncio, inspect\n"
    "def pytest_pyfunc_call(pyfuncitem):\n"
    "    if inspect.iscoroutinefunction(pyfuncitem.obj):\n"
    "        asyncio.run(pyfuncitem.obj())\n"
    "        return True\n"
)


def test_a_conftest_may_run_coroutines(check: Check, tmp_path: Path) -> None:
    """What a conftest beside the checks runs has run, so it passes and fails as any other."""
    (tmp_path / "checks" / "conftest.py").write_text(RUNNER)
    report = check("async def test_it(): pass\nasync def test_bad(): assert 1 == 2\n")
    assert (report.servers[0].passed, report.servers[0].failed) == (1, 1)
    assert "assert 1 == 2" in report.describe_failures()[0]


def test_what_a_conftest_leaves_out_is_skipped(check: Check, tmp_path: Path) -> None:
    """A check that is deselected did not run, and is counted as others that did not."""
    (tmp_path / "checks" / "conftest.py").write_text(
        "def pytest_collection_modifyitems(items):\n"
        "    items[:] = [item for item in items if 'good' in item.name]\n"
    )
    report = check("def test_good(): pass\ndef test_bad(): assert 0\n")
    assert report.ok
    assert (report.servers[0].passed, report.servers[0].skipped) == (1, 1)
    assert "1 skipped" in report.summary()
    assert not check("def test_bad(): assert 0\n").ok


@pytest.mark.parametrize(
    "end", ["pytest.exit('enough', returncode=0)", "__import__('os')._exit(0)"]
)
@pytest.mark.parametrize(
    "fixture",
    ["{end}\n    yield", "yield\n    {end}"],
    ids=["setup", "teardown"],
)
@pytest.mark.parametrize("scope", ["function", "session"])
def test_pytest_that_is_ended_by_a_fixture_has_not_passed(
    check: Check, end: str, fixture: str, scope: str
) -> None:
    """Also in the last check's teardown: what would have come after it has not run."""
    report = check(
        f"import pytest\n@pytest.fixture(scope={scope!r})\ndef page():\n"
        f"    {fixture.format(end=end)}\n"
        "def test_good(): pass\n"
        "def test_it(page): pass\n"
    )
    assert not report.ok
    assert (
        "pytest ended with exit code 0, but its results are not complete: 1 of 2" in report.reason
    )


def test_a_long_assertion_is_shown_and_kept_in_short(check: Check) -> None:
    """Megabytes of a message reach neither the terminal nor the state, nor fill the reports."""
    report = check(
        "def test_line(): assert 'a' * 3_000_000 == 'b'\n"
        "def test_raised(): raise RuntimeError('a' * 3_000_000)\n"
        "def test_lines(): raise RuntimeError('a\\n' * 1_500_000)\n"
        "def test_name(word): pass\n"
        "def pytest_generate_tests(metafunc):\n"
        "    if 'word' in metafunc.fixturenames:\n"
        "        metafunc.parametrize('word', ['a' * 3_000_000])\n"
    )
    assert report.servers[0].failed == 3
    assert len(str(report.to_plain())) < 10_000
    assert len(report.summary()) < 100
    assert Path(report.junit).stat().st_size < 500_000
