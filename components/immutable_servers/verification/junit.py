"""Reads the JUnit files that pytest wrote, one for each server, and merges them into one."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from immutable_servers.verification.follower import REPEATED
from immutable_servers.verification.report import Failure, ServerResult

MESSAGE_LINES = 6
"""So many lines of an assertion are shown; the JUnit file has all."""

Clean = Callable[[str], str]


def read_suite(path: Path, clean: Clean) -> ET.Element | None:
    """Return pytest's test suite without secrets; None when pytest wrote no whole file."""
    try:
        suite = ET.parse(path).getroot().find("testsuite")  # noqa: S314 - pytest has just written it
    except (OSError, ET.ParseError):
        return None
    for element in suite.iter() if suite is not None else ():
        element.text = clean(element.text) if element.text else element.text
        for name, value in element.attrib.items():
            element.set(name, clean(value))
    return suite


def read_result(server: str, host: str, suite: ET.Element) -> ServerResult:
    """Count a server's checks and name the failed ones, without testinfra's host in their names."""
    # An element without children is false, so each is compared with None.
    cases = [(case, _name(case, host), _find(case)) for case in suite.iter("testcase")]
    failures = [Failure(name, _explain(bad)) for _, name, bad in cases if bad is not None]
    good = [case for case, _, bad in cases if bad is None]
    skipped = sum(1 for case in good if case.find("skipped") is not None)
    repeated = [f"{name} ({times} times)" for case, name, _ in cases if (times := _repeats(case))]
    return ServerResult(
        server=server,
        passed=len(good) - skipped,
        failed=len(failures),
        skipped=skipped,
        failures=tuple(failures),
        repeated=tuple(repeated),
    )


def write_merged(suites: Mapping[str, ET.Element], path: Path) -> None:
    """Write one file with a test suite for each server, under the server's name."""
    root = ET.Element("testsuites", name="verification")
    for server, suite in suites.items():
        suite.set("name", server)
        root.append(suite)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def find_assertion(lines: Iterable[str]) -> str:
    """Return pytest's `E` lines, which hold the assertion or the error; empty without any."""
    found = [line[1:].strip() for line in lines if re.match(r"E(\s|$)", line)]
    return "\n".join([line for line in found if line][:MESSAGE_LINES])


def _find(case: ET.Element) -> ET.Element | None:
    failure = case.find("failure")
    return case.find("error") if failure is None else failure


def _explain(trouble: ET.Element) -> str:
    lines = (trouble.text or "").splitlines()
    return find_assertion(lines) or trouble.get("message", "").strip() or (lines or ["failed"])[-1]


def _name(case: ET.Element, host: str) -> str:
    name = case.get("name", "")
    for text, short in (
        (f"[{host}]", ""),
        (f"[{host}-", "["),
        (f"-{host}]", "]"),
        (f"-{host}-", "-"),
    ):
        name = name.replace(text, short)
    return ".".join(filter(None, (case.get("classname"), name)))


def _repeats(case: ET.Element) -> str:
    properties = case.iterfind(f"properties/property[@name='{REPEATED}']")
    return next((item.get("value", "") for item in properties), "")
