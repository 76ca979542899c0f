"""The way into moto's server: each call is recorded, may go wrong as a test says, and has effect.

A test writes `faults.json`: `{"elbv2.ModifyListener": {"code": "Throttling", "times": 2}}`. With
`"lost": true` the call is carried out, and its answer is the error. `launch` is no call, but a
group's attempt to launch instances, and `*` is every call.
"""

import io
import json
import re
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from clouds.aws.emulation.cloud_manners import AwsManners
from clouds.aws.emulation.cloud_pages import ask_for_all, cut_page
from clouds.aws.emulation.cloud_past import Past
from clouds.aws.emulation.cloud_world import World

SERVICES = {"elasticloadbalancing": "elbv2", "monitoring": "cloudwatch"}
"""Names of the signature's services, where the SDK has another one."""
KEPT = 400
"""So much of a parameter is recorded."""
SUCCESS, FAILED = 200, 400
STRANGERS = ("immutable-servers", "pulumi-resource-aws", "HashiCorp", "Packer")
"""Who meets the cloud's manners, by a word of its user agent. A test itself sees what is."""
THROTTLED = {"ec2": "RequestLimitExceeded"}
"""Codes of a call too many, where it is not `Throttling`.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""


class RecordingApp:
    """A WSGI application around another."""

    def __init__(self, app: Any, world: World) -> None:  # noqa: ANN401 - WSGI
        self.app = app
        self.world = world
        self.past = Past()
        self.calls: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401
        """Carry a call out, one at a time."""
        try:
            return self._answer(environ, start_response)
        except Exception:
            self.world.journal.note("broken", traceback=traceback.format_exc())
            raise

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        service = find_service(environ)
        action, parameters = read_call(environ, body)
        agent, manners = environ.get("HTTP_USER_AGENT", ""), self.world.manners
        if not any(name in agent for name in STRANGERS):
            manners = replace(manners, throttled=0.0, stale=0.0, page=0)
        if manners.page:
            body = ask_for_all(service, action, body)
            environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        with self.world.lock:
            if service == "cloudwatch":
                self.world.metrics.publish()
            fault = self.world.take_fault(f"{service}.{action}")
            fault = fault or self._throttle(service, action, manners)
            answer = Answer()
            if fault is None or fault.get("lost"):
                self.past.keep(service, action, self.world.manners)
                with self.past.show(service, action, manners):
                    answer = self._pass_on(environ)
                self.world.settle()
            if fault is None and answer.code == SUCCESS:
                answer.cut(service, action, parameters, manners)
            self.world.journal.note(
                "api",
                call=f"{service}.{action}",
                code=answer.code if fault is None else FAILED,
                parameters={name: value[:KEPT] for name, value in parameters.items()},
                agent=agent,
            )
        return (
            answer.send(start_response) if fault is None else refuse(service, fault, start_response)
        )

    def _throttle(self, service: str, action: str, manners: AwsManners) -> Mapping[str, Any] | None:
        """Return the refusal of a call too many."""
        call = f"{service}.{action}"
        self.calls[call] += 1
        if manners.draw("throttle", call, self.calls[call]) >= manners.throttled:
            return None
        return {"code": THROTTLED.get(service, "Throttling"), "message": "Rate exceeded"}

    def _pass_on(self, environ: dict[str, Any]) -> "Answer":
        said = Answer()

        def start(status: str, headers: Any, error: Any = None) -> None:  # noqa: ANN401 - WSGI
            del error
            said.status, said.headers = status, [*headers]

        answer = self.app(environ, start)
        try:
            said.body = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        return said


@dataclass
class Answer:
    """What moto answered."""

    status: str = "200 OK"
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @property
    def code(self) -> int:
        """Its number."""
        return int(self.status.split()[0])

    def cut(
        self, service: str, action: str, parameters: Mapping[str, str], manners: AwsManners
    ) -> None:
        """Have it hold one page."""
        self.body = cut_page(service, action, parameters, self.body, manners)
        kept = [(name, text) for name, text in self.headers if name.lower() != "content-length"]
        self.headers = [*kept, ("Content-Length", str(len(self.body)))]

    def send(self, start_response: Any) -> list[bytes]:  # noqa: ANN401 - WSGI
        """Answer with it."""
        start_response(self.status, self.headers)
        return [self.body]


def find_service(environ: Mapping[str, Any]) -> str:
    """Return the SDK's name of the service that a call was signed for."""
    found = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    name = found[1] if found else ""
    return SERVICES.get(name, name)


def read_call(environ: Mapping[str, Any], body: bytes) -> tuple[str, dict[str, str]]:
    """Return a call's action and parameters."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return target.rpartition(".")[2], {"json": body.decode(errors="replace")}
    fields = {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
    action = fields.pop("Action", environ.get("PATH_INFO", ""))
    fields.pop("Version", None)
    return action, fields


def refuse(service: str, fault: Mapping[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401
    """Answer with an error, in the words of the service's protocol."""
    code, message = escape(fault["code"]), escape(fault.get("message", "a fault of the test"))
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    kind = "text/xml"
    if service == "ec2":
        text = f"<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>"
    elif service == "cloudwatch":
        kind = "application/x-amz-json-1.0"
        text = json.dumps({"__type": code, "message": message})
    else:
        text = f"<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>"
    start_response(f"{FAILED} Bad Request", [("Content-Type", kind)])
    return [text.encode()]
