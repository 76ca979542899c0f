"""Verification's runner on testinfra's `local://` backend, with real pytest processes."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from immutable_servers.contract.values import Login
from immutable_servers.errors import VerificationError
from immutable_servers.identity.checks import digest_checks
from immutable_servers.verification.bodies import _StopAfterFirstFailure
from immutable_servers.verification.report import Report, ServerResult
from immutable_servers.verification.runner import MOST_SERVERS, _take_sample, run_checks

Check = Callable[..., Report]


def test_pass(check: Check, tmp_path: Path) -> None:
    """Every server's checks pass with testinfra's host and the server's own expectations."""
    said: list[str] = []
    report = check(
        "import pytest\n"
        "def test_root(host): assert host.file('/').is_directory\n"
        "@pytest.mark.parametrize('port', [80])\n"
        "def test_mine(host, expected, port):\n"
        "    assert expected['port'] == port and expected['server'].startswith('web-')\n"
        "def test_later(): pytest.skip('not here')\n",
        servers=("web-0", "web-1"),
        said=said,
    )
    assert report.ok, report
    assert [(one.server, one.passed, one.skipped) for one in report.servers] == [
        ("web-0", 2, 1),
        ("web-1", 2, 1),
    ]
    assert report.summary().startswith("4 checks passed on 2 servers, 2 skipped, in ")
    counts = [line for line in said if "%" not in line]
    assert sorted(counts) == [f"web-{at}: 2 passed, 0 failed, 1 skipped" for at in (0, 1)]
    assert {"web-0: test_root passed, 33 % done", "web-1: test_root passed, 33 % done"} <= {*said}

    suites = ET.parse(report.junit).getroot()  # noqa: S314 - our own file
    assert [suite.get("name") for suite in suites] == ["web-0", "web-1"]
    assert report.junit == str(tmp_path / "report" / "junit.xml")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "junit.xml",
        "web-0.log",
        "web-1.log",
    ]


def test_results_are_said_while_they_come(check: Check) -> None:
    """A failure at once, of passed checks at most one in a second."""
    said: list[str] = []
    passing = "".join(f"def test_{at}(): pass\n" for at in range(8))
    check(f"{passing}def test_no(): assert False\ndef test_broken(gone): pass\n", said=said)
    results = [line for line in said if "%" in line]
    assert results[0] == "web-0: test_0 passed, 10 % done"
    assert results[-2:] == [
        "web-0: test_no failed, 90 % done",
        "web-0: test_broken error, 100 % done",
    ]


def test_progress_does_not_wait_for_the_end(check: Check, tmp_path: Path) -> None:
    """A result is reported while later checks still run."""
    reported = tmp_path / "reported"

    class _Said(list[str]):
        def append(self, line: str) -> None:
            super().append(line)
            reported.touch()

    report = check(
        "import time\n"
        "from pathlib import Path\n"
        "def test_quick(): pass\n"
        "def test_later():\n"
        "    ends = time.monotonic() + 30\n"
        f"    while not Path({str(reported)!r}).exists():\n"
        "        assert time.monotonic() < ends\n"
        "        time.sleep(0.05)\n",
        said=_Said(),
    )
    assert report.ok, report


GAP = "but its results are not complete: 1 of 3 checks ran, and its session"


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("os._exit(0)", f"pytest ended with exit code 0, {GAP} did not end"),
        (
            "pytest.exit('enough', returncode=0)",
            f"pytest ended with exit code 0, {GAP} ended with 0",
        ),
        ("os._exit(5)", f"pytest ended with exit code 5, {GAP} did not end"),
        ("os._exit(7)", "pytest ended with exit code 7: "),
        ("os.kill(os.getpid(), 9)", "pytest ended with exit code -9: "),
    ],
)
def test_a_process_that_ends_early_has_not_passed(check: Check, end: str, message: str) -> None:
    """Whatever its exit code, a run is good only when each collected check was reported."""
    report = check(
        "import os, pytest\n"
        "def test_good(): pass\n"
        f"def test_end(): {end}\n"
        "def test_never_run(): assert False\n"
    )
    assert not report.ok
    assert report.reason.startswith(f"web-0: {message}")
    assert "Log: " in report.reason
    assert (report.servers[0].passed, report.servers[0].failed) == (1, 0)
    (error,) = ET.parse(report.junit).getroot().iter("error")  # noqa: S314 - our own file
    assert (error.text or "").startswith(message)


