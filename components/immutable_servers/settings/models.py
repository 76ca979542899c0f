"""The shape of a stack's settings. A field's `errorMessage` is its rule, for us and for editors."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from immutable_servers.settings import durations
from immutable_servers.settings.durations import Duration
from immutable_servers.settings.fields import (
    FOLDERS_RULE,
    HEALTH_PATTERN,
    HOST_PATTERN,
    TEXTS_RULE,
    Command,
    Folder,
    Key,
    Model,
    Name,
    Text,
    Upstream,
    field,
)


class ImageSettings(Model):
    """One image: what it is baked from and with."""

    parent: Name | None = field(
        None, "The image that this one is baked from.", "must be the name of an image"
    )
    sources: tuple[Folder, ...] = field(
        (), "Folders of the repository, hashed and handed to the bake.", FOLDERS_RULE
    )
    variables: dict[Key, Text] = field(
        {},
        "Template variables; they count in the version.",
        TEXTS_RULE,
    )
    secrets: tuple[Key, ...] = field(
        (),
        "Secret configuration keys, handed to the bake as sensitive variables of the same names.",
        "must be a list of names of secret configuration keys",
    )
    deadline: Duration = field(
        1800.0, "How long a bake may take.", durations.RULE, shown="30m", gt=0
    )
    upstream: dict[Key, Upstream] = field(
        None,
        "What `./immutable update` looks for; only for an image without a parent.",
        "must be a mapping such as {suite: stable}",
        default_factory=lambda known: {} if known.get("parent") else {"suite": "stable"},
    )


class BakeSettings(Model):
    """What every bake is handed, and no server: how packages come to it."""

    proxy: str | None = field(
        None,
        "Proxy of a bake's downloads.",
        "must be a URL such as http://proxy.example.com:3128, or $NAME",
        pattern=r"^(https?://[^\s\x00-\x1f\x7f]+|\$[A-Za-z_][A-Za-z0-9_]*)$",
    )
    ca: str | None = field(
        None,
        "PEM file with certificates that a bake trusts beside those of its own system.",
        "must be a file, relative to the repository's root or absolute, or $NAME",
        pattern=r"^[^\x00-\x1f\x7f]+$",
    )
    env: dict[Key, Text] = field(
        {},
        "Variables that every provisioning script sees; $NAME is the run's own variable NAME.",
        TEXTS_RULE,
    )


class RouteSettings(Model):
    """Where a service answers: on a port or by a host name of the balancer, or without one."""

    # For editors; `settings/rules.py` says it in words.
    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [way]} for way in ("port", "host", "reserved_ip")]
        }
    )

    port: int | None = field(
        None,
        "A port of the service's own.",
        "must be a whole number from 1 to 65535",
        ge=1,
        le=65535,
    )
    host: str | None = field(
        None,
        "A host name on the balancer's shared port.",
        "must be a host name in lower case, such as api.example.com",
        pattern=HOST_PATTERN,
        max_length=253,
    )
    reserved_ip: Literal[True] | None = field(
        None,
        "An address that leads to the only server, without a balancer.",
        "must be true, or left out",
    )


class CanarySettings(Model):
    """A first share of the traffic, watched before the candidate gets all of it."""

    weight: int = field(
        10, "Percent of the requests.", "must be a whole number from 1 to 99", ge=1, le=99
    )
    watch: Duration = field(300.0, "How long it is watched.", durations.RULE, shown="5m")
    max_error_rate: float = field(
        0.01, "Share of requests that may fail.", "must be a number from 0 to 1", ge=0, le=1
    )
    min_requests: int = field(
        1, "Fewer than these fail: they decide nothing.", "must be a whole number from 0 up", ge=0
    )
    watch_after: Duration = field(
        0.0,
        "How long it is watched after it got all of the traffic; 0s is not at all.",
        durations.RULE,
        shown="0s",
    )


class ServiceSettings(Model):
    """One service: what serves, how many, where, and how it is verified and retired."""

    image: Name = field(..., "The image that its servers run.", "must be the name of an image")
    servers: int = field(
        ..., "How many servers serve.", "must be a whole number from 1 to 1000", ge=1, le=1000
    )
    size: str = field(
        "small",
        "small, medium, large, or the target's own word.",
        "must be small, medium, large, or the target's own word for a size",
        min_length=1,
    )
    port: int = field(
        ..., "What a server listens on.", "must be a whole number from 1 to 65535", ge=1, le=65535
    )
    health: str = field(
        "/healthz",
        "Path of the health check.",
        "must be a path that starts with / and has only letters, digits and ._~!&()*+,;=:@%/?-",
        pattern=HEALTH_PATTERN,
        max_length=1024,
    )
    route: RouteSettings = field(
        ..., "Where it answers.", "must be {port: NUMBER}, {host: NAME} or {reserved_ip: true}"
    )
    env: dict[Key, Text] = field(
        {},
        "Settings handed to a server at launch. Not for secrets.",
        TEXTS_RULE,
    )
    checks: tuple[Folder, ...] = field(
        ("tests/servers",),
        "Folders, or files, with the checks that verification runs.",
        FOLDERS_RULE,
        min_length=1,
        shown=["tests/servers"],
    )
    checks_env: tuple[Key, ...] = field(
        (),
        "Variables of a run's environment that the checks see beside the common ones.",
        "must be a list of names of environment variables",
    )
    before_traffic: tuple[Command, ...] = field(
        (),
        "Commands that run once for a generation, on one verified server, before its traffic.",
        "must be a list of command lines, each a text for the server's shell",
    )
    keep: int = field(
        1, "Standbys kept beside the live one.", "must be a whole number from 0 to 10", ge=0, le=10
    )
    keep_for: Duration | None = field(
        None,
        "How long standbys are kept after traffic left them; without it as the target has it.",
        durations.RULE,
    )
    on_failure: Literal["keep", "remove"] = field(
        "keep", "What `./immutable up` does with a failed candidate.", "must be keep or remove"
    )
    max_age: Duration | None = field(
        None,
        "The live generation is made again, by the next run, when it is older than this.",
        durations.RULE,
        gt=0,
    )
    data_version: str = field(
        "",
        "Which version of the data beside the servers the source works with.",
        "must be text: put a number in quotes",
    )
    drain: Duration = field(
        30.0, "How long open requests may take to end.", durations.RULE, shown="30s"
    )
    settle: Duration | None = field(
        None,
        "How long only the new generation must have answered before a move is over; without it as"
        " the target has it.",
        durations.RULE,
    )
    generation_header: bool = field(
        True,  # noqa: FBT003 - as pydantic's own Field
        "Answers name the server's generation in the header X-Immutable-Generation.",
        "must be true or false",
    )
    canary: CanarySettings | None = field(
        None, "Try a share of the traffic first.", "must be a mapping such as {weight: 10}"
    )
    launch_overrides: dict[str, Any] = field(
        {}, "The target's own launch arguments.", "must be a mapping"
    )


class PricesSettings(Model):
    """What a server costs: previews turn server-hours into money with it, and nothing else does."""

    currency: str = field(
        "", "Stands behind each sum.", "must be a word such as USD", pattern=r"^\S{1,8}$"
    )
    sizes: dict[str, Annotated[float, Field(ge=0)]] = field(
        {}, "Price of a server-hour by size.", "must be a mapping from sizes to numbers from 0 up"
    )


class Settings(Model):
    """A stack's settings as a whole.

    `target_settings` are the values under the chosen target's name, checked with its own model.
    """

    target: str = field(..., "Where it all runs.", "must be the name of a target")
    images: dict[Name, ImageSettings] = field(
        ..., "The images by name.", "must be a mapping from image names to their settings"
    )
    services: dict[Name, ServiceSettings] = field(
        ..., "The services by name.", "must be a mapping from service names to their settings"
    )
    bake: BakeSettings = field(
        BakeSettings(),
        "What every bake is handed, and no server.",
        "must be a mapping such as {proxy: http://proxy.example.com:3128}",
        shown={},
    )
    prices: PricesSettings = field(
        PricesSettings(),
        "What servers cost, for previews; without it nothing is said of money.",
        "must be a mapping such as {currency: USD, sizes: {small: 0.0104}}",
        shown={},
    )
    target_settings: dict[str, Any] = field({}, "The chosen target's own.", "must be a mapping")
