"""The emulated account as tests have it: started beside them, asked over HTTP, its journal."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from clouds.digitalocean.emulation.calls import TEST
from clouds.digitalocean.emulation.wire import PUT, TOKEN
from clouds.shared.cloud_clock import NAME, VARIABLE
from harness.emulated_cloud import EmulatedCloud, Plugin
from immutable_servers.targets.digitalocean.clients import find_client

REGION = "fra1"
POLITE: Mapping[str, Any] = {
    "action": 0.0,
    "boot": 0.0,
    "ending": 0.0,
    "unseen": 0.0,
    "page": 0,
    "minute": 0,
    "busy": 0.0,
    "follow": 0.0,
    "late_nodes": 0.0,
    "check": 0.05,
    "guard": 0.0,
}
"""Manners of an account that is quick, even and short of nothing, for tests of something else."""
ALARMS = ("refused", "broken")
"""Events that no test may meet: what is not emulated, or a mistake of the emulator."""


class Said(NamedTuple):
    """An answer of the API: code, body (empty without one) and headers in small letters."""

    code: int
    body: dict[str, Any]
    headers: Mapping[str, str]


@dataclass
class Cloud(EmulatedCloud):
    """One emulated account.

    Attributes:
        alarmed: How many alarms a test has taken.
    """

    alarmed: int = 0

    plugin: ClassVar[Plugin] = Plugin("digitalocean", 4)
    server: ClassVar[str] = "clouds.digitalocean.emulation.server"

    @property
    def environment(self) -> dict[str, str]:
        """What leads pydo, the provider plugin and Packer to it: their own settings."""
        return {
            "DIGITALOCEAN_API_URL": self.endpoint,
            "DIGITALOCEAN_TOKEN": TOKEN,
            VARIABLE: str(self.folder / NAME),
        }

    @staticmethod
    def forget_clients() -> None:
        """Have our code make its client anew."""
        find_client.cache_clear()

    def ask(
        self,
        verb: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        agent: str = TEST,
        token: str = TOKEN,
    ) -> Said:
        """Ask without an SDK, such as `droplets?tag_name=web`.

        Args:
            verb: Of HTTP.
            path: Below `/v2/`.
            body: What is sent.
            agent: Who it says it is: a test does not meet the cloud's manners, all others do.
            token: Whose call it is.
        """
        request = Request(  # noqa: S310 - the emulated cloud's
            f"{self.endpoint}/v2/{path}",
            method=verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={"User-Agent": agent, "Authorization": f"Bearer {token}"},
        )
        try:
            with urlopen(request, timeout=60) as answer:  # noqa: S310 - the same
                return _read(answer.status, answer.read(), answer.headers)
        except HTTPError as error:
            return _read(error.code, error.read(), error.headers)

    def take_alarms(self) -> list[dict[str, Any]]:
        """Return what was not emulated or went wrong here; it fails the test unless it is taken."""
        found = [event for event in self.read_all() if event["event"] in ALARMS]
        new = found[self.alarmed :]
        self.alarmed = len(found)
        return new

    # what goes wrong
    def set_fault(self, call: str, id: str, **more: Any) -> None:  # noqa: A002, ANN401 - the API's
        """Have the next calls of an operation be refused, such as `loadBalancers.update`.

        Args:
            call: The operation, by its id in DigitalOcean's document with a dot.
            id: As DigitalOcean gives it, such as `forbidden`.
            more: `times` (1), `message`, `code` of HTTP, `headers`; `lost=True` does it
                all the same.
        """
        self.add_fault(call, {"id": id, **more})

    def slow_down(self, call: str) -> None:
        """Have the calls of an operation be refused for their number, from now on."""
        headers = {"retry-after": "1"}
        self.set_fault(call, "too_many_requests", headers=headers, times=10**6)

    def lose_answers(self, call: str, times: int = 1) -> None:
        """Have the next calls of an operation be carried out and not answered."""
        self.add_fault(call, {"lost": True, "times": times})

    def end_credentials(self) -> None:
        """Have every call be refused from now on, since the token has ended."""
        message = "Unable to authenticate you"
        self.set_fault("*", "unauthorized", message=message, times=10**6)

    def fail_action(self, kind: str, times: int = 1) -> None:
        """Have the next actions of a type, such as `snapshot`, end as errored."""
        self.add_fault(f"action:{kind}", {"errored": True, "times": times})

    def hang_action(self, kind: str, times: int = 1) -> None:
        """Have the next actions of a type never end."""
        self.add_fault(f"action:{kind}", {"never": True, "times": times})

    def keep_new(self, times: int = 1) -> None:
        """Have the next droplets never be active."""
        self.add_fault("droplet:new", {"times": times})

    def deny(self, *scopes: str) -> None:
        """Take scopes away from the token, such as `droplet:create`; none gives all back."""
        self._merge("access.json", {"denied": scopes})

    def put(self, kind: str, which: object, fields: Mapping[str, Any] | None) -> None:
        """Have a thing be there, or be otherwise, behind the API's back; None takes it away.

        Args:
            kind: Such as `account`, `sizes` or `droplets`.
            which: Its id, slug or, of the account, `account`.
            fields: What is merged into it, such as `{"droplet_limit": 1}`.
        """
        body = json.dumps({"kind": kind, "id": str(which), "fields": fields}).encode()
        request = Request(f"{self.endpoint}{PUT}", method="POST", data=body)  # noqa: S310 - the same
        urlopen(request, timeout=60).close()  # noqa: S310 - the same


def _read(code: int, raw: bytes, headers: Any) -> Said:  # noqa: ANN401 - of the library
    return Said(code, json.loads(raw or b"{}"), {key.lower(): one for key, one in headers.items()})


@contextmanager
def start_cloud(folder: Path) -> Iterator[Cloud]:
    """Start an emulated account; it ends with the block, and with the process that runs it.

    A test that met what is not emulated fails at the end of the block.
    """
    with Cloud.start(folder) as cloud:
        yield cloud
        alarms = cloud.take_alarms()
        assert not alarms, json.dumps(alarms, indent=1)


__all__ = ["POLITE", "REGION", "Cloud", "Said", "start_cloud"]
