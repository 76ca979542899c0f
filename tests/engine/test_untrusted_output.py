"""What a server answers, and a check repeats, is data all the way to the reader."""

import json
import xml.etree.ElementTree as ET

from harness.engine.project import Project

ATTACK = "\x1b]52;c;Y2F0\x07\x1b[2J\x9b2J\u202etxt.exe\r"
COMMANDS = ("::add-mask::verified", "##[error]from a server")
CHECK = f"""
import os
import pytest

ANSWER = {ATTACK!r} + "x::" * 10_000

def test_app_is_not_broken():
    print(ANSWER)
    os.write(1, ANSWER.encode() + b"\\n")
    pytest.fail("\\n".join([ANSWER, {", ".join(map(repr, COMMANDS))}]))
"""
BAD = {"\x1b", "\x07", "\x9b", "\u202e", "\r"}


def test_a_server_s_answer_reaches_nobody_as_a_command(serving: Project) -> None:
    """A failed check shows it harmless, in the driver's output, plain Pulumi's, and all data.

    Its line of 30,000 signs is of the kind that once took hours to read: the run's usual deadline
    holds here.
    """
    serving.edit("app/server.txt", "two")
    (serving.root / "tests/servers/test_sample.py").write_text(CHECK)
    runner = {"GITHUB_ACTIONS": "true"}
    done = serving.run_driver("up", **runner)
    assert done.returncode == 6, done.stderr
    said = done.stdout + done.stderr
    assert r"\x1b]52;c;Y2F0\x07\x1b[2J\x9b2J\u202etxt.exe\r" in said
    assert not {*said} & BAD
    ours = ("::group::", "::endgroup::")
    lines = [line.strip() for line in said.splitlines()]
    assert [one for one in lines if one.startswith("::") and not one.startswith(ours)] == []
    assert [one for one in lines if "##[" in one] == []
    assert max(map(len, lines)) < 5000
    plain = serving.up()
    assert plain.code != 0
    assert not {*plain.text} & BAD
    reports = [*serving.root.glob(".immutable/reports/**/junit.xml")]
    assert reports
    for report in reports:
        assert not {*report.read_text()} & BAD
        ET.parse(report)  # noqa: S314 - our own file
    data = serving.run_driver("status", "--json", "-", **runner)
    assert not {*data.stdout} & BAD
    json.loads(data.stdout)
