"""How a preview grows with the number of services, beside a plain program with as many resources.

`./immutable bench --only growth` runs it. It prints one JSON line for each number of services:
`services`, `resources`, and the seconds of both previews, each the best of three.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from harness.engine.project import Project

SERVICES = tuple(map(int, sys.argv[1:])) or (1, 10, 50)
TRIES = 3
PLAIN = """
import pulumi
from plain_thing import Thing

for number in range({components}):
    pulumi.ComponentResource("plain:index:Group", f"group-{{number}}").register_outputs({{}})
for number in range({things}):
    Thing(f"thing-{{number}}", number)
"""
PLAIN_THING = """
from pulumi import dynamic


class ThingProvider(dynamic.ResourceProvider):
    def diff(self, _id, olds, news):
        return dynamic.DiffResult(changes=olds["number"] != news["number"])

    def create(self, props):
        return dynamic.CreateResult("thing", props)


class Thing(dynamic.Resource, module="plain", name="Thing"):
    def __init__(self, name, number):
        super().__init__(ThingProvider(), name, {"number": number})
"""


def main() -> None:
    """Print a line for each number of services."""
    Project.timeout = 900  # the first update of fifty services takes minutes
    for services in SERVICES:
        with tempfile.TemporaryDirectory(prefix="growth-") as folder:
            print(json.dumps(measure(Path(folder), services)), flush=True)  # noqa: T201 - see above


def measure(folder: Path, services: int) -> dict[str, float]:
    """Launch two generations of each service, and time both previews."""
    for name in ("ours", "plain"):
        (folder / name).mkdir()
    ours = make_ours(folder / "ours", services)
    kinds = count_kinds(ours)
    plain = make_plain(folder / "plain", kinds)
    return {
        "services": services,
        "resources": kinds.total(),
        "ours": time_preview(ours),
        "plain": time_preview(plain),
    }


def make_ours(folder: Path, services: int) -> Project:
    """Return a project whose services have a live generation and a standby each."""
    project = Project.create(folder)
    web = {**project.services.pop("web"), "servers": 1, "canary": None}
    for number in range(services):
        project.services[f"s{number}"] = {**web, "route": {"port": 8080 + number}}
    for size in ("small", "medium"):
        for service in project.services.values():
            service["size"] = size
        project.write_settings()
        assert_works(project.up().code)
    return project


def count_kinds(project: Project) -> Counter[bool]:
    """Count a stack's resources but the stack itself: those of a provider, and components."""
    project.pulumi("stack", "export", "--file", "state.json", "-s", "dev")
    state = json.loads((project.root / "state.json").read_text())
    resources = state["deployment"]["resources"]
    ours = [r for r in resources if not r["type"].startswith("pulumi:")]
    return Counter(bool(r["custom"]) for r in ours)


def make_plain(folder: Path, kinds: Counter[bool]) -> Project:
    """Return a project with as many dynamic resources and components, all of them made."""
    project = Project.create(folder)
    program = PLAIN.format(components=kinds[False], things=kinds[True])
    (project.root / "__main__.py").write_text(program)
    (project.root / "plain_thing.py").write_text(PLAIN_THING)
    assert_works(project.up().code)
    return project


def time_preview(project: Project) -> float:
    """Return the seconds of the fastest of some previews with nothing to do."""
    (project.root.parent / "home" / "logs").unlink()  # the CLI logs, as everybody's does
    best = float("inf")
    for _ in range(TRIES):
        began = time.monotonic()
        done = project.pulumi("preview", "--expect-no-changes", "-s", "dev", check=False)
        best = min(best, time.monotonic() - began)
        assert_works(done.stdout if done.returncode else "")
    return round(best, 2)


def assert_works(trouble: object) -> None:
    """End with a message when a run failed, or found something to do."""
    if trouble:
        sys.exit(f"a run of the measurement failed: {trouble}")


if __name__ == "__main__":
    main()
