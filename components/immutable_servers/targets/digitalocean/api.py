"""Asks DigitalOcean through pydo: one place for calls, pages, refusals and actions."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from immutable_servers.errors import ImmutableError, LaunchError
from immutable_servers.system.waiting import run_until_stopped, wait_until
from immutable_servers.targets.cloud.asked import Lately
from immutable_servers.targets.cloud.calls import CloudApi, ask_again
from immutable_servers.targets.digitalocean.clients import find_client
from immutable_servers.targets.digitalocean.faults import DoError, explain
from immutable_servers.targets.digitalocean.settings import DoSettings

MISSING = ("not_found",)
"""The code for what is not there, as `missing` takes it."""
BUSY = ("busy", "pending", "conflict")
"""Codes while DigitalOcean is at work on a thing: they pass."""
LATELY = 3.0
"""Seconds for which waits share a listing: a token has 250 calls a minute."""
ACTION_SECONDS, ACTION_PAUSE = 3600.0, 3.0
LISTINGS = 20
"""Times that a list is asked for which changes from page to page."""
RESET = "ratelimit-reset"
"""The header that says when the oldest call that counts does not count any more.
https://docs.digitalocean.com/reference/api/reference/limits-and-quotas/"""
KEYS: Mapping[str, str] = {"droplet_actions": "actions"}
"""What an answer lists under, where that is not pydo's collection."""
OURS: Mapping[str, Mapping[str, Any]] = {"images": {"private": True}}
"""What has a list be of the account alone: DigitalOcean has images for everybody, too."""


Thing = Mapping[str, Any]
"""What DigitalOcean says of a thing."""


