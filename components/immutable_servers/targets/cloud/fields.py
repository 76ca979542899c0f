"""Types of settings that the cloud targets share."""

from typing import Annotated, Any

from pydantic import Field


def make_text(pattern: str, rule: str) -> Any:  # noqa: ANN401 - what Annotated takes
    """Return what a text must look like, with the words for an editor that it does not."""
    return Field(pattern=pattern, json_schema_extra={"errorMessage": rule})


Cidr = Annotated[
    str, make_text(r"^[0-9a-f.:]+/\d{1,3}$", "must be a range of addresses such as 203.0.113.7/32")
]
File = Annotated[
    str, make_text(r"^[^\"\x00-\x1f\x7f]*$", "must be a file's path without double quotes")
]
Port = Annotated[int, Field(ge=1, le=65535)]
