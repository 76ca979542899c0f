"""The part of Pulumi's engine that decides what survives: steps, their order, and what is saved.

Written after what was measured on the engine (see the design, and `docs/decisions/`), and held to
it by playing the same operations on both. The state is saved after each step; deletions come last,
those that depend on others first; outputs are saved after them. A failed step ends the run, but
others that were under way are done: chance says which.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What stands for a value that is not known; see `stand_in/pulumi/runtime.py`."""


class Killed(BaseException):
    """The engine was killed: nothing more is done or saved."""


class ProviderDied(BaseException):
    """The process of a provider was killed: its step failed."""


class Entry(NamedTuple):
    """A resource of the state."""

    urn: str
    name: str
    provider: Any
    id: str | None
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    dependencies: frozenset[str]
    parent: str
    protect: bool = False
    retain: bool = False

    @property
    def kind(self) -> str:
        """The last part of its type, such as `Traffic`."""
        return self.urn.split("::")[2].rpartition(":")[2]

    @property
    def needs(self) -> frozenset[str]:
        """All that has to be in the state with it."""
        return self.dependencies | ({self.parent} if self.parent else set())


@dataclass
class State:
    """What the engine keeps of a stack.

    Attributes:
        entries: By urn, each after what it depends on.
        pending: Replaced ones that are still to be deleted.
        outputs: Of the last run that ended.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    pending: list[Entry] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> "State":
        """Return a state of its own; entries are never changed."""
        return State(dict(self.entries), list(self.pending), dict(self.outputs))

    def find_dangling(self) -> list[str]:
        """Return what refers to a resource that is not there: no engine reads such a state."""
        every = [*self.entries.values(), *self.pending]
        return [
            f"{one.kind} {one.name} needs {urn}"
            for one in every
            for urn in one.needs
            if urn not in self.entries and all(other.urn != urn for other in self.pending)
        ]


@dataclass(frozen=True)
class Flags:
    """The flags of one run, each with patterns of urns."""

    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    goes_on: bool = False

    @classmethod
    def read(cls, words: Sequence[str]) -> "Flags":
        """Read a command's words; `--refresh` changes nothing that our providers do not read."""
        pairs = list(pairwise((*words, "")))
        return cls(
            tuple(value for word, value in pairs if word == "--target"),
            tuple(value for word, value in pairs if word == "--exclude"),
            tuple(value for word, value in pairs if word == "--replace"),
            "--continue-on-error" in words,
        )

    def leaves_out(self, urn: str) -> bool:
        """Return whether a run must not touch a resource."""
        return matches(urn, self.excludes) or bool(self.targets and not matches(urn, self.targets))


def matches(urn: str, patterns: Collection[str]) -> bool:
    """Return whether one of the patterns names a resource."""
    return any(fnmatchcase(urn, pattern) for pattern in patterns)


