"""The emulated cloud as tests have it: started beside them, asked through the SDK, its journal."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httplib2
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build
from googleapiclient.http import set_user_agent

from clouds.shared.cloud_clock import NAME, VARIABLE
from harness.emulated_cloud import EmulatedCloud, Plugin, list_done
from immutable_servers.targets.gcp.clients import forget_clients

PROJECT = "emulated-project"
REGION = "europe-west3"
ZONES = tuple(f"{REGION}-{letter}" for letter in "abc")
TOKEN = "emulated"  # noqa: S105 - of an emulated cloud
POLITE: Mapping[str, Any] = {
    "operation": 0.0,
    "linger": 0.0,
    "stale": 0.0,
    "late_lists": 0.0,
    "throttled": 0.0,
    "page": 0,
    "no_room": {},
    "boot": 0.0,
    "check": 0.05,
    "blind": 0.0,
    "follow": 0.0,
    "visible": 0.0,
}
"""Manners of a cloud that is quick, even and short of nothing, for tests of something else."""
ALARMS = ("refused", "broken")
"""Events that no test may meet: what is not emulated, or a mistake of the emulator."""
PATHS = {
    "compute": "compute/v1/",
    "iam": "iam/v1/",
    "monitoring": "monitoring/v3/",
    "service_usage": "serviceusage/v1/",
    "resource_manager": "cloudresourcemanager/v1/",
}
"""Where each API is, by the word in the provider's setting of it."""
VERSIONS = {
    "compute": "v1",
    "iam": "v1",
    "monitoring": "v3",
    "serviceusage": "v1",
    "cloudresourcemanager": "v1",
}


@dataclass
class Cloud(EmulatedCloud):
    """One emulated cloud.

    Attributes:
        alarmed: How many alarms a test has taken.
    """

    alarmed: int = 0
    clients: threading.local = field(default_factory=threading.local)

    plugin: ClassVar[Plugin] = Plugin("gcp", 10)
    forget_clients = staticmethod(forget_clients)
    server: ClassVar[str] = "clouds.gcp.emulation.server"

    @property
    def environment(self) -> dict[str, str]:
        """What leads the SDK and the provider plugin to it: the provider's own settings."""
        return {
            **{
                f"GOOGLE_{name.upper()}_CUSTOM_ENDPOINT": f"{self.endpoint}/{path}"
                for name, path in PATHS.items()
            },
            "GOOGLE_OAUTH_ACCESS_TOKEN": TOKEN,
            "GOOGLE_PROJECT": PROJECT,
            "GOOGLE_REGION": REGION,
            "GCE_METADATA_HOST": "127.0.0.1:1",
            "PULUMI_GCP_SKIP_REGION_VALIDATION": "true",
            VARIABLE: str(self.folder / NAME),
        }

    def client(self, service: str = "compute", *, agent: str = "") -> Any:  # noqa: ANN401 - the SDK's
        """Return the SDK's client of a service, of this thread's own.

        Args:
            service: The API.
            agent: Who it says it is: `OURS` meets the cloud's manners, a test does not.
        """
        known: dict[tuple[str, str], Any] = self.clients.__dict__.setdefault("made", {})
        if (service, agent) not in known:
            http = set_user_agent(httplib2.Http(timeout=150), agent or "test")
            base, version = f"{self.endpoint}/{service}/", VERSIONS[service]
            known[service, agent] = build(
                service,
                version,
                http=AuthorizedHttp(Credentials(TOKEN), http=http),
                client_options={
                    "api_endpoint": f"{base}{version}/" if service == "compute" else base
                },
                cache_discovery=False,
            )
        return known[service, agent]

    def ask(self, verb: str, path: str, token: str = TOKEN) -> tuple[dict[str, Any], int]:
        """Ask without the SDK, such as `compute/beta/projects/…`; return body and code."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer, body = httplib2.Http().request(f"{self.endpoint}/{path}", verb, headers=headers)
        said: dict[str, Any] = json.loads(body)
        return said, answer.status

    def take_alarms(self) -> list[dict[str, Any]]:
        """Return what was not emulated or went wrong here; it fails the test unless it is taken."""
        found = [event for event in self.read_all() if event["event"] in ALARMS]
        new = found[self.alarmed :]
        self.alarmed = len(found)
        return new

    # what goes wrong
    def set_fault(self, call: str, reason: str, **more: Any) -> None:  # noqa: ANN401 - see refusals
        """Have the next calls of a method be refused, such as `compute.urlMaps.patch`.

        Args:
            call: The method.
            reason: As Google gives it, such as `conditionNotMet`.
            more: `times` (1), `message`, `code` of HTTP; `lost=True` does it all the same.
        """
        self.add_fault(call, {"reason": reason, **more})

    def slow_down(self, call: str) -> None:
        """Have the calls of a method be refused for their number, from now on."""
        self.set_fault(call, "rateLimitExceeded", code=429, times=10**6)

    def lose_answers(self, call: str, times: int = 1) -> None:
        """Have the next calls of a method be carried out and not answered."""
        self.add_fault(call, {"lost": True, "times": times})

    def end_credentials(self) -> None:
        """Have every call be refused from now on, since credentials have ended."""
        self.set_fault("*", "authError", code=401, message="Invalid Credentials", times=10**6)

    def fail_operation(self, call: str, code: str, message: str = "", times: int = 1) -> None:
        """Have operations of a method be DONE with an error, and without effect."""
        words = {"code": code, "message": message or f"{code}: a fault of the test", "times": times}
        self.add_fault(f"{call}:operation", words)

    def fail_machines(self, code: str, message: str, times: int = 1) -> None:
        """Have groups fail to make their next machines."""
        self.add_fault("group.create", {"code": code, "message": message, "times": times})

    def deny(self, *permissions: str) -> None:
        """Take permissions away from every caller; none gives all back."""
        self._merge("access.json", {"denied": permissions})

    def disable(self, *services: str) -> None:
        """Have APIs be off, such as `monitoring`; none turns all on."""
        self._merge("access.json", {"disabled": services})

    def put(self, path: str, **fields: Any) -> None:  # noqa: ANN401 - the API's
        """Have a thing be otherwise, behind the API's back; None takes a field away.

        Args:
            path: Such as `projects/emulated-project/regions/europe-west3`.
            fields: What is merged into it, such as `quotas=[…]`, `status="FAILED"`.
        """
        body = json.dumps({"path": path, "thing": fields})
        httplib2.Http().request(f"{self.endpoint}/emulated/put", "POST", body=body)

    def write_console(self, number: str, text: str) -> None:
        """Have an instance write to its serial port, by its id."""
        with (self.folder / "consoles" / number).open("a") as out:
            out.write(text)


@contextmanager
def start_cloud(folder: Path) -> Iterator[Cloud]:
    """Start an emulated cloud; it ends with the block, and with the process that runs it.

    A test that met what is not emulated fails at the end of the block.
    """
    with Cloud.start(folder) as cloud:
        yield cloud
        alarms = cloud.take_alarms()
        assert not alarms, json.dumps(alarms, indent=1)


def find_calls(events: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the calls of a method that were answered, and not refused."""
    return [dict(call) for call in list_done(events) if call["call"] == name]


__all__ = ["POLITE", "PROJECT", "REGION", "ZONES", "Cloud", "find_calls", "start_cloud"]
