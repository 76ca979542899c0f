"""The HTTP side: each request is checked by the document, recorded, and may go wrong.

What is not emulated is refused, and is in the journal as `refused`: it fails the test that met it.
An answer that the document does not allow is a mistake here, `broken`.
"""

import itertools
import json
import threading
import time
import traceback
from collections.abc import Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from clouds.digitalocean.emulation.balancers import tell_pace
from clouds.digitalocean.emulation.calls import Call, find_operation
from clouds.digitalocean.emulation.documents import read_document
from clouds.digitalocean.emulation.refusals import CODES, NO_SCOPE, Refusal
from clouds.digitalocean.emulation.world import World

TOKEN = "emulated"  # noqa: S105 - of an emulated account
PUT = "/emulated/put"
"""Where a test changes what there is, behind the API's back."""
OURS = "immutable-servers"
"""A word of the user agent that our own code has."""
HOUR = 5000
"""Calls that a token has in an hour."""
SCARCE: Mapping[str, int] = {"sshKeys.list": 10}
"""Calls with a limit a minute of their own."""
Answer = tuple[int, dict[str, Any] | None, dict[str, str]]


class Api:
    """The API over a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.numbers = itertools.count(1)
        self.calls: dict[str, list[float]] = {}

    def answer(self, verb: str, url: str, headers: Message, raw: bytes) -> Answer | None:
        """Answer a request with code, body and headers; None is no answer at all."""
        agent = headers.get("User-Agent", "")
        call, fault, body, refusal = None, None, None, None
        try:
            call = self._read(verb, url, raw, agent)
            self._check_access(call, headers.get("Authorization", ""))
            with self.world.lock:
                fault = self.world.take_fault(call.operation.name)
                self._count(call)
            if not fault or fault.get("lost"):
                body = self._carry_out(call)
            refusal = _make_refusal(fault)
        except Refusal as error:
            refusal = error
            if refusal.code == CODES["not_emulated"]:
                self._alarm("refused", f"{verb} {url}", refusal.message, agent)
        except Exception:  # noqa: BLE001 - the test is told of it
            refusal = Refusal("server_error", traceback.format_exc())
            self._alarm("broken", f"{verb} {url}", refusal.message, agent)
        self._note(call, f"{verb} {url}", refusal, agent)
        if fault and fault.get("lost") and refusal is None:
            return None
        limits = self._describe_limits()
        if refusal:
            return refusal.code, refusal.render(), {**limits, **refusal.headers}
        assert call is not None
        told = tell_pace(self.world, body) if body and OURS in agent else body
        return call.operation.answer, told, limits

    def _read(self, verb: str, url: str, raw: bytes, agent: str) -> Call:
        parts = urlsplit(url)
        found = find_operation(verb, parts.path)
        if found is None:
            raise Refusal("not_emulated", f"{verb} {parts.path} is not emulated")
        operation, which = found
        asked = dict(parse_qsl(parts.query, keep_blank_values=True))
        sent = json.loads(raw) if raw.strip() else None
        names = {name: unquote(text) for name, text in which.items()}
        document = read_document()
        if document:
            wrong = document.find_wrong_parameters(operation, {**names, **asked})
            if sent is not None or verb in ("POST", "PUT"):
                wrong += document.find_mistakes(operation, sent)
            if wrong:
                raise Refusal("unprocessable_entity", "; ".join(wrong))
        return Call(operation, names, asked, sent or {}, agent, next(self.numbers))

    def _check_access(self, call: Call, given: str) -> None:
        if given != f"Bearer {TOKEN}":
            raise Refusal("unauthorized", "Unable to authenticate you")
        file = self.world.folder / "access.json"
        denied = json.loads(file.read_text())["denied"] if file.exists() else ()
        if {*denied} & {*call.find_scopes()}:
            raise Refusal("forbidden", NO_SCOPE)

    def _count(self, call: Call) -> None:
        """Refuse a call too many in a minute, by the cloud's clock."""
        most = self.world.manners.minute
        if not most or not call.is_strange:
            return
        limits = {"": most, call.operation.name: SCARCE.get(call.operation.name, most)}
        now = self.world.clock.now()
        for name, limit in limits.items():
            lately = [one for one in self.calls.get(name, ()) if one > now - 60]
            if len(lately) >= limit:
                wait = max(1, round(lately[0] + 60 - now))
                headers = {"retry-after": str(wait), "ratelimit-reset": str(int(now + wait))}
                raise Refusal("too_many_requests", "API Rate limit exceeded.", headers=headers)
            self.calls[name] = [*lately, now]

    def _carry_out(self, call: Call) -> dict[str, Any] | None:
        """Do what a call asks for, one at a time; its answer is checked."""
        with self.world.lock:
            answer = call.operation.handler(self.world, call)
            self.world.settle()
            copied: dict[str, Any] | None = json.loads(json.dumps(answer))
        document = read_document()
        if document:
            wrong = document.find_wrong_answer(call.operation, call.operation.answer, copied)
            assert wrong == [], f"{call.operation.name} answers wrongly: {wrong}"
        return copied

    def _describe_limits(self) -> dict[str, str]:
        left = HOUR - len(self.calls.get("", ()))
        reset = str(int(time.time()) + 3600)
        names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
        return dict(zip(names, (str(HOUR), str(left), reset), strict=True))

    def _alarm(self, event: str, request: str, why: str, agent: str) -> None:
        self.world.journal.note(event, request=request, why=why, agent=agent)

    def _note(self, call: Call | None, request: str, refusal: Refusal | None, agent: str) -> None:
        self.world.journal.note(
            "api",
            call=call.operation.name if call else request,
            code=refusal.code if refusal else call.operation.answer if call else 0,
            reason=refusal.id if refusal else "",
            message=refusal.message if refusal else "",
            path=request,
            body=call.body if call else {},
            needs=call.find_scopes() if call else [],
            agent=agent,
        )


def _make_refusal(fault: Mapping[str, Any] | None) -> Refusal | None:
    """Return what a fault has a call be refused with; None when it is only not answered."""
    if not fault or not fault.get("id"):
        return None
    words = {key: value for key, value in fault.items() if key not in {"times", "lost"}}
    return Refusal(**{"message": "a fault of the test", **words})


def put(world: World, words: Mapping[str, Any]) -> None:
    """Have a thing of the store be otherwise, or be there, as a test says; `null` removes it."""
    kind, which, fields = words["kind"], words["id"], words["fields"]
    with world.lock:
        if fields is None:
            world.store.remove(kind, which)
        else:
            world.store.put(kind, which, {**(world.store.find(kind, which) or {}), **fields})
        world.settle()


class Handler(BaseHTTPRequestHandler):
    """Reads requests and writes answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together
    api: Api

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == PUT:
            put(self.api.world, json.loads(raw))
            self._send(204, None, {})
            return
        answer = self.api.answer(self.command, self.path, self.headers, raw)
        if answer is None:
            self.close_connection = True
            return
        self._send(*answer)

    def _send(self, code: int, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if text:
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Say nothing: the journal has the calls."""


class Server(ThreadingHTTPServer):
    """Answers on a port of the loopback, each connection in a thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, world: World) -> None:
        api = Api(world)
        super().__init__(("127.0.0.1", 0), type("OurHandler", (Handler,), {"api": api}))

    def start(self) -> str:
        """Serve beside the caller; return where."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server_port}"
