"""Answers the engine as the official `aws` plugin would, for the types in `KINDS`.

Checks fill in automatic names and defaults, diffs say what is replaced, and each operation is
carried out through boto3 at the endpoint that the provider's settings, or the SDK's, name.
Protocol: https://github.com/pulumi/pulumi/blob/v3.259.0/proto/pulumi/provider.proto
"""

# ruff: noqa: N802 - the methods have the protocol's names

import json
import secrets
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, TypeVar

import aws_balancing
import aws_ec2
import aws_scaling
import boto3
import grpc  # type: ignore[import-untyped]
from aws_kinds import Kind
from aws_lookups import LOOKUPS
from aws_wire import Values, covers, is_unknown, read_struct, write_struct
from botocore.config import Config
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN

from immutable_servers.system.engine_watch import end_with_engine

VERSION = "7.51.1"
KINDS: Mapping[str, type[Kind]] = {
    kind.urn_type: kind for kind in (*aws_ec2.KINDS, *aws_balancing.KINDS, *aws_scaling.KINDS)
}
USED_SETTINGS = ("accessKey", "secretKey", "token", "region", "endpoints", "ignoreTags")
IDLE_SETTINGS = (
    "skipCredentialsValidation",
    "skipMetadataApiCheck",
    "skipRegionValidation",
    "skipRequestingAccountId",
    "version",
)
"""Provider settings that only tell the official plugin what not to ask."""
FILLED = "__defaults"
"""Where inputs keep the names of what the check filled in, as the official plugin's do."""
IMPORTED = "__imported"
"""Marks inputs that were read and not declared."""

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


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """The provider."""

    def __init__(self) -> None:
        """Start without settings."""
        self.settings: Values = {}
        self.made: dict[str, Any] = {}
        self.making = threading.Lock()

    def find_client(self, service: str) -> Any:  # noqa: ANN401 - the SDK's client
        """Return the SDK's client of a service, made once."""
        with self.making:
            if service not in self.made:
                endpoints: list[dict[str, str]] = self.settings.get("endpoints") or []
                own = [entry[service] for entry in endpoints if service in entry]
                session = boto3.session.Session(
                    aws_access_key_id=self.settings.get("accessKey"),
                    aws_secret_access_key=self.settings.get("secretKey"),
                    aws_session_token=self.settings.get("token"),
                    region_name=self.settings.get("region"),
                )
                self.made[service] = session.client(
                    service,
                    endpoint_url=own[0] if own else None,
                    config=Config(user_agent_extra=f"pulumi-resource-aws/{VERSION}"),
                )
            return self.made[service]

    def find_kind(self, urn: str) -> Kind:
        """Return the type of a resource."""
        token = urn.split("::")[2].rpartition("$")[2]
        if token not in KINDS:
            message = f"the stand-in for the aws plugin has no {token}"
            raise NotImplementedError(message)
        return KINDS[token](self.find_client)

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
        return plugin_pb2.PluginInfo(version=VERSION)

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
        known = {*USED_SETTINGS, *IDLE_SETTINGS}
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

    @with_message
    def Invoke(
        self, request: provider_pb2.InvokeRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.InvokeResponse:
        """Look something up."""
        if request.tok not in LOOKUPS:
            message = f"the stand-in for the aws plugin has no {request.tok}"
            raise NotImplementedError(message)
        found = LOOKUPS[request.tok](self.find_client, read_struct(request.args))
        return provider_pb2.InvokeResponse(**{"return": write_struct(found)})

    def drop_ignored(self, tags: Values) -> Values:
        """Return tags without those that the settings leave to others."""
        prefixes = tuple((self.settings.get("ignoreTags") or {}).get("keyPrefixes", ()))
        return {key: value for key, value in tags.items() if not key.startswith(prefixes)}

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
        olds, news = read_inputs(request.old_inputs), read_inputs(request.news)
        changed = find_changed(olds, news, imported=read_struct(request.old_inputs).get(IMPORTED))
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
        properties = read_properties(kind, identity, inputs)
        return provider_pb2.CreateResponse(id=identity, properties=write_struct(properties))

    @with_message
    def Read(
        self, request: provider_pb2.ReadRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """Return inputs and outputs as they are; nothing when the resource is gone."""
        kind = self.find_kind(request.urn)
        found = kind.describe(request.id)
        if found is None:
            return provider_pb2.ReadResponse()
        known = read_struct(request.inputs)
        inputs = (
            kind.refresh_inputs(known, found)
            if known
            else {**kind.import_inputs(found), FILLED: [], IMPORTED: True}
        )
        if isinstance(inputs.get("tags"), dict):
            inputs["tags"] = self.drop_ignored(inputs["tags"])
        properties = {**inputs, **kind.read_outputs(request.id, found)}
        return provider_pb2.ReadResponse(
            id=request.id, inputs=write_struct(inputs), properties=write_struct(properties)
        )

    @with_message
    def Update(
        self, request: provider_pb2.UpdateRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        """Change the resource in place."""
        kind = self.find_kind(request.urn)
        inputs = read_struct(request.news)
        olds, news = read_inputs(request.old_inputs), read_inputs(request.news)
        if request.preview:
            state = read_struct(request.olds)
            kept = {name: state.get(name) for name in kind.computed}
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


def read_inputs(struct: Any) -> Values:  # noqa: ANN401 - the protocol's struct
    """Return the values that mean something to the API."""
    values = read_struct(struct)
    return {k: v for k, v in values.items() if not k.startswith("__") and v is not None}


def read_properties(kind: Kind, identity: str, inputs: Values) -> Values:
    """Return a resource's whole state after an operation."""
    found = kind.describe(identity)
    if found is None:
        message = f"{kind.urn_type} {identity} is gone"
        raise LookupError(message)
    tags = {"tagsAll": inputs["tags"]} if isinstance(inputs.get("tags"), dict) else {}
    return {**inputs, **tags, **kind.read_outputs(identity, found)}


def find_changed(olds: Values, news: Values, *, imported: bool | None) -> list[str]:
    """Return the names of what differs; an imported resource has more than a program asks for."""
    if imported:
        return sorted(key for key in news if not covers(olds.get(key), news[key]))
    return sorted(key for key in {*olds, *news} if olds.get(key) != news.get(key))


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


def serve(_arguments: Sequence[str]) -> int:
    """Serve on a free port, which is printed, until the engine ends us or is gone."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    server = grpc.server(ThreadPoolExecutor(max_workers=32))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Plugin(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201 - the engine reads it
    end_with_engine()
    ended.wait()
    server.stop(grace=None)
    return 0
