"""Asks Google through its API client: one place for calls, operations, pages and fingerprints."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from http.client import HTTPException
from typing import Any, ClassVar
from uuid import uuid4

from immutable_servers.system.waiting import run_until_stopped, wait_until
from immutable_servers.targets.cloud.calls import AGAIN_SECONDS, CloudApi, ask_again
from immutable_servers.targets.gcp.clients import find_client, take_connection
from immutable_servers.targets.gcp.faults import GoogleError, explain, read_answer, read_errors
from immutable_servers.targets.gcp.names import last_part
from immutable_servers.targets.gcp.settings import GcpSettings

CHANGE_PAUSE = 0.5
OLD = "conditionNotMet"
"""The reason of a change that was made from what is not there any more: an old fingerprint."""
CHANGING = "resourceNotReady"
"""The reason while somebody else's change of the same thing is under way."""
MISSING = ("notFound",)
"""The reason for what is not there, as `missing` takes it."""
BUSY = (CHANGING, "resourceInUseByAnotherResource")
"""Reasons while Google is at work on a thing, or on what uses it; and for some time after."""
NAMED = "named"
"""The argument for a thing's name, which Google calls otherwise for each kind."""
OPERATION, DONE = "compute#operation", "DONE"
OPERATION_SECONDS = 3600.0
"""A group ends after its servers, and these after their draining."""
OPERATION_PAUSE = 0.2


