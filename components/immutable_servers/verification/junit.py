"""Writes the results of all servers as one JUnit file, for people and for CI systems.

Printable text has no character that XML 1.0 cannot hold: https://www.w3.org/TR/xml/#charsets
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

from immutable_servers.text.printable import make_printable
from immutable_servers.verification.results import CheckResult

ELEMENTS = {"failed": "failure", "error": "error", "skipped": "skipped"}
"""By outcome, the child of a `testcase`; one that passed has none."""


def write_junit(servers: Mapping[str, Sequence[CheckResult]], path: Path) -> None:
    """Write a file with a test suite for each server, under the server's name."""
    root = ET.Element("testsuites", name="verification")
    for server, results in servers.items():
        root.append(_make_suite(server, results))
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _make_suite(server: str, results: Sequence[CheckResult]) -> ET.Element:
    outcomes = [result.outcome for result in results]
    suite = ET.Element(
        "testsuite",
        name=server,
        tests=str(len(results)),
        failures=str(outcomes.count("failed")),
        errors=str(outcomes.count("error")),
        skipped=str(outcomes.count("skipped")),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    suite.extend(_make_case(result) for result in results)
    return suite


def _make_case(result: CheckResult) -> ET.Element:
    name, bracket, parameters = make_printable(result.check).partition("[")
    module, _, function = name.rpartition(".")
    case = ET.Element(
        "testcase",
        classname=module,
        name=function + bracket + parameters,
        time=f"{result.seconds:.3f}",
    )
    if result.repeated:
        properties = ET.SubElement(case, "properties")
        ET.SubElement(properties, "property", name="repeated", value=str(result.repeated))
    if result.outcome in ELEMENTS:
        ET.SubElement(case, ELEMENTS[result.outcome]).text = make_printable(result.text)
    return case
