"""What a load balancer does beside its API: health checks, and requests to targets.

Rules, actions, weights and target states are read from moto at each request, so a listener answers
as its configuration says from the moment that the API has changed it.
"""

import http.client
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

CHECK_SECONDS = 0.1
"""How often targets are asked; what the API says of intervals is only written down."""
ANSWER_SECONDS = 2.0
FIRST_ERROR = 500
HOP = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length"))
Key = tuple[str, str]
"""ARN of a target group, and id of a target."""


@dataclass
class Target:
    """One target of a group, as the health checks know it."""

    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    description: str = "Target registration is in progress"
    passed: int = 0
    failed: int = 0

    def take(self, detail: str, group: Any) -> None:  # noqa: ANN401 - moto's target group
        """Count a check: empty when it passed, else why not."""
        if detail:
            self.passed, self.failed = 0, self.failed + 1
            if self.failed >= int(group.unhealthy_threshold_count):
                self.state = "unhealthy"
                self.reason, self.description = "Target.FailedHealthChecks", detail
        else:
            self.passed, self.failed = self.passed + 1, 0
            if self.passed >= int(group.healthy_threshold_count):
                self.state, self.reason, self.description = "healthy", "", ""


@dataclass
class Health:
    """What the health checks found, and which targets are on their way out.

    Attributes:
        leaving: Until when a target that was taken out still counts as draining.
        in_flight: How many requests a target is answering.
    """

    targets: dict[Key, Target] = field(default_factory=dict)
    leaving: dict[Key, float] = field(default_factory=dict)
    in_flight: dict[Key, int] = field(default_factory=dict)
    counting: threading.Lock = field(default_factory=threading.Lock)

    def is_draining(self, key: Key) -> bool:
        """Tell whether a target that was taken out still answers somebody."""
        return bool(self.in_flight.get(key)) and time.monotonic() < self.leaving.get(key, 0)

    def count(self, key: Key, more: int) -> None:
        """Count a request that begins or ends."""
        with self.counting:
            self.in_flight[key] = self.in_flight.get(key, 0) + more


def ask(address: str, port: int, path: str, codes: str) -> str:
    """Return why a target's health check failed; empty when it passed."""
    try:
        with urllib.request.urlopen(
            f"http://{address}:{port}{path}", timeout=ANSWER_SECONDS
        ) as answer:
            code = answer.status
    except urllib.error.HTTPError as error:
        code = error.code
    except OSError as error:
        return f"Health checks failed: {error}"
    return "" if is_wanted(code, codes) else f"Health checks failed with these codes: [{code}]"


def is_wanted(code: int, codes: str) -> bool:
    """Tell whether a matcher such as `200,300-399` takes a code."""
    for part in codes.split(","):
        low, _, high = part.partition("-")
        if int(low) <= code <= int(high or low):
            return True
    return False


def find_actions(listener: Any, headers: Mapping[str, str], path: str) -> Sequence[Any]:  # noqa: ANN401
    """Return what a listener of moto's does with a request: its first rule that matches."""
    rules = [rule for rule in listener.rules.values() if not rule.is_default]
    for rule in sorted(rules, key=lambda rule: int(rule.priority)):
        if all(_matches(condition, headers, path) for condition in rule.conditions):
            return cast("Sequence[Any]", rule.actions)
    return cast("Sequence[Any]", listener.default_actions)


def _matches(condition: Mapping[str, Any], headers: Mapping[str, str], path: str) -> bool:
    field_name = condition["Field"]
    if field_name == "http-header":
        config = condition["HttpHeaderConfig"]
        return headers.get(config["HttpHeaderName"].lower()) in config["Values"]
    values: Sequence[str] = condition.get("Values") or next(
        (part["Values"] for key, part in condition.items() if key.endswith("Config")), []
    )
    if field_name == "host-header":
        return headers.get("host", "").partition(":")[0] in values
    if field_name == "path-pattern":
        return any(path.startswith(value.rstrip("*")) for value in values)
    message = f"the emulated balancer does not know the condition {field_name}"
    raise NotImplementedError(message)


def find_weights(actions: Sequence[Any]) -> dict[str, int]:
    """Return the target groups that actions forward to, by their weight."""
    found: dict[str, int] = {}
    for action in actions:
        data = action.data
        if data["Type"] != "forward":
            continue
        groups = data.get("ForwardConfig", {}).get("TargetGroups") or [
            {"TargetGroupArn": data["TargetGroupArn"], "Weight": 1}
        ]
        found |= {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}
    return {arn: weight for arn, weight in found.items() if weight}


class Front(BaseHTTPRequestHandler):
    """Answers for one listener."""

    world: Any
    listener_arn: str
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Do what the listener says."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        actions = self.world.find_actions(self.listener_arn, headers, self.path)
        weights = find_weights(actions)
        if weights:
            (group,) = random.choices([*weights], [*weights.values()])  # noqa: S311 - no secret
            self._forward(group, headers)
        else:
            self._answer_fixed(actions[0].data if actions else {})

    def _answer_fixed(self, action: Mapping[str, Any]) -> None:
        fixed = action.get("FixedResponseConfig") or {"StatusCode": "503", "MessageBody": ""}
        self._send(int(fixed["StatusCode"]), {}, str(fixed.get("MessageBody") or "").encode())

    def _forward(self, group: str, headers: Mapping[str, str]) -> None:
        """Pass the request on to a healthy target; with none healthy to any, as Amazon does."""
        targets = self.world.find_targets(group)
        healthy = [target for target in targets if target[3] == "healthy"]
        if not targets:
            self._send(503, {}, b"no target\n")
            return
        identity, address, port, _ = random.choice(healthy or targets)  # noqa: S311 - the same
        self.world.health.count((group, identity), 1)
        counted = ["RequestCount"]
        try:
            line = http.client.HTTPConnection(address, port, timeout=ANSWER_SECONDS)
            line.request("GET", self.path, headers=dict(headers))
            answer = line.getresponse()
            counted += ["HTTPCode_Target_5XX_Count"] if answer.status >= FIRST_ERROR else []
            self._send(answer.status, dict(answer.getheaders()), answer.read())
            line.close()
        except OSError as error:
            counted.append("TargetConnectionErrorCount")
            self._send(502, {}, f"{error}\n".encode())
        finally:
            self.world.health.count((group, identity), -1)
            self.world.count(group, counted)

    def _send(self, code: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in headers.items():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
        """Stay silent: the journal has what matters."""
