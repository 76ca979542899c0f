"""The HTTP side: each request is found in its document, checked, recorded, and may go wrong.

What no document has is a mistake of who asks, and what is not emulated is refused: both are in the
journal as `refused`, and fail the test that met them. An answer that its document does not allow
is a mistake here, `broken`.
"""

import itertools
import json
import threading
import traceback
from collections.abc import Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from clouds.gcp.emulation.access import check_access
from clouds.gcp.emulation.calls import HANDLERS, Call
from clouds.gcp.emulation.documents import VERSIONS, Document, Method, read_document
from clouds.gcp.emulation.links import show
from clouds.gcp.emulation.permissions import find_permissions
from clouds.gcp.emulation.plain import answer_plain, merge
from clouds.gcp.emulation.refusals import Refusal, refuse_missing
from clouds.gcp.emulation.schemas import find_mistakes, find_wrong_parameters
from clouds.gcp.emulation.world import World

SUCCESS = 200
PUT = "/emulated/put"
"""Where a test changes what there is, behind the API's back."""
NOT_EMULATED = 501


class Api:
    """All the APIs over one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.numbers = itertools.count(1)

    def answer(
        self, verb: str, url: str, headers: Message, raw: bytes
    ) -> tuple[int, dict[str, Any]] | None:
        """Answer a request with code and body; None is no answer at all."""
        agent = headers.get("User-Agent", "")
        call, fault, body, refusal = None, None, {}, None
        try:
            document, call = self._read(verb, urlsplit(url), raw, agent)
            with self.world.lock:
                fault = self.world.take_fault(call.method.name) or self._throttle(call)
            check_access(self.world.folder, call, headers.get("Authorization", ""))
            body = self._carry_out(document, call) if not fault or fault.get("lost") else {}
            refusal = _make_refusal(fault)
        except Refusal as error:
            refusal = error
            if refusal.code == NOT_EMULATED:
                self._alarm("refused", f"{verb} {url}", refusal.message, agent)
        except Exception:  # noqa: BLE001 - the test is told of it
            refusal = Refusal("internalError", traceback.format_exc())
            self._alarm("broken", f"{verb} {url}", refusal.message, agent)
        self._note(call, f"{verb} {url}", refusal, agent)
        if fault and fault.get("lost") and refusal is None:
            return None
        service = call.method.name.partition(".")[0] if call else "compute"
        return (refusal.code, refusal.render(service)) if refusal else (SUCCESS, body)

    def _read(self, verb: str, url: SplitResult, raw: bytes, agent: str) -> tuple[Document, Call]:
        document, method, names = find_method(verb, unquote(url.path))
        asked = parse_qs(url.query, keep_blank_values=True)
        sent = json.loads(raw) if raw.strip() else {}
        given = {**{name: [text] for name, text in names.items()}, **asked}
        wrong = find_wrong_parameters(document, method, given)
        if method.request:
            wrong += find_mistakes(document, method.request, sent)
        elif sent:
            wrong.append(f"{method.name} takes no body")
        if wrong:
            self._alarm("refused", f"{verb} {url.path}", "; ".join(wrong), agent)
            raise Refusal("invalid", "; ".join(wrong))
        if "fields" in asked:
            raise Refusal("notEmulated", "partial answers (fields=) are not emulated")
        parameters = {name: values[-1] for name, values in given.items()}
        about = unquote(url.path).strip("/").removeprefix(f"{document.place}/")
        version = document.place.rpartition("/")[2]
        number = next(self.numbers)
        return document, Call(method, parameters, about, asked, sent, version, agent, number)

    def _carry_out(self, document: Document, call: Call) -> dict[str, Any]:
        """Do what a call asks for, one at a time; its answer is checked."""
        handler = HANDLERS.get(call.method.name, answer_plain)
        with self.world.lock:
            self._refuse_place(call)
            before = self.world.works.requests.get(call.parameters.get("requestId", ""))
            answer = self.world.store.get(before) if before else handler(self.world, call)
            self.world.settle()
            if call.method.name.startswith("compute."):
                answer = show(_name_kind(document, call.method, answer), call.version)
            copied: dict[str, Any] = json.loads(json.dumps(answer))
        schema = call.method.answer
        wrong = find_mistakes(document, schema, copied) if schema else []
        assert wrong == [], f"{call.method.name} answers wrongly: {wrong}"
        return copied

    def _refuse_place(self, call: Call) -> None:
        """Refuse a call in a project, region or zone that there is not."""
        words = call.path.split("/")
        places = {"/".join(words[:2]): words[0] == "projects"}
        places["/".join(words[:4])] = len(words) > 3 and words[2] in {"zones", "regions"}
        for place, named in places.items():
            if named and not self.world.store.find(place):
                raise refuse_missing(place)

    def _throttle(self, call: Call) -> dict[str, Any] | None:
        """Return the refusal of a call too many: Google has two ways to say it."""
        manners = self.world.manners
        if not call.is_strange or manners.draw("throttle", call.number) >= manners.throttled:
            return None
        message = "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'"
        code = 403 if call.number % 2 else 429
        return {"reason": "rateLimitExceeded", "code": code, "message": message}

    def _alarm(self, event: str, request: str, why: str, agent: str) -> None:
        self.world.journal.note(event, request=request, why=why, agent=agent)

    def _note(self, call: Call | None, request: str, refusal: Refusal | None, agent: str) -> None:
        self.world.journal.note(
            "api",
            call=call.method.name if call else request,
            code=refusal.code if refusal else SUCCESS,
            reason=refusal.reason if refusal else "",
            message=refusal.message if refusal else "",
            path=call.path if call else request,
            parameters=call.parameters if call else {},
            body=call.body if call else {},
            version=call.version if call else "",
            needs=find_permissions(call.method.name, call.path, call.body) if call else [],
            agent=agent,
        )


def find_method(verb: str, path: str) -> tuple[Document, Method, dict[str, str]]:
    """Return document, method and names of a request.

    Raises:
        Refusal: No document has it.
    """
    asked = path.strip("/")
    for place in VERSIONS:
        if asked.startswith(f"{place}/"):
            document = read_document(place)
            found = document.find(verb, asked.removeprefix(f"{place}/"))
            if found:
                return document, *found
    raise Refusal("notEmulated", f"No document has {verb} {path}")


def _name_kind(document: Document, method: Method, answer: dict[str, Any]) -> dict[str, Any]:
    """Give an answer the kind that its schema says, and leave out what is empty, as Google does."""
    kind = document.schemas[method.answer]["properties"].get("kind", {}).get("default")
    named = {"kind": kind, **answer} if kind else answer
    return {
        key: value for key, value in named.items() if key == "kind" or value not in ([], "", None)
    }


def _make_refusal(fault: Mapping[str, Any] | None) -> Refusal | None:
    """Return what a fault has a call be refused with; None when it is only not answered."""
    if not fault or not fault.get("reason"):
        return None
    words = {key: value for key, value in fault.items() if key not in {"times", "lost"}}
    return Refusal(**{"message": "a fault of the test", **words})


def put(world: World, words: Mapping[str, Any]) -> None:
    """Have a thing of the store be otherwise, as a test says: what is null is gone."""
    with world.lock:
        path = words["path"]
        world.store.put(path, merge(world.store.find(path) or {}, words["thing"]))
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
            self._send(SUCCESS, {})
            return
        answer = self.api.answer(self.command, self.path, self.headers, raw)
        if answer is None:
            self.close_connection = True
            return
        self._send(*answer)

    def _send(self, code: int, body: Mapping[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
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
