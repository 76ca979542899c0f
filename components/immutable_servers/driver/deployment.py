"""Drives a stack from Python: the commands' own functions, with typed results and errors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from immutable_servers import errors
from immutable_servers.contract.values import Say
from immutable_servers.driver.commands.destroy import refuse_other_machine
from immutable_servers.driver.commands.preview.collect import collect
from immutable_servers.driver.commands.preview.models import Problem, StackPreview
from immutable_servers.driver.commands.rollback import (
    ServiceRequest,
    ask_replace,
    ask_resume,
    ask_rollback,
)
from immutable_servers.driver.commands.status.command import read_status
from immutable_servers.driver.commands.status.generations import Generation, list_generations
from immutable_servers.driver.commands.status.models import StackStatus
from immutable_servers.driver.commands.up import update_and_clean_up
from immutable_servers.driver.engine.results import Outcome
from immutable_servers.driver.engine.updates import RunError, delete, remove
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.setup.install import require_parts
from immutable_servers.driver.setup.needs import list_parts
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.display import Plain
from immutable_servers.errors import ImmutableError
from immutable_servers.system.places import make_private_places
from immutable_servers.system.unfit_places import refuse_unfit_places


class Deployment:
    """One stack of a project, driven as `./immutable` does.

    It asks nothing and installs nothing: its caller has decided. It prints nothing, and hands
    progress to `say` where one is given. Each failure is an error of the tree in
    `immutable_servers.errors`; further ones of the same run are its notes (`__notes__`).
    """

    def __init__(
        self, project: Path | str, stack: str, *, say: Say | None = None, wait: float = 0
    ) -> None:
        """Name a stack; nothing is read or run.

        Args:
            project: The folder with `Pulumi.yaml`.
            stack: The stack's name, as in `Pulumi.<stack>.yaml`.
            say: Takes each line of progress, in the thread that calls.
            wait: Seconds to wait for another run that holds the stack.
        """
        self.project = Path(project).resolve()
        self.stack = stack
        self.say: Say = say or _say_nothing
        self.wait = wait

    def preview(self, *, offline: bool = False) -> StackPreview:
        """Return what `up` would do and why; change nothing.

        Raises:
            ImmutableError: An update would not begin.
        """
        with self._open(acts=False, engine=not offline) as stack:
            stack.require_file()
            preview = collect(stack, offline=offline).preview
            if preview.problems:
                first, *others = map(_make_error, preview.problems)
                raise _annotate(first, others)
            return preview

    def up(self) -> Outcome:
        """Bake, launch, verify and serve what the checkout says.

        Raises:
            ImmutableError: The run failed; what served still serves.
        """
        return self._update(None)

    def rollback(
        self, service: str = "", *, to: str = "", why: str, across_data_version: bool = False
    ) -> Outcome:
        """Go back to an earlier generation at once, and stay there until `resume`.

        Args:
            service: May be left out where there is one.
            to: The generation; without it the standby that served last.
            why: The reason, which is kept with the pin.
            across_data_version: Go back although the live one works with another version of data.

        Raises:
            ImmutableError: There is nothing to go back to, or the run failed.
        """
        across = across_data_version
        return self._update(lambda stack: ask_rollback(stack, service, to, why, across=across))

    def resume(self, service: str = "", *, now: bool = False) -> Outcome:
        """Follow the source again; with `now` also take what the rollback left.

        Raises:
            ImmutableError: The service is not pinned, or the run failed.
        """
        return self._update(lambda stack: ask_resume(stack, service, now=now))

    def replace(self, service: str = "", *, why: str) -> Outcome:
        """Replace a service's live generation: the same image on new servers.

        Raises:
            ImmutableError: The service is pinned, or the run failed.
        """
        return self._update(lambda stack: ask_replace(stack, service, why))

    def status(self) -> StackStatus:
        """Return what exists and what serves, as the target says; change nothing.

        Raises:
            ImmutableError: State, settings or target cannot be read.
        """
        with self._open(acts=False) as stack:
            return read_status(stack)

    def generations(self) -> tuple[Generation, ...]:
        """Return the generations that exist, of each service the newest first.

        Raises:
            ImmutableError: State, settings or target cannot be read.
        """
        return tuple(list_generations(self.status()))

    def destroy(self, *, and_stack: bool = False) -> Outcome:
        """Delete every server and the balancer; images stay, and so does the stack's file.

        Args:
            and_stack: Remove the empty stack from its backend, too.

        Raises:
            ImmutableError: The run failed; the next one goes on from there.
        """
        with self._open(acts=True) as stack:
            refuse_other_machine(stack)
            done = delete(stack.engine, Plain({}))
            if and_stack:
                remove(stack.engine)
            return done

    def _update(self, ask: Callable[[Opened], ServiceRequest] | None) -> Outcome:
        with self._open(acts=True) as stack:
            stack.require_file()
            asked = ask(stack) if ask else None
            if asked and asked.note:
                console.say(asked.note)
            request = asked.request if asked else None
            return update_and_clean_up(stack, Plain({}), request)

    @contextmanager
    def _open(self, *, acts: bool, engine: bool = True) -> Iterator[Opened]:
        """Open the stack, refuse to go on without its tools, hand progress to `say`.

        Raises:
            ImmutableError: Also what failed in the block; a run's further errors are its notes.
        """
        stack = Opened(self.project, self.stack, self.wait)
        refuse_unfit_places(self.project)
        make_private_places(self.project)
        parts = list_parts(stack.known_target, acts=acts)
        with console.speaking_to(self.say):
            if engine:
                require_parts(parts)
            try:
                yield stack
            except RunError as error:
                first, *others = error.errors
                raise _annotate(first, others) from None


def _say_nothing(_line: str) -> None:
    """Drop a line of progress."""


def _make_error(problem: Problem) -> ImmutableError:
    kind: type[ImmutableError] = getattr(errors, problem.kind, ImmutableError)
    return kind(problem.what, facts=problem.facts, todo=problem.todo)


def _annotate(first: ImmutableError, others: list[ImmutableError]) -> ImmutableError:
    for other in others:
        first.add_note(str(other))
    return first