class Api(CloudApi[GcpSettings]):
    """Google Cloud in one project."""

    cloud = "Google"
    reads = ("get", "list", "aggregatedList", "testIamPermissions", "wait")
    pages: ClassVar[Mapping[str, str]] = {"nextPageToken": "pageToken"}

    def call(
        self,
        collection: str,
        method: str,
        *,
        service: str = "compute",
        missing: Sequence[str] = (),
        again: Sequence[str] = (),
        **arguments: Any,  # noqa: ANN401 - the method's own
    ) -> Mapping[str, Any]:
        """Call a method; wait for the end of the operation that it starts.

        Args:
            collection: googleapiclient's name, such as `urlMaps`.
            method: Its method, such as `patch`.
            service: The API.
            missing: Reasons that are an answer, an empty one, such as `notFound`; an operation may
                end with one, too.
            again: Reasons that pass, such as `resourceInUseByAnotherResource`.
            arguments: The method's own, and `named`, the thing's name; project and place are added.

        Raises:
            ImmutableError: With what failed, what Google said, and what to do.
            StoppedError: This process was asked to stop. A change that was under way may yet be
                made: it is as one whose answer was lost.
        """
        self.asked.note(method)
        action = f"{service}.{collection}.{method}"
        find_client(service)  # without the SDK this says so
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - only for Google
        from httplib2 import HttpLib2Error  # noqa: PLC0415

        ask = partial(self._ask, service, collection, method, arguments)
        try:
            return ask_again(action, ask, GoogleError, GoogleError.is_one_of, missing, again)
        except (GoogleError, GoogleAuthError, HttpLib2Error, HTTPException, OSError) as error:
            where = f"{self.settings.project}, {arguments.get('zone', self.settings.region)}"
            raise explain(error, action, where, self.kind) from error

    def _ask(
        self, service: str, collection: str, method: str, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Make one call, and wait for its operation.

        Raises:
            GoogleError: Google refused.
        """
        answer = self._send(service, collection, method, arguments)
        if answer.get("kind") != OPERATION:
            return answer
        place = next((word for word in ("zone", "region") if word in answer), "global")
        which = {"operation": answer["name"]}
        if place in answer:
            which[place] = last_part(answer[place])
        if answer["status"] != DONE:
            answer = wait_until(
                f"waiting for {method} of {collection}",
                OPERATION_SECONDS,
                # It answers after two minutes at the latest.
                lambda: self._send(service, f"{place}Operations", "wait", which),
                done=lambda found: found["status"] == DONE,
                every=OPERATION_PAUSE,
            )
        if answer["status"] != DONE:
            raise GoogleError(["operationTimedOut"], f"{answer['name']} does not end")
        if answer.get("error"):
            raise read_errors(answer["error"]["errors"])
        return answer

    def _send(
        self, service: str, collection: str, method: str, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Make one call; one that Google slows down is made again with growing pauses."""
        from googleapiclient.errors import HttpError  # noqa: PLC0415 - only for Google

        document, there = find_client(service)
        described, settings = document["resources"], self.settings
        if collection not in described:
            described, there = described["projects"]["resources"], there.projects()
        usual = {"project": settings.project, "region": settings.region}
        if service != "compute":
            usual = dict.fromkeys(("name", "parent"), f"projects/{settings.project}")
        elif method not in self.reads:  # so that a change whose answer was lost is made once
            usual["requestId"] = str(uuid4())
        known = described[collection]["methods"][method]
        takes = known.get("parameters", {})
        given = {**{key: usual[key] for key in usual if key in takes}, **arguments}
        if NAMED in given:
            *_, key = (one for one in known["parameterOrder"] if takes[one]["location"] == "path")
            given[key] = given.pop(NAMED)
        request = getattr(getattr(there, collection)(), method)(**given)

        def send() -> Any:  # noqa: ANN401 - an answer
            with take_connection() as connection:
                return request.execute(http=connection, num_retries=settings.attempts - 1)

        try:
            return dict(run_until_stopped(f"{method} of {collection}", send))
        except HttpError as error:
            raise read_answer(error.status_code, error.content) from error

    def list(self, collection: str, method: str = "list", **arguments: Any) -> list[Any]:  # noqa: ANN401 - those of `call`
        """Call a method until its last page, and return what all pages list."""
        ask = partial(self.call, collection, method, **arguments)
        question = (collection, method, repr(sorted(arguments.items())))
        return self.find_pages(ask, partial(_read_items, collection), *question)

    def find(self, collection: str, **arguments: Any) -> Mapping[str, Any] | None:  # noqa: ANN401 - those of `call`
        """Return a thing, None when it is not there."""
        ask = partial(self.call, collection, "get", missing=MISSING, **arguments)
        question = (collection, "get", repr(sorted(arguments.items())))
        return self.asked.find(question, lambda: [ask()])[0] or None

    def delete(self, collection: str, name: str, **where: str) -> None:
        """Delete a thing; a missing one is no error, and one in use is asked again to go."""
        self.call(collection, "delete", missing=MISSING, again=BUSY, named=name, **where)

    def change(
        self,
        collection: str,
        name: str,
        render: Callable[[Mapping[str, Any]], Mapping[str, Any] | None],
        *,
        method: str = "patch",
    ) -> None:
        """Change a thing that others change, too: read it, and patch it if it is still the same.

        Args:
            collection: Such as `urlMaps`.
            name: The thing's.
            render: Returns what is changed of the thing that was just read; None for nothing.
            method: `setLabels` where all that is changed are labels.

        Raises:
            ImmutableError: It is not there, or others change it all the time.
        """

        def change() -> bool:
            thing = self.call(collection, "get", named=name)
            found = render(thing)
            if found is None:
                return True
            mark = "labelFingerprint" if method == "setLabels" else "fingerprint"
            body = {**found, mark: thing[mark]}
            met = (OLD, CHANGING)
            return bool(self.call(collection, method, missing=met, named=name, body=body))

        if not wait_until(f"changing {name}", AGAIN_SECONDS, change, every=CHANGE_PAUSE):
            raise explain(GoogleError([OLD], ""), f"{collection} {name}", "", self.kind)


def _read_items(collection: str, answer: Mapping[str, Any]) -> Iterable[Any]:
    """Return what an answer lists: under `items`, which `aggregatedList` has by place, or else."""
    keys = ("items", "managedInstances", "healthStatus", "result", "accounts", collection)
    items: Any = next((answer[key] for key in keys if key in answer), [])
    if isinstance(items, Mapping):
        items = [thing for place in items.values() for thing in place.get(collection, ())]
    return list(items)