class Run:
    """One update: takes the program's registrations, then deletes what was not registered.

    Attributes:
        steps: `operation type name` of what changed.
        said: What went wrong, and what the program warns of.
        failed: A step failed.
        stopped: Nothing new is begun any more.
        kill_at: The number of the step at which the engine is killed: before its work, or with
            `.5` after it, before that is saved; negative for never.
    """

    def __init__(self, state: State, flags: Flags, chance: Random, kill_at: float = -1) -> None:
        self.state, self.flags, self.chance, self.kill_at = state, flags, chance, kill_at
        self.steps: list[str] = []
        self.said: list[str] = []
        self.failed = self.stopped = self.lost_outputs = False
        self.seen: set[str] = set()
        self.left_out: set[str] = set()
        self.outputs: dict[str, Any] = {}
        self.count = 0

    def say(self, text: str) -> None:
        """Keep a line."""
        self.said.append(text)

    def export(self, name: str, value: Any, _resources: object) -> None:  # noqa: ANN401
        """Keep an output; one that depends on what failed ends the program."""
        if isinstance(value, Mapping):
            self.outputs[name] = value
        else:
            self.lost_outputs = self.failed = True

    # registrations
    def register(self, goal: Any) -> Entry | None:  # noqa: ANN401 - the stand-in's `Goal`
        """Bring a resource about, and save it; None when that failed or was not begun."""
        if self.stopped or (self.failed and not self.flags.goes_on and self.chance.random() < 0.5):
            return None
        old = self.state.entries.get(goal.urn)
        if self.flags.leaves_out(goal.urn):
            return self._leave_out(goal, old)
        if self.flags.targets and self.left_out & {*goal.dependencies, goal.parent}:
            self._fail(f"{goal.name} depends on what is not among the targets")
            return None
        try:
            entry = self._bring_about(goal, old)
        except (Exception, ProviderDied) as error:  # noqa: BLE001 - whatever a provider raises
            self._fail(f"{goal.urn}: {error}")
            return None
        self.seen.add(goal.urn)
        self.state.entries[goal.urn] = entry
        return entry

    def _leave_out(self, goal: Any, old: Entry | None) -> Entry:  # noqa: ANN401
        """Hand out what the state holds; nothing of a resource that it does not hold."""
        self.seen.add(goal.urn)
        if old is None:
            self.left_out.add(goal.urn)
            return Entry(goal.urn, goal.name, None, None, {}, {}, frozenset(), "")
        return old

    def _fail(self, why: str) -> None:
        self.failed = True
        self.say(why)

    def _bring_about(self, goal: Any, old: Entry | None) -> Entry:  # noqa: ANN401
        """Create, update, replace or leave a resource, and return it as it is then."""
        news = dict(goal.inputs)
        ignored = goal.opts.ignore_changes
        if old and ignored:
            kept = [*{**old.inputs, **news}] if "*" in ignored else ignored
            news = {key: value for key, value in news.items() if key not in kept}
            news.update({key: old.inputs[key] for key in kept if key in old.inputs})
        made = Entry(
            urn=goal.urn,
            name=goal.name,
            provider=goal.provider,
            id=old.id if old else goal.name,
            inputs=news,
            outputs=old.outputs if old else {},
            dependencies=frozenset(goal.dependencies),
            parent=goal.parent,
            protect=goal.opts.protect,
            retain=goal.opts.retain_on_delete,
        )
        if goal.provider is None:
            return made
        self._check(made, old)
        if old is None:
            return self._create(made)
        found = goal.provider.diff(old.id, dict(old.outputs), without_unknown(news))
        if found.replaces or matches(goal.urn, self.flags.replaces):
            return self._replace(made, old, first=goal.opts.delete_before_replace)
        return self._update(made, old) if found.changes else made

    def _check(self, made: Entry, old: Entry | None) -> None:
        done = made.provider.check(dict(old.inputs) if old else {}, dict(made.inputs))
        if done.failures:
            raise ValueError("; ".join(failure.reason for failure in done.failures))

    def _create(self, made: Entry, operation: str = "create") -> Entry:
        with self._step(operation, made):
            done = made.provider.create(without_unknown(made.inputs))
        return made._replace(id=done.id, outputs=as_kept(done.outs))

    def _update(self, made: Entry, old: Entry) -> Entry:
        with self._step("update", made):
            done = made.provider.update(old.id, dict(old.outputs), without_unknown(made.inputs))
        return made._replace(outputs=as_kept(done.outs))

    def _replace(self, made: Entry, old: Entry, *, first: bool) -> Entry:
        if old.protect:
            raise PermissionError("it is protected, and would be replaced")
        if first:
            self._delete(old, "delete-replaced")
            del self.state.entries[old.urn]
            return self._create(made, "create-replacement")
        entry = self._create(made, "create-replacement")
        self.state.pending.append(old)
        return entry

    def _step(self, operation: str, entry: Entry) -> "_Step":
        self.steps.append(f"{operation} {entry.kind} {entry.name}")
        self.count += 1
        return _Step(self)

    # deletions
    def finish(self, *, program_failed: bool) -> None:
        """Delete what was not registered, then save the outputs."""
        whole = not self.failed or (self.flags.goes_on and not self.lost_outputs)
        if whole and not program_failed and not self.stopped:
            self._delete_all()
        if not program_failed and not self.lost_outputs and not self.stopped:
            self.state.outputs = self.outputs

    def _delete_all(self) -> None:
        unseen = [one for urn, one in self.state.entries.items() if urn not in self.seen]
        # Under `--exclude` only what was replaced goes: measured, whatever depends on what.
        going = [*([] if self.flags.excludes else unseen), *self.state.pending]
        if self.flags.targets:
            going = self._choose_targets(going)
        left = list(going)
        while left and not self.stopped:
            layer = [one for one in left if not self._has_dependents(one, left)] or left
            self.chance.shuffle(layer)
            if [one for one in layer if not self._try_delete(one)]:
                return
            left = [one for one in left if one not in layer]

    def _choose_targets(self, going: Sequence[Entry]) -> list[Entry]:
        """Return those that are targets, and on which nothing that stays depends: measured."""
        chosen = [one for one in going if matches(one.urn, self.flags.targets)]
        there = [*self.state.entries.values(), *self.state.pending]
        while True:
            staying = [one for one in there if not any(one is other for other in chosen)]
            free = [one for one in chosen if not self._has_dependents(one, staying)]
            if len(free) == len(chosen):
                return chosen
            chosen = free

    def _has_dependents(self, entry: Entry, others: Sequence[Entry]) -> bool:
        return any(entry.urn in other.needs for other in others if other is not entry)

    def _try_delete(self, entry: Entry) -> bool:
        if entry.protect:
            self._fail(f"{entry.kind} {entry.name} is protected, and would be deleted")
            return False
        try:
            self._delete(entry, "delete")
        except (Exception, ProviderDied) as error:  # noqa: BLE001 - whatever a provider raises
            self._fail(f"{entry.urn}: {error}")
            return False
        if any(one is entry for one in self.state.pending):
            self.state.pending = [one for one in self.state.pending if one is not entry]
        else:
            del self.state.entries[entry.urn]
        return True

    def _delete(self, entry: Entry, operation: str) -> None:
        if entry.provider is not None and not entry.retain:
            with self._step(operation, entry):
                entry.provider.delete(entry.id, dict(entry.outputs))


class _Step:
    """The work of one step; the engine may be killed before it, or before it is saved."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __enter__(self) -> None:
        self._meet(self.run.count)

    def __exit__(self, kind: object, *_what: object) -> None:
        if kind is None:
            self._meet(self.run.count + 0.5)

    def _meet(self, at: float) -> None:
        if self.run.kill_at == at:
            raise Killed


def without_unknown(value: Any) -> Any:  # noqa: ANN401 - plain values of any shape
    """Return values as a program or a provider's create gets them: the unknown are left out."""
    if not isinstance(value, dict):
        return value
    known = {key: item for key, item in value.items() if item != UNKNOWN}
    return {k: without_unknown(v) if isinstance(v, dict) else v for k, v in known.items()}


def as_kept(value: Any) -> Any:  # noqa: ANN401 - plain values of any shape
    """Return a copy of plain values as the engine keeps them: every number is a float."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | Mapping):
        return {key: as_kept(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [as_kept(item) for item in value]
    return float(value) if type(value) is int else value


def iterate(entries: Mapping[str, Entry], kind: str) -> Iterator[Entry]:
    """Yield the resources of a kind, as the last part of their types says."""
    return (entry for entry in entries.values() if entry.kind == kind)
