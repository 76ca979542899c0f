"""What the product asks of this machine, answered from memory: clock, files, checks, commands.

`use` puts each in the place of what the product calls; the process that simulates does nothing
else. All of it belongs to the project that is played now.
"""

import hashlib
import json
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from time import gmtime, strftime, struct_time
from types import ModuleType
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE / "stand_in"), str(ROOT / "tests/engine/instant")]

import instant_target  # noqa: E402 - its folder was not known before
import instant_world  # noqa: E402
import pulumi  # noqa: E402

from harness.simulation.engine import without_unknown  # noqa: E402
from harness.simulation.memory import MemoryPath  # noqa: E402
from immutable_servers import program  # noqa: E402
from immutable_servers.contract.ownership import Owner  # noqa: E402
from immutable_servers.contract.values import FleetSpec, Login  # noqa: E402
from immutable_servers.generations import leftovers, retirement  # noqa: E402
from immutable_servers.identity import version  # noqa: E402
from immutable_servers.identity.inputs import ImageInputs  # noqa: E402
from immutable_servers.images import bake, provider  # noqa: E402
from immutable_servers.images.archive import ARCHIVE  # noqa: E402
from immutable_servers.planning import stack  # noqa: E402
from immutable_servers.resources import progress  # noqa: E402
from immutable_servers.resources.declared import Declared  # noqa: E402
from immutable_servers.settings import Settings, load_settings  # noqa: E402
from immutable_servers.system import stopping  # noqa: E402
from immutable_servers.system.machine import find_machine  # noqa: E402
from immutable_servers.targets import place, placed  # noqa: E402
from immutable_servers.targets.place import Place  # noqa: E402
from immutable_servers.traffic import resource as traffic  # noqa: E402
from immutable_servers.verification import candidate  # noqa: E402
from immutable_servers.verification.report import Failure, Report, ServerResult  # noqa: E402

if TYPE_CHECKING:
    from harness.simulation.project import SimulatedProject

BEGAN = 1_800_000_000.0
"""When the virtual clock starts, in seconds since the epoch."""
_played: list["SimulatedProject"] = []


def use(project: "SimulatedProject") -> None:
    """Have every question go to this project from now on."""
    _played[:] = [project]


def begin(run: Any) -> None:  # noqa: ANN401 - the stand-in's `Monitor`
    """Have the registrations of resources go to this run from now on."""
    stand_in: Any = pulumi.runtime
    stand_in.set_monitor(run)


def now() -> "SimulatedProject":
    """Return the project that is played."""
    return _played[0]


class World(instant_world.World):
    """The instant target's world in memory, with faults that come as exceptions."""

    def __init__(self) -> None:
        super().__init__(now().world)

    def note(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - plain values
        """Keep an event, and let the watcher look."""
        now().note(event, **facts)

    def meet(self, moment: str) -> None:
        """Let happen what is due."""
        now().meet(moment)

    def path(self, *parts: str) -> Any:  # noqa: ANN401 - as the base
        """Make no folder: it exists with what is in it."""
        return self.folder.joinpath(*parts)

    def read_sources(self, archive: Any) -> str:  # noqa: ANN401 - a `MemoryPath`
        """Return what stands in place of the archive."""
        text: str = archive.read_text()
        return text

    def list_fleets(self) -> Any:  # noqa: ANN401 - as the base
        """Read each text once in the life of this process."""
        for file in sorted(self.folder.glob("fleets/*/spec.json")):
            yield file.parent, _read_spec(file.read_text())


@cache
def _read_spec(text: str) -> FleetSpec:
    return FleetSpec.from_plain(json.loads(text))


@cache
def _read_place(text: str) -> Place:
    return place.read_place({"place": text})


class _Never:
    """Stands for the wish to stop: nobody has it, and to wait for it moves the clock."""

    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float = 0) -> bool:
        now().clock += seconds
        return False


class Clock:
    """Stands for the module `time` in what asks it."""

    strftime = staticmethod(strftime)

    def time(self) -> float:
        """Return the virtual time, in seconds since the epoch."""
        return now().clock

    monotonic = time

    def gmtime(self, seconds: float | None = None) -> struct_time:
        """Return a time as date and hour, the virtual one unless another is given."""
        return gmtime(now().clock if seconds is None else seconds)


@cache
def _parse(settings: str) -> Settings:
    names = ("packer/base", "packer/app", "packer/site", "app", "tests/servers")
    folders: Any = MemoryPath({f"/{name}/file": "" for name in names}, "")
    return load_settings(json.loads(settings), folders)


def _read_inputs(
    _root: Path,
    image: str,
    settings: Any,  # noqa: ANN401 - `ImageSettings`
    *,
    target: str,
    architecture: str,
    parent_version: str | None,
) -> ImageInputs:
    """Return an image's inputs: the texts of its sources, in place of their digests."""
    sources = {name: now().read_folder(name) for name in settings.sources}
    template = now().read_folder(f"packer/{image}")
    return ImageInputs(
        image, target, architecture, template, sources, {}, settings.parent, parent_version
    )