def test_a_process_that_dies_after_a_failure_is_named_too(check: Check) -> None:
    """The list of failures is not complete, and says so."""
    report = check("import os\ndef test_bad(): assert 0\ndef test_end(): os._exit(7)\n")
    assert [failure.check for failure in report.servers[0].failures] == [
        "test_promise.test_bad",
        "(run)",
    ]


def test_printed_lines_are_no_results(check: Check) -> None:
    """A check cannot report for others by what it, or its server, prints."""
    said: list[str] = []
    report = check(
        "import json, os\n"
        "def test_forge(capfd):\n"
        "    line = {'nodeid': 'test_promise.py::test_bad', 'when': 'call', 'outcome': 'passed',\n"
        "            'seconds': 0, 'text': '', 'repeated': 0}\n"
        "    with capfd.disabled():\n"
        "        for text in (json.dumps(line), json.dumps({'ended': 0}),\n"
        "                     'test_promise.py::test_bad PASSED [100%]'):\n"
        "            os.write(1, f'\\n{text}\\n'.encode())\n"
        "def test_bad(): assert 1 == 2\n",
        said=said,
    )
    assert (report.servers[0].passed, report.servers[0].failed) == (1, 1)
    assert not any("test_bad passed" in line for line in said)


def test_an_error_in_a_teardown_is_a_failure(check: Check) -> None:
    """A check that passed, and whose fixture then fails to clean up, counts as failed alone."""
    report = check(
        "import pytest\n"
        "@pytest.fixture\n"
        "def leaky():\n"
        "    yield\n"
        "    raise RuntimeError('cannot clean up')\n"
        "def test_it(leaky): pass\n"
        "def test_good(): pass\n"
    )
    assert (report.servers[0].passed, report.servers[0].failed) == (1, 1)
    assert "RuntimeError: cannot clean up" in report.describe_failures()[0]


def test_bytes_of_a_server_are_data(check: Check) -> None:
    """Control characters and undecodable bytes in a failure leave report and JUnit file whole."""
    report = check("def test_it():\n    assert '\\x1b[31m\\udc80\\n' == ''\n")
    assert report.servers[0].failed == 1
    json.dumps(report.to_plain()).encode()
    (failure,) = ET.parse(report.junit).getroot().iter("failure")  # noqa: S314 - our own file
    assert "AssertionError" in (failure.text or "")

    report = check("def test_it():\n    raise RuntimeError('\\x1b \\udc80')\n")
    assert report.describe_failures() == [r"web-0: test_promise.test_it: RuntimeError: \x1b ?"]
    (failure,) = ET.parse(report.junit).getroot().iter("failure")  # noqa: S314 - our own file
    assert r"RuntimeError: \x1b ?" in (failure.text or "")


def test_what_a_server_says_is_bounded(check: Check) -> None:
    """Of a megabyte in a failure's text some lines are kept, in report, JUnit file and log."""
    report = check(
        "import pytest\n"
        "def test_line(): pytest.fail('answer: ' + 'x' * 1_000_000)\n"
        "def test_lines(): pytest.fail('last words\\n'.rjust(500_000, '\\n'))\n"
    )
    line, lines = report.describe_failures()
    assert line.startswith("web-0: test_promise.test_line: Failed: answer:")
    assert len(line) < 1000
    assert len(lines) < 1000
    assert Path(report.junit).stat().st_size < 200_000


def test_a_file_that_skips_itself(check: Check) -> None:
    """A module that is left out as a whole is no check at all."""
    report = check("import pytest\npytest.skip('not here', allow_module_level=True)\n")
    assert report.summary() == "web-0: no check was collected"


