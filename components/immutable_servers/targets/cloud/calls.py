"""Makes calls again whose refusal passes, and waits for what a cloud has accepted."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, ClassVar, Generic, Self, TypeVar

from immutable_servers.errors import ImmutableError, LaunchError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.cloud.asked import Asked
from immutable_servers.targets.cloud.settings import CloudSettings

AGAIN_SECONDS = 300.0
"""How long a call is made again whose refusal passes by itself."""
AGAIN_PAUSE = 1.0
WAIT_SECONDS = 600.0
"""How long a cloud may take to show, or to end, what it has been asked for."""

T = TypeVar("T")
E = TypeVar("E", bound=Exception)
S = TypeVar("S", bound=CloudSettings)


class CloudApi(Generic[S]):
    """What a cloud is asked through.

    Attributes:
        cloud: Its name, for a reader.
        reads: How the cloud's calls begin that change nothing.
        pages: Where an answer says that there is more, and the argument that asks for it.
        kind: The branch of errors about a call itself.
        asked: What this one and those that were made from it have been answered.
    """

    cloud: ClassVar[str]
    reads: ClassVar[Sequence[str]]
    pages: ClassVar[Mapping[str, str]]

    def __init__(self, settings: S, kind: type[ImmutableError] = LaunchError) -> None:
        self.settings, self.kind = settings, kind
        self.asked = Asked(*self.reads)

    def raising(self, kind: type[ImmutableError]) -> Self:
        """Return the same with another branch for errors that are about a call itself."""
        return self._copy(kind=kind)

    def _copy(self, **changed: Any) -> Self:  # noqa: ANN401 - attributes
        """Return the same with other attributes; both know what either is answered."""
        other = copy(self)
        vars(other).update(changed)
        return other

    def find_pages(
        self,
        ask: Callable[..., Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], Iterable[Any]],
        *question: str,
    ) -> list[Any]:
        """Return what all pages of an answer list, asked now unless it is kept.

        Args:
            ask: Makes the call, with further arguments for a further page.
            read: Returns what one page lists.
            question: What is asked, in words.
        """

        def look() -> Iterator[Any]:
            page: dict[str, Any] | None = {}
            while page is not None:
                answer = ask(**page)
                yield from read(answer)
                more = ({to: answer[key]} for key, to in self.pages.items() if answer.get(key))
                page = next(more, None)

        return self.asked.find(question, look)

    def wait(self, what: str, look: Callable[[], T | None]) -> T:
        """Wait until the cloud shows what it has accepted already; return the last look.

        Raises:
            ImmutableError: It did not come in time, or the cloud refused to say.
            StoppedError: This process was asked to stop.
        """
        self.asked.stop()
        found = wait_until(f"waiting for {what}", WAIT_SECONDS, look, every=AGAIN_PAUSE)
        if not found:
            todo = "Run the same command again."
            raise self.kind(f"{self.cloud} did not come to {what} in time", todo=todo)
        return found


def ask_again(
    what: str,
    ask: Callable[[], Mapping[str, Any]],
    refusal: type[E],
    is_one_of: Callable[[E, Sequence[str]], bool],
    missing: Sequence[str],
    again: Sequence[str],
) -> Mapping[str, Any]:
    """Return an answer; one that is refused with what passes is asked for again.

    Args:
        what: What a stopped wait says was ended.
        ask: Makes the call.
        refusal: What it raises when the cloud refuses.
        is_one_of: Whether a refusal has one of the cloud's words for it.
        missing: Words for a refusal that is an answer: an empty one.
        again: Words for one that passes by itself.

    Raises:
        Exception: The last refusal.
        StoppedError: This process was asked to stop.
    """
    refusals: list[E] = []

    def look() -> list[Mapping[str, Any]]:
        """Return the answer in a list, or nothing when a refusal may pass."""
        try:
            return [ask()]
        except refusal as error:
            refusals.append(error)
            if is_one_of(error, missing):
                return [{}]
            if not is_one_of(error, again):
                raise
            return []

    answers = wait_until(what, AGAIN_SECONDS, look, every=AGAIN_PAUSE)
    if not answers:
        raise refusals[-1]
    return answers[0]