@contextmanager
def _start_staging(_root: Path, order: Any) -> Iterator[MemoryPath]:  # noqa: ANN401
    """Yield a folder with the texts of the image's sources, in place of their archive."""
    texts = [text for name in order.settings.sources for text in now().read_folder(name).items()]
    yield MemoryPath({f"/stage/{ARCHIVE}": "".join(text for _, text in sorted(texts))}, "/stage")


def _stage_image(
    root: Path,
    settings: Any,  # noqa: ANN401 - `ImageSettings`
    image: str,
    target: Any,  # noqa: ANN401 - `Target`
    parent: Any,  # noqa: ANN401 - `Artifact`
    _folder: MemoryPath,
) -> ImageInputs:
    version = parent.version if parent else None
    where = {"target": target.name, "architecture": target.architecture}
    return _read_inputs(root, image, settings, **where, parent_version=version)


def _run_checks(
    _folders: Sequence[Path],
    logins: Sequence[Login],
    expected: Mapping[str, Mapping[str, Any]],
    _report_dir: Path,
    **_more: object,
) -> Report:
    """Check what the sample's check does: that no server says that it is broken."""
    results = [_check(login, expected[login.server]) for login in logins]
    return Report.of(results, seconds=0.1, junit="junit.xml", total=len(logins))


def _check(login: Login, expected: Mapping[str, Any]) -> ServerResult:
    service, generation = expected["service"], expected["generation"]
    found = now().read_checked(login.server, service, generation)
    broken = f"broken-{service}" in found or "assert False" in now().checks
    if not broken:
        now().note("checked", service=service, generation=generation, server=login.server)
        return ServerResult(login.server, passed=1)
    return ServerResult(login.server, failed=1, failures=(Failure("test", found),))


def _run_before_traffic(
    report: Report, commands: Sequence[str], login: Login, *_more: object
) -> Report:
    """Run `true`, and fail for any other command."""
    failed = [command for command in commands if command != "true"]
    if not failed:
        return report
    result = ServerResult(login.server, failed=1, failures=(Failure("before_traffic", failed[0]),))
    return Report.of([result], seconds=0.1, junit="junit.xml", total=report.total)


def _note_declared(_stack: str, target: str, services: Any, generations: Any) -> None:  # noqa: ANN401
    now().declared = Declared(target, services, frozenset(generations))


def _make_owner(_root: Path, organization: str, scope: Any) -> Owner:  # noqa: ANN401
    where = now().checkout
    return Owner(where, where, organization, scope.project, scope.stack, where)


ANSWERS: Mapping[ModuleType, Mapping[str, Any]] = {
    program: {
        "read_settings": lambda _root: _parse(json.dumps(now().render_settings())),
        "read_last_output": lambda: without_unknown(now().state.outputs.get("ledger")),
        "read_request": lambda: now().request,
        "refuse_unfit_places": lambda _root: None,
        "make_private_places": lambda _root: None,
        "remove_left_stagings": lambda _root: None,
        "find_unfetched": lambda _root, _inputs: [],
        "make_owner": _make_owner,
        "note_declared": _note_declared,
    },
    leftovers: {"find_declared": lambda: now().declared},
    retirement: {"find_declared": lambda: now().declared},
    traffic: {"find_declared": lambda: now().declared},
    stack: {
        "read_commit": lambda _root: "",
        "digest_checks": lambda _folders: hashlib.sha256(now().checks.encode()).hexdigest()[:12],
    },
    version: {"read_image_inputs": _read_inputs},
    provider: {"check_image": lambda _root, _order: None},
    bake: {
        "hold_version": lambda *_words: nullcontext(),
        "start_staging": _start_staging,
        "stage_image": _stage_image,
        "read_commit": lambda _root: "",
        "is_committed": lambda _root, _inputs: False,
    },
    candidate: {"run_checks": _run_checks, "run_before_traffic": _run_before_traffic},
    placed: {"read_place": lambda inputs: _read_place(inputs["place"])},
    place: {"load_target": lambda _name, settings: instant_target.InstantTarget(settings)},
    instant_target: {
        "World": lambda _folder: World(),
        "Path": str,
        "find_machine": cache(find_machine),
        "time": Clock(),
    },
    stopping: {"STOP": _Never()},
    secrets: {"token_hex": lambda _bytes: f"{now().chance.getrandbits(32):08x}"},
    progress: {"print": lambda *_words, **_how: None},
}
"""What is put in the place of a module's own, by the name that it calls."""


def answer_from_memory() -> None:
    """Put all of it in place, and the virtual clock wherever the product asks one."""
    for module, answers in ANSWERS.items():
        for name, answer in answers.items():
            assert name in {*vars(module), "print"}, f"{module.__name__} calls no {name} any more"
            setattr(module, name, answer)
    for module in list(sys.modules.values()):
        ours = module.__name__.startswith(("immutable_servers.", "tenacity"))
        if ours and hasattr(module, "time"):
            module.time = Clock()  # type: ignore[attr-defined]


answer_from_memory()
PROGRAM = compile((ROOT / "__main__.py").read_text(), "__main__.py", "exec")
