"""The kinds of values that settings hold, each with its rule as `errorMessage`."""

from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

NAME_PATTERN = r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$"
"""What every target takes in the names of its things."""
NAME_RULE = (
    "must be a name of at most 20 lower-case letters, digits and hyphens that starts with a "
    "letter and does not end with a hyphen"
)
KEY_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
KEY_RULE = "must be a name of letters, digits and underscores that does not start with a digit"
HEALTH_PATTERN = r"^/[A-Za-z0-9._~!&()*+,;=:@%/?-]*$"
"""A path and query of RFC 3986, without quotes, `$`, `#` and brackets: those mean something else
in HAProxy's configuration, so that a server would be asked for another path."""
TEXT_PATTERN = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
"""What systemd accepts in a variable, and any program in an argument: no control characters beside
tab and newline (systemd, `src/basic/env-util.c`, `env_value_is_valid`)."""
HOST_PATTERN = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


def _check_folder(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or not path.parts or ".." in path.parts or _has_controls(text):
        raise ValueError
    return path.as_posix()


def _has_controls(text: str) -> bool:
    return any(ord(letter) < ord(" ") or letter == "\x7f" for letter in text)


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Key = Annotated[
    str,
    StringConstraints(pattern=KEY_PATTERN),
    Field(json_schema_extra={"errorMessage": KEY_RULE}),
]
Text = Annotated[
    str,
    StringConstraints(pattern=TEXT_PATTERN),
    Field(
        json_schema_extra={
            "errorMessage": "must be text: put a number, true or false in quotes;"
            " no control characters"
        }
    ),
]
Upstream = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x20\x7f-][^\x00-\x1f\x7f]*$"),
    Field(
        json_schema_extra={
            "errorMessage": "must be text that does not start with a hyphen or a space"
        }
    ),
]
Command = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00]*[^\s\x00][^\x00]*$"),
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


def field(default: Any, about: str, rule: str, **more: Any) -> Any:  # noqa: ANN401 - as pydantic's own Field
    """Declare a field with its rule; `shown` is the default as a user would write it."""
    extra: dict[str, Any] = {"errorMessage": rule}
    if "shown" in more:
        extra["default"] = more.pop("shown")
    if "default_factory" not in more:
        more["default"] = default
    return Field(description=about, json_schema_extra=extra, **more)


class Model(BaseModel):
    """Settings that take no unknown key and never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def to_plain(self) -> dict[str, Any]:
        """Return plain values that JSON and Pulumi can hold."""
        return self.model_dump(mode="json")

    @classmethod
    def from_plain(cls, plain: Any) -> Self:  # noqa: ANN401 - whatever the state held
        """Make the settings from what `to_plain` returned."""
        return cls.model_validate(plain)