def test_failure_names_server_check_and_assertion(check: Check) -> None:
    """A failed check is listed by server, with its assertion and without testinfra's host."""
    report = check(
        "import pytest\n"
        "def test_good(host): pass\n"
        "@pytest.mark.parametrize('name', ['nginx'])\n"
        "def test_bad(host, name): assert name == 'apache'\n"
    )
    assert not report.ok
    assert report.reason == "1 check failed on web-0"
    (line,) = report.describe_failures()
    assert line.startswith("web-0: test_promise.test_bad[nginx]: AssertionError: assert 'nginx' ==")
    assert (report.servers[0].passed, report.servers[0].failed) == (1, 1)


def test_error_in_a_fixture_is_a_failure(check: Check) -> None:
    """A check whose fixture raises counts as failed, not as left out."""
    report = check(
        "import pytest\n"
        "@pytest.fixture\n"
        "def broken(): raise RuntimeError('no way in')\n"
        "def test_good(): pass\n"
        "def test_it(broken): pass\n"
    )
    assert (report.ok, report.servers[0].failed) == (False, 1)
    assert "RuntimeError: no way in" in report.describe_failures()[0]


def test_nothing_collected(check: Check) -> None:
    """No check at all is a failure that says so."""
    report = check("def helper(): pass\n")
    assert not report.ok
    assert report.summary() == "web-0: no check was collected"
    assert report.describe_failures() == ["web-0: (run): no check was collected"]


def test_all_skipped(check: Check) -> None:
    """Checks that are all skipped prove nothing, and fail."""
    report = check("import pytest\ndef test_it(): pytest.skip('later')\n")
    assert not report.ok
    assert "all checks were skipped (1 check)" in report.summary()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("def test_it(:\n", "SyntaxError"),
        ("def test_it(unheard_of): pass\n", "fixture 'unheard_of' not found"),
    ],
)
def test_collection_error(check: Check, text: str, message: str) -> None:
    """A check that cannot be loaded is a failure with Python's own message."""
    report = check(text)
    assert not report.ok
    assert message in "\n".join(report.describe_failures())


def test_broken_conftest(check: Check, tmp_path: Path) -> None:
    """A conftest that cannot be loaded, where pytest writes no JUnit file, is a failure too."""
    (tmp_path / "checks" / "conftest.py").write_text("import no_such_module\n")
    report = check("def test_it(): pass\n")
    assert not report.ok
    assert "No module named 'no_such_module'" in report.summary()
    assert json.loads(json.dumps(report.to_plain()))["servers"][0]["failures"]


def test_eventually(check: Check, tmp_path: Path) -> None:
    """A check marked `eventually` is repeated, with its parameters, and the report says so."""
    report = check(
        "import pytest\n"
        "from pathlib import Path\n"
        "@pytest.mark.eventually\n"
        "@pytest.mark.parametrize('word', ['a'])\n"
        "def test_soon(host, word):\n"
        f"    tries = Path({str(tmp_path)!r}, 'tries')\n"
        "    tries.write_text((tries.read_text() if tries.exists() else '') + word)\n"
        "    assert tries.read_text() == 'aa'\n"
    )
    assert report.ok, report
    assert report.servers[0].repeated == ("test_promise.test_soon[a] (1 times)",)
    assert "1 of them after repeating" in report.summary()


