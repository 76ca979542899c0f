"""The way into moto's server: each call is recorded, may go wrong as a test says, and has effect.

A test writes `faults.json`: `{"elbv2.ModifyListener": {"code": "Throttling", "times": 2}}`. With
`"lost": true` the call is carried out, and its answer is the error. `launch` is no call, but a
group's attempt to launch instances.
"""

import io
import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from clouds.aws.emulation.cloud_world import World

SERVICES = {"elasticloadbalancing": "elbv2", "monitoring": "cloudwatch"}
"""Names of the signature's services, where the SDK has another one."""
KEPT = 400
"""So much of a parameter is recorded."""
FAILED = 400


class RecordingApp:
    """A WSGI application around another."""

    def __init__(self, app: Any, world: World) -> None:  # noqa: ANN401 - WSGI
        self.app = app
        self.world = world

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
        with self.world.lock:
            fault = self.world.take_fault(f"{service}.{action}")
            status = ["200"]
            answer: Iterable[bytes] = ()
            if fault is None or fault.get("lost"):
                answer = self._pass_on(environ, start_response if fault is None else None, status)
                self.world.settle()
            self.world.journal.note(
                "api",
                call=f"{service}.{action}",
                code=int(status[0].split()[0]) if fault is None else FAILED,
                parameters=parameters,
                agent=environ.get("HTTP_USER_AGENT", ""),
            )
        return answer if fault is None else refuse(service, fault, start_response)

    def _pass_on(
        self,
        environ: dict[str, Any],
        start_response: Any,  # noqa: ANN401 - WSGI
        status: list[str],
    ) -> list[bytes]:
        def start(code: str, headers: Any, error: Any = None) -> Any:  # noqa: ANN401 - WSGI
            status[0] = code
            return start_response(code, headers, error) if start_response else None

        answer = self.app(environ, start)
        try:
            return [*answer]
        finally:
            if hasattr(answer, "close"):
                answer.close()


def find_service(environ: Mapping[str, Any]) -> str:
    """Return the SDK's name of the service that a call was signed for."""
    found = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    name = found[1] if found else ""
    return SERVICES.get(name, name)


def read_call(environ: Mapping[str, Any], body: bytes) -> tuple[str, dict[str, str]]:
    """Return a call's action and parameters."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return target.rpartition(".")[2], {"json": body.decode(errors="replace")[:KEPT]}
    fields = {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
    action = fields.pop("Action", environ.get("PATH_INFO", ""))
    fields.pop("Version", None)
    return action, {name: value[:KEPT] for name, value in fields.items()}


def refuse(service: str, fault: Mapping[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401
    """Answer with an error, in the words of the service's protocol."""
    code, message = escape(fault["code"]), escape(fault.get("message", "a fault of the test"))
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    if service == "ec2":
        text = f"<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>"
    else:
        text = f"<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>"
    start_response(f"{FAILED} Bad Request", [("Content-Type", "text/xml")])
    return [text.encode()]
