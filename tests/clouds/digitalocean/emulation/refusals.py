"""Refusals, as DigitalOcean words them: `{"id", "message", "request_id"}`.

The texts of a missing scope, of the droplet limit and of a locked droplet are believed, not seen.
"""

import uuid
from collections.abc import Mapping

CODES: Mapping[str, int] = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "unprocessable_entity": 422,
    "too_many_requests": 429,
    "server_error": 500,
    "not_emulated": 501,
}
"""HTTP codes by the ids of errors; the last is ours alone."""
BUSY = "Load Balancer can't be updated while it processes previous actions"
"""https://github.com/digitalocean/openapi/issues/1173"""
NO_SCOPE = "You are not authorized to perform this operation"


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of ours
    """A call is not carried out.

    Attributes:
        id: DigitalOcean's word for it.
        code: Of HTTP.
        headers: Beside those of every answer.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - the API's
        message: str,
        code: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.id, self.message = id, message
        self.code = code or CODES[id]
        self.headers = headers or {}

    def render(self) -> dict[str, str]:
        """Return the answer's body."""
        return {"id": self.id, "message": self.message, "request_id": str(uuid.uuid4())}


def refuse_missing() -> Refusal:
    """Return the refusal of a call about what is not there."""
    return Refusal("not_found", "The resource you were accessing could not be found.")


def refuse_value(message: str) -> Refusal:
    """Return the refusal of a value that no schema refuses."""
    return Refusal("unprocessable_entity", message)