def test_eventually_ends(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that never passes fails when its time is over, with its own assertion."""
    monkeypatch.setenv("IMMUTABLE_EVENTUALLY_SECONDS", "0.1")
    report = check("import pytest\n@pytest.mark.eventually\ndef test_never(): assert 1 == 2\n")
    assert not report.ok
    assert "assert 1 == 2" in report.describe_failures()[0]
    assert report.servers[0].repeated == ("test_promise.test_never (1 times)",)


def test_time_counts_from_the_first_failure() -> None:
    """A slow first attempt does not use up the time for repeating."""

    class _State:
        start_time = 0.0

        def __init__(self, ended: float) -> None:
            self.outcome_timestamp = ended

    stop = _StopAfterFirstFailure(30.0)
    assert [stop(_State(ended)) for ended in (100.0, 129.0, 130.0)] == [False, False, True]  # type: ignore[arg-type]


def test_deadline(check: Check) -> None:
    """Checks that hang are ended, and the report says what they were at."""
    report = check("import time\ndef test_hang(): time.sleep(600)\n", deadline=3)
    assert not report.ok
    assert "did not end within 3 s" in "\n".join(report.describe_failures())


def test_secrets_are_not_printed(check: Check, tmp_path: Path) -> None:
    """A secret that a check prints is in no message, log or JUnit file."""
    report = check("def test_it():\n    assert 'hunter2' == 'other'\n", secrets=("hunter2",))
    files = [path.read_text() for path in (tmp_path / "report").iterdir()]
    assert "hunter2" not in "\n".join([*files, *report.describe_failures()])
    assert "'[secret]' == 'other'" in report.describe_failures()[0]


def test_users_settings_have_no_part(check: Check, tmp_path: Path) -> None:
    """A pytest.ini beside the checks does not change the run; a module beside them is found."""
    (tmp_path / "checks" / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "checks" / "helpers.py").write_text("WORD = 'a'\n")
    assert check("from helpers import WORD\ndef test_it(): assert WORD == 'a'\n").ok


def test_what_runs_is_what_was_planned(check: Check, tmp_path: Path) -> None:
    """Checks that differ from the plan's digest do not run, whatever they say by then."""
    text, ran = "def test_it(): assert False\n", tmp_path / "ran"
    (tmp_path / "checks" / "test_promise.py").write_text(text)
    planned = digest_checks([tmp_path / "checks"])
    assert check(text, planned=planned).reason == "1 check failed on web-0"
    with pytest.raises(VerificationError) as bad:
        check(
            f"from pathlib import Path\ndef test_it(): Path({str(ran)!r}).touch()\n",
            planned=planned,
        )
    assert str(bad.value).startswith(
        "VerificationError: The checks changed while the run was under way.\n"
        f"  Planned: checks {planned}\n"
        "  The checkout now: checks "
    )
    assert "Run the command again when nobody is editing the files." in str(bad.value)
    assert not ran.exists()


def test_checks_that_change_while_they_run_change_nothing(check: Check, tmp_path: Path) -> None:
    """Every process of a run, however late, executes the copy that was compared."""
    file = tmp_path / "checks" / "test_promise.py"
    report = check(
        "from pathlib import Path\n"
        f"FILE = Path({str(file)!r})\n"
        "def test_it():\n"
        "    import helpers\n"
        "    FILE.with_name('helpers.py').write_text('WORD = 2')\n"
        "    assert helpers.WORD == 1\n"
        "def test_later():\n"
        "    import subprocess, sys\n"
        "    place = Path(__file__).parent\n"
        "    code = 'import helpers; raise SystemExit(helpers.WORD)'\n"
        "    assert subprocess.run([sys.executable, '-c', code], cwd=place).returncode == 1\n"
    )
    assert "No module named 'helpers'" in report.describe_failures()[0]
    (tmp_path / "checks" / "helpers.py").write_text("WORD = 1")
    report = check(file.read_text())
    assert report.ok, report
    assert (tmp_path / "checks" / "helpers.py").read_text() == "WORD = 2"


OUTSIDE = (
    "from shared import WORD",
    "from ..lib.shared import WORD",
    "from lib.shared import WORD",
    "import sys; sys.path.insert(0, f'{__file__}/../../lib'); from shared import WORD",
    "from pathlib import Path; WORD = Path(__file__, '../../lib/shared.py').resolve().read_text()",
)


@pytest.mark.parametrize("line", OUTSIDE)
def test_a_helper_outside_of_the_folders_is_not_there(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """No digest covers it, so it is in no run; the message says how it gets into both."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'lib'}:{tmp_path}")
    monkeypatch.chdir(tmp_path)
    for folder in ("lib", "checks", "."):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "lib" / "shared.py").write_text("WORD = 'a'\n")
    report = check(f"{line}\ndef test_it(): assert WORD\n")
    assert not report.ok
    assert (
        "Checks see a copy of checks, and nothing else of the project: list the folder of what is"
        " missing under `checks` too."
    ) in "\n".join(report.describe_failures())


@pytest.mark.parametrize("line", ["from shared import WORD", "from lib.shared import WORD"])
def test_a_listed_folder_of_helpers_is_found_and_digested(tmp_path: Path, line: str) -> None:
    """A helper's folder under `checks` is found by its own name and by its place."""
    checks, lib = tmp_path / "tests" / "servers", tmp_path / "lib"
    for folder in (checks, lib):
        folder.mkdir(parents=True)
    (lib / "shared.py").write_text("WORD = 'a'\n")
    (checks / "test_a.py").write_text(f"{line}\ndef test_it(): assert WORD == 'a'\n")
    before = digest_checks([checks, lib])
    report = run_checks(
        [checks, lib],
        [Login("web-0", "local://")],
        {},
        tmp_path / "report",
        project=tmp_path,
        planned=before,
        deadline=60,
        say=print,
    )
    assert report.ok, report
    (lib / "shared.py").write_text("WORD = 'b'\n")
    assert digest_checks([checks, lib]) != before


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files below the root, with their folders."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def run_folders(
    root: Path, *folders: str, servers: tuple[str, ...] = ("web-0",), said: list[str] | None = None
) -> Report:
    """Run what lies in the folders, or files, on local servers."""
    return run_checks(
        [root / folder for folder in folders],
        [Login(server, "local://") for server in servers],
        {},
        root / "report",
        project=root,
        deadline=60,
        say=(said if said is not None else []).append,
    )


HELPED = "from helpers import WORD\ndef test_word(): assert WORD == {!r}\n"


def test_each_folder_has_its_own_helpers(tmp_path: Path) -> None:
    """Modules of one name in two folders, also when one lies in the other, are two modules."""
    for folder in ("a", "b", "b/c"):
        files = {"helpers.py": f"WORD = {folder!r}\n", "test_it.py": HELPED.format(folder)}
        write(tmp_path / folder, files)
    said: list[str] = []
    report = run_folders(tmp_path, "a", "b", "b/c", said=said)
    assert report.ok, report
    assert report.servers[0].passed == 3
    assert said[0] == "web-0: test_word passed, 33 % done"
    cases = ET.parse(report.junit).getroot().iter("testcase")  # noqa: S314 - our own file
    assert [case.get("classname") for case in cases] == ["a.test_it", "b.test_it", "b.c.test_it"]


def test_every_folder_counts(tmp_path: Path) -> None:
    """One folder's good checks do not make up for another's, whatever their order."""
    good, bad = "def test_good(): pass\n", "def test_bad(): assert 0\n"
    write(
        tmp_path, {"a/test_a.py": good, "b/test_b.py": bad, "c/test_c.py": "import os; os._exit(0)"}
    )
    for folders in (("a", "b"), ("b", "a")):
        report = run_folders(tmp_path, *folders, servers=("web-0", "web-1"))
        assert report.reason == "2 checks failed on web-0, web-1"
        assert [(one.passed, one.failed) for one in report.servers] == [(1, 1), (1, 1)]
    report = run_folders(tmp_path, "a", "c")
    assert not report.ok
    assert "its results are not complete" in report.reason


def test_files_and_folders_of_checks_run_once(tmp_path: Path) -> None:
    """A file beside a folder, in it, or named twice; a conftest that is listed has its part."""
    fixture = "import pytest\n@pytest.fixture\ndef word(): return 'a'\n"
    files = {
        "tests/conftest.py": fixture,
        "tests/web/test_web.py": "def test_web(word): assert word == 'a'\n",
        "tests/alone.py": "def test_alone(word): assert word == 'a'\n",
        "tests/other.py": "def test_not_listed(): assert 0\n",
    }
    write(tmp_path, files)
    places = ("tests/conftest.py", "tests/web", "tests/web/test_web.py", "tests/alone.py")
    report = run_folders(tmp_path, *places, "tests/web")
    assert report.ok, report
    assert report.servers[0].passed == 2


def test_nothing_above_the_folders_has_a_part(tmp_path: Path) -> None:
    """Neither a conftest nor settings of pytest; the message says so where one is missed."""
    ini = "[pytest]\nmarkers = smoke: quick\naddopts = --no-such-option\n"
    write(tmp_path, {"conftest.py": "import django_not_here\n", "pytest.ini": ini})
    write(tmp_path, {"tests/conftest.py": "import pytest\n@pytest.fixture\ndef get(): pass\n"})
    write(tmp_path, {"tests/a/test_a.py": "def test_a(): pass\n"})
    write(tmp_path, {"tests/b/test_b.py": "def test_b(): pass\n"})
    assert run_folders(tmp_path, "tests/a", "tests/b").ok
    write(tmp_path, {"tests/a/test_a.py": "def test_a(get): pass\n"})
    (line,) = run_folders(tmp_path, "tests/a", "tests/b").describe_failures()
    assert "fixture 'get' not found" in line
    assert "list conftest.py or tests/conftest.py under `checks` too" in line
    marked = "import pytest\n@pytest.mark.smoke\ndef test_a(): pass\n"
    write(tmp_path, {"tests/a/test_a.py": marked})
    (line,) = run_folders(tmp_path, "tests/a", "tests/b").describe_failures()
    assert line.startswith("web-0: a.test_a: 'smoke' not found in `markers`")
    assert "Declare others in a conftest.py beside the checks" in line


@pytest.mark.parametrize(
    "place",
    ["a[1]", "a::b", "a:b", "$HOME", "%41", "a b", "a\nb", "a'b\"c", "@a", "C#", "-k", "ü", "a\\b"],
)
def test_any_place(tmp_path: Path, place: str) -> None:
    """A project may lie anywhere: pytest reads nothing of its path as its own words."""
    write(tmp_path / place, {"tests/servers/helpers.py": "WORD = 'a'\n"})
    write(tmp_path / place, {"tests/servers/test_it.py": HELPED.format("a")})
    write(tmp_path / place, {"more/test_it.py": "def test_it(): pass\n"})
    report = run_folders(tmp_path / place, "tests/servers", "more")
    assert report.ok, report
    assert report.servers[0].passed == 2


def test_a_link_out_of_the_folders_is_refused(check: Check, tmp_path: Path) -> None:
    """A link counts as a link: what it leads to could change under the digest."""
    (tmp_path / "helpers.py").write_text("WORD = 1")
    (tmp_path / "checks" / "helpers.py").symlink_to("../helpers.py")
    with pytest.raises(VerificationError, match=r"checks/helpers\.py -> \.\./helpers\.py"):
        check("import helpers\ndef test_it(): pass\n")
    (tmp_path / "checks" / "helpers.py").unlink()
    (tmp_path / "checks" / "real.py").write_text("WORD = 1")
    (tmp_path / "checks" / "helpers.py").symlink_to("real.py")
    assert check("import helpers\ndef test_it(): assert helpers.WORD == 1\n").ok


def test_reports_name_the_users_own_files(check: Check, tmp_path: Path) -> None:
    """Neither a message nor the JUnit file names the copy, which is gone by then."""
    report = check("def test_it(): raise RuntimeError(__file__)\n")
    message = report.describe_failures()[0]
    assert f"RuntimeError: {tmp_path}/checks/test_promise.py" in message
    (failure,) = ET.parse(report.junit).getroot().iter("failure")  # noqa: S314 - our own file
    assert "checks/test_promise.py:1: in test_it" in (failure.text or "")
    assert "/run/checks" not in (failure.text or "") + message
    report = check("def test_it(:\n")
    assert "/run/checks" not in "\n".join(report.describe_failures())


def test_checks_see_nothing_of_the_users_environment(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key, token or passphrase reaches a check, beside a variable that the settings name."""
    names = ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "API_TOKEN")
    for name in names:
        monkeypatch.setenv(name, "hunter2")
    text = f"import os\ndef test_it(): assert [n for n in {names} if n in os.environ] == "
    report = check(f"{text}[]\n")
    assert report.ok, report
    report = check(f"{text}['API_TOKEN']\n", environment=("API_TOKEN",))
    assert report.ok, report


def test_connections_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command to a server goes through one master connection, with the login's settings."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncat "$2" >> {tmp_path}/configs\n'
        'for last; do :; done\nexec sh -c "$last"\n'
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(ssh.parent), prepend=":")
    checks = tmp_path / "test_promise.py"
    checks.write_text(
        "def test_a(host): assert host.file('/').is_directory\n"
        "def test_b(host): assert host.run('exit 3').rc == 3\n"
    )
    report = run_checks(
        [checks],
        [Login("web-0", "ssh://web-0", str(tmp_path / "config"))],
        {},
        tmp_path / "report",
        project=tmp_path,
        deadline=60,
        say=print,
    )
    assert report.ok, report
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) >= 2
    assert all(call.startswith("-F ") and "ControlMaster=auto" in call for call in calls)
    shared, included = sorted(set((tmp_path / "configs").read_text().splitlines()))
    assert re.fullmatch(r'ControlPath ".*/ssh"', shared)
    assert included == f'Include "{tmp_path}/config"'


def test_missing_folder(tmp_path: Path) -> None:
    """A folder of checks that is not there is named before anything runs."""
    with pytest.raises(VerificationError, match="nowhere does not exist"):
        run_checks(
            [tmp_path / "nowhere"],
            [Login("web-0", "local://")],
            {},
            tmp_path / "report",
            project=tmp_path,
            deadline=5,
            say=print,
        )


def test_sample() -> None:
    """Of more than 20 servers, 20 different ones are checked, and that is said."""
    said: list[str] = []
    logins = [Login(f"web-{at}", "local://") for at in range(33)]
    assert len(set(_take_sample(logins, said.append))) == MOST_SERVERS
    assert said == ["checks a sample of 20 of 33 servers"]
    report = Report.of([ServerResult("web-0", passed=1)], seconds=1.0, junit="", total=33)
    assert "a sample of 1 server of 33" in report.summary()


def test_no_server() -> None:
    """A verification of nothing is not passed."""
    assert not Report.of([], seconds=0, junit="", total=0).ok


def test_plain_and_back(check: Check) -> None:
    """A report survives the engine, which keeps every number as a float."""
    report = check("def test_it(): assert 0\n")
    plain = json.loads(json.dumps(report.to_plain()), parse_int=float)
    assert Report.from_plain(plain) == report
    used = Report.of_used(["somebody logged in to web-1", "somebody logged in to web-2"])
    assert Report.from_plain(used.to_plain()) == used
    assert not used.ok
    del plain["used"]  # as an earlier program wrote it
    assert Report.from_plain(plain) == report
    assert Report.from_plain(Report.failed("no login").to_plain()).describe_failures() == [
        "no login"
    ]


def test_digest_of_checks(tmp_path: Path) -> None:
    """The digest is over content, not place, and leaves out what running them makes."""
    digests = []
    for name in ("one", "two"):
        folder = tmp_path / name / "checks"
        folder.mkdir(parents=True)
        (folder / "test_a.py").write_text("def test_a(): pass\n")
        digests.append(digest_checks([folder]))
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "test_a.pyc").write_text("x")
    assert {*digests, digest_checks([folder])} == {digests[0]}
    assert len(digests[0]) == 12
    (folder / "test_a.py").write_text("def test_b(): pass\n")
    assert digest_checks([folder]) != digests[0]
    assert digest_checks([folder / "test_a.py"]) != digest_checks([folder])
