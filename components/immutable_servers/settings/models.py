"""The shape of a stack's settings. A field's `errorMessage` is its rule, for us and for editors."""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from immutable_servers.settings import durations
from immutable_servers.settings.durations import Duration

NAME_PATTERN = r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$"
"""What every target takes in the names of its things."""
NAME_RULE = (
    "must be a name of at most 20 lower-case letters, digits and hyphens that starts with a "
    "letter and does not end with a hyphen"
)
KEY_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
KEY_RULE = "must be a name of letters, digits and underscores that does not start with a digit"
HOST_PATTERN = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


def _check_folder(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in text:
        raise ValueError
    return path.as_posix()


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Key = Annotated[
    str,
    StringConstraints(pattern=KEY_PATTERN),
    Field(json_schema_extra={"errorMessage": KEY_RULE}),
]
Text = Annotated[
    str,
    Field(
        json_schema_extra={"errorMessage": "must be text: put a number, true or false in quotes"}
    ),
]
Command = Annotated[
    str,
    StringConstraints(pattern=r"\S"),
    Field(json_schema_extra={"errorMessage": "must be a command line for the server's shell"}),
]
TEXTS_RULE = "must be a mapping from names to text"
Folder = Annotated[
    str,
    AfterValidator(_check_folder),
    Field(
        json_schema_extra={"errorMessage": "must be a folder, relative to the repository's root"}
    ),
]
FOLDERS_RULE = "must be a list of folders, each relative to the repository's root"


def _field(default: Any, about: str, rule: str, **more: Any) -> Any:  # noqa: ANN401 - as pydantic's own Field
    """Declare a field with its rule; `shown` is the default as a user would write it."""
    extra: dict[str, Any] = {"errorMessage": rule}
    if "shown" in more:
        extra["default"] = more.pop("shown")
    if "default_factory" not in more:
        more["default"] = default
    return Field(description=about, json_schema_extra=extra, **more)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def to_plain(self) -> dict[str, Any]:
        """Return plain values that JSON and Pulumi can hold."""
        return self.model_dump(mode="json")

    @classmethod
    def from_plain(cls, plain: Any) -> Self:  # noqa: ANN401 - whatever the state held
        """Make the settings from what `to_plain` returned."""
        return cls.model_validate(plain)


class ImageSettings(_Model):
    """One image: what it is baked from and with."""

    parent: Name | None = _field(
        None, "The image that this one is baked from.", "must be the name of an image"
    )
    sources: tuple[Folder, ...] = _field(
        (), "Folders of the repository, hashed and handed to the bake.", FOLDERS_RULE
    )
    variables: dict[Key, Text] = _field(
        {},
        "Template variables; they count in the version.",
        TEXTS_RULE,
    )
    secrets: tuple[Key, ...] = _field(
        (),
        "Secret configuration keys, handed to the bake as sensitive variables of the same names.",
        "must be a list of names of secret configuration keys",
    )
    deadline: Duration = _field(
        1800.0, "How long a bake may take.", durations.RULE, shown="30m", gt=0
    )
    upstream: dict[Key, Text] = _field(
        None,
        "What `./immutable update` looks for; only for an image without a parent.",
        "must be a mapping such as {suite: stable}",
        default_factory=lambda known: {} if known.get("parent") else {"suite": "stable"},
    )


class RouteSettings(_Model):
    """Where the balancer listens for a service: a port or a host name."""

    # For editors; `settings/checks.py` says it in words.
    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["port"]}, {"required": ["host"]}]}
    )

    port: int | None = _field(
        None,
        "A port of the service's own.",
        "must be a whole number from 1 to 65535",
        ge=1,
        le=65535,
    )
    host: str | None = _field(
        None,
        "A host name on the balancer's shared port.",
        "must be a host name in lower case, such as api.example.com",
        pattern=HOST_PATTERN,
        max_length=253,
    )