class Api(CloudApi[DoSettings]):
    """DigitalOcean in the account of the token."""

    cloud = "DigitalOcean"
    reads: ClassVar[Sequence[str]] = ("get", "list")
    pages: ClassVar[Mapping[str, str]] = {"page": "page"}

    def __init__(self, settings: DoSettings, kind: type[ImmutableError] = LaunchError) -> None:
        super().__init__(settings, kind)
        self._lately = Lately()

    def call(
        self,
        operation: str,
        *,
        missing: Sequence[str] = (),
        again: Sequence[str] = (),
        **arguments: Any,  # noqa: ANN401 - the operation's own
    ) -> Mapping[str, Any]:
        """Call an operation by pydo's name, such as `droplets.create`; return the whole answer.

        Args:
            operation: pydo's collection and method.
            missing: Codes that are an answer, an empty one, such as `not_found`.
            again: Codes that pass, such as those of `BUSY`.
            arguments: The operation's own, such as `body`.

        Raises:
            ImmutableError: With what failed, what DigitalOcean said, and what to do.
            StoppedError: This process was asked to stop.
        """
        self.asked.note(operation.partition(".")[2])
        find_client()  # without the SDK this says so
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - only for DigitalOcean

        ask = partial(self._send, operation, arguments)
        try:
            return ask_again(operation, ask, DoError, DoError.is_one_of, missing, again)
        except (DoError, AzureError, OSError) as error:
            raise self.explain(error, operation) from error

    def explain(self, error: Exception, action: str) -> ImmutableError:
        """Return our error for a refusal of a call, or of what an action's name says."""
        return explain(error, action, self.settings.region, self.kind)

    def _send(self, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make one call; one that DigitalOcean slows down is made again with pauses.

        Raises:
            DoError: DigitalOcean refused; pydo itself returns what a 404 says as an answer.
        """
        from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 - only for DigitalOcean

        collection, _, method = operation.partition(".")
        ask = getattr(getattr(find_client(), collection), method)
        options = {"retry_total": self.settings.attempts - 1, "cls": _read_answer}
        try:
            status, body = run_until_stopped(operation, partial(ask, **arguments, **options))
        except HttpResponseError as error:
            answer = error.response
            text = answer.text() if answer is not None else ""
            reset = answer.headers.get(RESET, "") if answer is not None else ""
            raise _read_refusal(error.status_code or 0, text, reset) from error
        if status == 404:  # noqa: PLR2004
            raise _read_refusal(status, json.dumps(body))
        return body or {}

    def list(self, collection: str, **words: Any) -> list[Any]:  # noqa: ANN401 - the method's own
        """Return what all pages list that is the account's; kept while a run only looks.

        Pages are parts of what there is when each is asked for: where a thing has gone meanwhile,
        another one is on no page, and all are asked for again.
        """
        key, totals = KEYS.get(collection, collection), set[object]()
        words = {**OURS.get(collection, {}), **words}

        def ask(**page: Any) -> Mapping[str, Any]:  # noqa: ANN401 - a page's number
            answer = self.call(f"{collection}.list", per_page=200, **words, **page)
            totals.add((answer.get("meta") or {}).get("total"))
            return {**answer, "page": _find_page(answer)}

        question = (collection, "list", repr(sorted(words.items())))
        for _ in range(LISTINGS):
            totals.clear()
            found = self.find_pages(ask, lambda answer: answer.get(key) or (), *question)
            if len(totals) <= 1:
                break
        return found

    def look_anew(self) -> None:
        """Forget all answers: somebody else has changed something."""
        self.asked.stop()
        self._lately.forget()

    def list_lately(self, collection: str, **words: Any) -> Sequence[Any]:  # noqa: ANN401 - the method's own
        """Return what all pages list, as it was some seconds ago at most: for waits.

        Waits that look at the same listing at the same time share one call.
        """
        if self.asked.is_on:
            return self.list(collection, **words)
        question = (collection, repr(sorted(words.items())))
        return self._lately.find(question, partial(self.list, collection, **words), LATELY)

    def list_tags(self) -> Sequence[str]:
        """Return the names of the account's tags."""
        return [str(one["name"]) for one in self.list("tags")]

    def list_failed(self, droplet: int) -> Sequence[Thing]:
        """Return the actions of a droplet that ended as errored."""
        actions = self.list("droplet_actions", droplet_id=droplet)
        return [one for one in actions if one["status"] == "errored"]

    def find_named(self, collection: str, name: str, *, lately: bool = False) -> Thing | None:
        """Return the first thing of a name; as it was some seconds ago at most, if that will do."""
        look = self.list_lately if lately else self.list
        return next((one for one in look(collection) if one["name"] == name), None)

    def find(self, collection: str, **which: Any) -> Thing | None:  # noqa: ANN401 - the method's own
        """Return a thing, such as `find("droplets", droplet_id=1)`; None when it is not there."""
        ask = partial(self.call, f"{collection}.get", missing=MISSING, **which)
        question = (collection, "get", repr(sorted(which.items())))
        answer = self.asked.find(question, lambda: [ask()])[0]
        return next(iter(answer.values()), None)

    def find_account(self) -> str:
        """Return the UUID of whose the token is: a team's, or a user's without one."""
        found = self.find("account") or {}
        return str((found.get("team") or found).get("uuid", ""))

    def delete(self, collection: str, **which: Any) -> None:  # noqa: ANN401 - the method's own
        """Delete a thing; a missing one is no error, and a busy one is asked again to go."""
        method = "destroy" if collection == "droplets" else "delete"
        self.call(f"{collection}.{method}", missing=MISSING, again=BUSY, **which)

    def wait_action(self, action: int, seconds: float = ACTION_SECONDS) -> Mapping[str, Any]:
        """Wait until an action is completed, some seconds at most, and return it.

        Raises:
            ImmutableError: It ended as `errored`, or does not end.
        """
        self.asked.stop()
        found: Mapping[str, Any] = wait_until(
            f"waiting for action {action}",
            seconds,
            lambda: self.call("actions.get", action_id=action)["action"],
            done=lambda one: one["status"] != "in-progress",
            every=ACTION_PAUSE,
        )
        said = f"{found['type']} of {found['resource_id']} is {found['status']}"
        if found["status"] == "in-progress":
            what = f"DigitalOcean did not end action {action} in time"
            raise self.kind(what, facts=[said], todo="Run the same command again.")
        if found["status"] != "completed":
            raise self.explain(DoError("errored", said), f"action {action}")
        return found

    def tag_droplets(self, tag: str, droplets: Iterable[int]) -> None:
        """Give droplets a tag, which is made when it is not there."""
        self.call("tags.create", body={"name": tag})
        self.call("tags.assign_resources", tag_id=tag, again=BUSY, body=_name_droplets(droplets))

    def untag_droplets(self, tag: str, droplets: Iterable[int]) -> None:
        """Take a tag off droplets; a tag that is not there is no error."""
        body = _name_droplets(droplets)
        self.call("tags.unassign_resources", tag_id=tag, missing=MISSING, again=BUSY, body=body)


def _read_answer(response: Any, body: Any, _headers: Any) -> tuple[int, Any]:  # noqa: ANN401 - pydo's
    return response.http_response.status_code, body


def _read_refusal(status: int, text: str, reset: str = "") -> DoError:
    """Return a refusal; one of too many calls says from when on there are some more.

    The SDK waits for a minute's limit itself, and an hour's is longer than anybody waits.
    """
    try:
        said = json.loads(text)
        code, words = str(said["id"]), str(said["message"])
    except (ValueError, KeyError, TypeError):
        code, words = str(status), text
    if status == 429 and reset.isdigit():  # noqa: PLR2004
        words += f" It allows more calls from {time.strftime('%H:%M UTC', time.gmtime(int(reset)))}"
    return DoError(code, words)


def _find_page(answer: Mapping[str, Any]) -> int | None:
    """Return the number of the next page; its link is to the real host, wherever we ask."""
    link = ((answer.get("links") or {}).get("pages") or {}).get("next")
    return int(parse_qs(urlsplit(link).query)["page"][0]) if link else None


def _name_droplets(droplets: Iterable[int]) -> Mapping[str, Any]:
    resources = [{"resource_id": str(one), "resource_type": "droplet"} for one in droplets]
    return {"resources": resources}
