"""Answers the engine as an official provider plugin would, for some of its types.

Checks fill in automatic names and defaults, diffs say what is replaced, and each operation is
carried out on the API. What is a provider's own are its types and its clients.
Protocol: https://github.com/pulumi/pulumi/blob/v3.259.0/proto/pulumi/provider.proto
"""

# ruff: noqa: N802 - the methods have the protocol's names

import json
import secrets
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, ClassVar, TypeVar

import grpc  # type: ignore[import-untyped]
import tenacity
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN
from shared_kinds import Kind
from shared_wire import FILLED, IMPORTED, Values, is_unknown, read_meant, read_struct, write_struct

from immutable_servers.system.engine_watch import end_with_engine

NEW_SECONDS = 60.0
"""How long a new resource is waited for."""

Answer = TypeVar("Answer")
Method = Callable[["Plugin", Any, grpc.ServicerContext], Answer]


def with_message(method: Method[Answer]) -> Method[Answer]:
    """Hand an error to the engine as one message."""

    @wraps(method)
    def answer(plugin: "Plugin", request: Any, context: grpc.ServicerContext) -> Answer:  # noqa: ANN401
        try:
            return method(plugin, request, context)
        except Exception as error:
            context.abort(grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}")
            raise

    return answer


class Plugin(ABC, provider_pb2_grpc.ResourceProviderServicer):
    """A provider.

    Attributes:
        package: Its name in a program, such as `aws`.
        version: That of the package that the stand-in follows.
        kinds: Its types by their names in the engine.
        used_settings: Provider settings that it follows.
        idle_settings: Those that only tell the official plugin what not to ask.
    """

    package: ClassVar[str]
    version: ClassVar[str]
    kinds: ClassVar[Mapping[str, type[Kind]]]
    used_settings: ClassVar[Sequence[str]] = ()
    idle_settings: ClassVar[Sequence[str]] = ()

    def __init__(self) -> None:
        """Start without settings."""
        self.settings: Values = {}
        self.made: dict[str, Any] = {}
        self.making = threading.Lock()

    @abstractmethod
    def make_client(self, service: str) -> Any:  # noqa: ANN401 - any SDK's
        """Make the client of a service, with the provider's settings."""

    @abstractmethod
    def is_unknown_yet(self, error: BaseException) -> bool:
        """Tell whether an error says that a thing does not exist."""

    def drop_ignored(self, inputs: Values) -> Values:
        """Return inputs without what the settings leave to others."""
        return inputs

    def find_client(self, service: str) -> Any:  # noqa: ANN401 - any SDK's
        """Return the client of a service, made once."""
        with self.making:
            if service not in self.made:
                self.made[service] = self.make_client(service)
            return self.made[service]

    def find_kind(self, urn: str) -> Kind:
        """Return the type of a resource."""
        token = urn.split("::")[2].rpartition("$")[2]
        if token not in self.kinds:
            raise self._miss(token)
        return self.kinds[token](self.find_client)

    def _miss(self, token: str) -> NotImplementedError:
        return NotImplementedError(f"the stand-in for the {self.package} plugin has no {token}")

    # the provider itself
    def Handshake(
        self, _request: provider_pb2.ProviderHandshakeRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Take values as they are: no wrapped secrets, no outputs."""
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(
        self, _request: empty_pb2.Empty, _context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """Report the version of the package that the stand-in follows."""
        return plugin_pb2.PluginInfo(version=self.version)

    def Attach(
        self, _request: plugin_pb2.PluginAttach, _context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Serve an engine that found us running."""
        return empty_pb2.Empty()

    @with_message
    def CheckConfig(
        self, request: provider_pb2.CheckRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Refuse settings that would be left out without a word."""
        known = {*self.used_settings, *self.idle_settings, "version"}
        failures = [
            provider_pb2.CheckFailure(property=name, reason="the stand-in does not know it")
            for name in read_struct(request.news)
            if name not in known
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(
        self, _request: provider_pb2.DiffRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Replace nothing for other settings."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Take the settings; structures come as JSON."""
        self.settings = {
            key.rpartition(":")[2]: json.loads(text) if text[:1] in ("[", "{") else text
            for key, text in request.variables.items()
        }
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Cancel(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Go on to the end of what is under way."""
        return empty_pb2.Empty()

    # resources
    @with_message
    def Check(
        self, request: provider_pb2.CheckRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Fill in defaults and an automatic name; refuse what the stand-in does not know."""
        kind = self.find_kind(request.urn)
        olds, news = read_struct(request.olds), read_struct(request.news)
        failures = [
            provider_pb2.CheckFailure(property=name, reason="the stand-in does not know it")
            for name in kind.find_unknown(news)
        ]
        filled = {name: value for name, value in kind.defaults.items() if news.get(name) is None}
        if kind.longest_name and news.get("name") is None:
            filled["name"] = choose_name(kind, request.urn.rpartition("::")[2], olds, news)
        inputs = {**news, **filled, FILLED: sorted(filled)}
        return provider_pb2.CheckResponse(inputs=write_struct(inputs), failures=failures)

    @with_message
    def Diff(
        self, request: provider_pb2.DiffRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Compare the inputs, and say what of them replaces the resource."""
        kind = self.find_kind(request.urn)
        kind.state, kind.ignored = read_struct(request.olds), request.ignoreChanges
        olds, news = read_inputs(request.old_inputs), read_inputs(request.news)
        found = kind.find_changed(read_struct(request.old_inputs), news)
        changed = [name for name in found if name not in kind.ignored]
        replaces = [name for name in kind.find_replaced(olds, news) if name in changed]
        some = provider_pb2.DiffResponse.DIFF_SOME
        return provider_pb2.DiffResponse(
            changes=some if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces) and is_named_by_user(kind, olds, request.news),
        )

    @with_message
    def Create(
        self, request: provider_pb2.CreateRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        """Create the resource; in a preview only say what is not known yet."""
        kind = self.find_kind(request.urn)
        inputs = read_struct(request.properties)
        if request.preview:
            properties = {**dict.fromkeys(kind.computed, UNKNOWN), **inputs}
            return provider_pb2.CreateResponse(properties=write_struct(properties))
        identity = kind.create(read_inputs(request.properties))
        properties = self.wait_for_properties(kind, identity, inputs)
        return provider_pb2.CreateResponse(id=identity, properties=write_struct(properties))

    @with_message
    def Read(
        self, request: provider_pb2.ReadRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """Return inputs and outputs as they are; nothing when the resource is gone."""
        kind = self.find_kind(request.urn)
        identity = kind.complete_identity(request.id)
        found = kind.describe(identity)
        if found is None:
            return provider_pb2.ReadResponse()
        known = read_struct(request.inputs)
        inputs = (
            kind.refresh_inputs(known, found)
            if known
            else {**kind.import_inputs(found), FILLED: [], IMPORTED: True}
        )
        inputs = self.drop_ignored(inputs)
        properties = kind.render_state(identity, inputs, found)
        return provider_pb2.ReadResponse(
            id=identity, inputs=write_struct(inputs), properties=write_struct(properties)
        )

    @with_message
    def Update(
        self, request: provider_pb2.UpdateRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        """Change the resource in place."""
        kind = self.find_kind(request.urn)
        inputs = read_struct(request.news)
        olds, news = read_inputs(request.old_inputs), read_inputs(request.news)
        kind.state, kind.ignored = read_struct(request.olds), request.ignoreChanges
        if request.preview:
            kept = {name: kind.state.get(name) for name in kind.computed}
            unsettled = dict.fromkeys(kind.find_unsettled(olds, news), UNKNOWN)
            return provider_pb2.UpdateResponse(
                properties=write_struct({**kept, **unsettled, **inputs})
            )
        kind.update(request.id, olds, news)
        properties = read_properties(kind, request.id, inputs)
        return provider_pb2.UpdateResponse(properties=write_struct(properties))

    @with_message
    def Delete(
        self, request: provider_pb2.DeleteRequest, _context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Delete the resource."""
        self.find_kind(request.urn).delete(request.id, read_inputs(request.properties))
        return empty_pb2.Empty()

    def wait_for_properties(self, kind: Kind, identity: str, inputs: Values) -> Values:
        """Return a new resource's state once reads know it, as official plugins wait for it.

        https://github.com/hashicorp/terraform-provider-aws/blob/main/docs/retries-and-waiters.md
        """
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, LookupError) or self.is_unknown_yet(error)
            ),
            wait=tenacity.wait_fixed(0.2),
            stop=tenacity.stop_after_delay(NEW_SECONDS),
            reraise=True,
        )
        return attempts(read_properties, kind, identity, inputs)


def read_inputs(struct: Any) -> Values:  # noqa: ANN401 - the protocol's struct
    """Return the values that mean something to the API."""
    return read_meant(read_struct(struct))


def read_properties(kind: Kind, identity: str, inputs: Values) -> Values:
    """Return a resource's whole state after an operation."""
    found = kind.describe(identity)
    if found is None:
        message = f"{kind.urn_type} {identity} is gone"
        raise LookupError(message)
    return kind.render_state(identity, inputs, found)


def choose_name(kind: Kind, logical: str, olds: Values, news: Values) -> str:
    """Keep an automatic name, or make one: the logical name, or the prefix, and random digits."""
    if "name" in olds.get(FILLED, ()) and olds.get("namePrefix") == news.get("namePrefix"):
        return str(olds["name"])
    end = secrets.token_hex(4)[:7]
    prefix = news.get("namePrefix")
    if prefix is None or is_unknown(prefix):
        return f"{logical[: kind.longest_name - 8]}-{end}"
    return f"{prefix}{end}"


def is_named_by_user(kind: Kind, olds: Values, news: Any) -> bool:  # noqa: ANN401 - a struct
    """Tell whether old and new would have one name: then the old goes before the new is made.

    https://github.com/pulumi/pulumi-terraform-bridge/blob/v3.100.0/pkg/tfbridge/provider.go
    (nameRequiresDeleteBeforeReplace)
    """
    values = read_struct(news)
    own = "name" in values and "name" not in values.get(FILLED, ())
    return bool(kind.longest_name) and own and olds.get("name") == values["name"]


def serve(plugin: Plugin) -> int:
    """Serve on a free port, which is printed, until the engine ends us or is gone."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    server = grpc.server(ThreadPoolExecutor(max_workers=32))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(plugin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201 - the engine reads it
    end_with_engine()
    ended.wait()
    server.stop(grace=None)
    return 0