class CanarySettings(_Model):
    """A first share of the traffic, watched before the candidate gets all of it."""

    weight: int = _field(
        10, "Percent of the requests.", "must be a whole number from 1 to 99", ge=1, le=99
    )
    watch: Duration = _field(300.0, "How long it is watched.", durations.RULE, shown="5m")
    max_error_rate: float = _field(
        0.01, "Share of requests that may fail.", "must be a number from 0 to 1", ge=0, le=1
    )
    min_requests: int = _field(
        1, "Fewer than these fail: they decide nothing.", "must be a whole number from 0 up", ge=0
    )
    watch_after: Duration = _field(
        0.0,
        "How long it is watched after it got all of the traffic; 0s is not at all.",
        durations.RULE,
        shown="0s",
    )


class ServiceSettings(_Model):
    """One service: what serves, how many, where, and how it is verified and retired."""

    image: Name = _field(..., "The image that its servers run.", "must be the name of an image")
    servers: int = _field(
        ..., "How many servers serve.", "must be a whole number from 1 to 1000", ge=1, le=1000
    )
    size: str = _field(
        "small",
        "small, medium, large, or the target's own word.",
        "must be small, medium, large, or the target's own word for a size",
        min_length=1,
    )
    port: int = _field(
        ..., "What a server listens on.", "must be a whole number from 1 to 65535", ge=1, le=65535
    )
    health: str = _field(
        "/healthz",
        "Path of the health check.",
        "must be a path that starts with / and has no spaces",
        pattern=r"^/[!-~]*$",
    )
    route: RouteSettings = _field(
        ..., "Where it answers.", "must be {port: NUMBER} or {host: NAME}"
    )
    env: dict[Key, Text] = _field(
        {},
        "Settings handed to a server at launch. Not for secrets.",
        TEXTS_RULE,
    )
    checks: tuple[Folder, ...] = _field(
        ("tests/servers",),
        "Folders with the checks that verification runs.",
        FOLDERS_RULE,
        min_length=1,
        shown=["tests/servers"],
    )
    before_traffic: tuple[Command, ...] = _field(
        (),
        "Commands that run once for a generation, on one verified server, before its traffic.",
        "must be a list of command lines, each a text for the server's shell",
    )
    keep: int = _field(
        1, "Standbys kept beside the live one.", "must be a whole number from 0 to 10", ge=0, le=10
    )
    keep_for: Duration | None = _field(
        None,
        "How long standbys are kept after traffic left them; without it as the target has it.",
        durations.RULE,
    )
    on_failure: Literal["keep", "remove"] = _field(
        "keep", "What `./immutable up` does with a failed candidate.", "must be keep or remove"
    )
    max_age: Duration | None = _field(
        None,
        "The live generation is made again, by the next run, when it is older than this.",
        durations.RULE,
        gt=0,
    )
    data_version: str = _field(
        "",
        "Which version of the data beside the servers the source works with.",
        "must be text: put a number in quotes",
    )
    drain: Duration = _field(
        30.0, "How long open requests may take to end.", durations.RULE, shown="30s"
    )
    canary: CanarySettings | None = _field(
        None, "Try a share of the traffic first.", "must be a mapping such as {weight: 10}"
    )
    launch_overrides: dict[str, Any] = _field(
        {}, "The target's own launch arguments.", "must be a mapping"
    )


class PricesSettings(_Model):
    """What a server costs: previews turn server-hours into money with it, and nothing else does."""

    currency: str = _field(
        "", "Stands behind each sum.", "must be a word such as USD", pattern=r"^\S{1,8}$"
    )
    sizes: dict[str, Annotated[float, Field(ge=0)]] = _field(
        {}, "Price of a server-hour by size.", "must be a mapping from sizes to numbers from 0 up"
    )


class Settings(_Model):
    """A stack's settings as a whole.

    `target_settings` are the values under the chosen target's name, checked with its own model.
    """

    target: str = _field(..., "Where it all runs.", "must be the name of a target")
    images: dict[Name, ImageSettings] = _field(
        ..., "The images by name.", "must be a mapping from image names to their settings"
    )
    services: dict[Name, ServiceSettings] = _field(
        ..., "The services by name.", "must be a mapping from service names to their settings"
    )
    prices: PricesSettings = _field(
        PricesSettings(),
        "What servers cost, for previews; without it nothing is said of money.",
        "must be a mapping such as {currency: USD, sizes: {small: 0.0104}}",
        shown={},
    )
    target_settings: dict[str, Any] = _field({}, "The chosen target's own.", "must be a mapping")
