"""Errors as Google's APIs answer with them.

https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-api-errors
"""

from typing import Any

CODES = {
    "invalid": 400,
    "badRequest": 400,
    "resourceInUseByAnotherResource": 400,
    "resourceNotReady": 400,
    "required": 401,
    "authError": 401,
    "forbidden": 403,
    "accessNotConfigured": 403,
    "quotaExceeded": 403,
    "rateLimitExceeded": 403,
    "notFound": 404,
    "alreadyExists": 409,
    "conditionNotMet": 412,
    "tooManyRequests": 429,
    "internalError": 500,
    "backendError": 503,
    "notEmulated": 501,
}
"""HTTP codes by reason."""
INFO = "type.googleapis.com/google.rpc.ErrorInfo"
EXPLAINED = {
    "accessNotConfigured": ("SERVICE_DISABLED", "googleapis.com"),
    "rateLimitExceeded": ("RATE_LIMIT_EXCEEDED", "googleapis.com"),
}
"""Reasons whose answers say in the newer way, too, what it is about."""
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}
"""The newer APIs' words for the codes (google.rpc.Code)."""


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """What the API refuses, with its reason."""

    def __init__(self, reason: str, message: str, code: int = 0, **details: Any) -> None:  # noqa: ANN401 - JSON
        super().__init__(message)
        self.reason, self.message = reason, message
        self.code = code or CODES[reason]
        self.details = details

    def render(self, service: str = "compute") -> dict[str, Any]:
        """Return the answer's body: Compute Engine names its reasons, newer APIs have a status.

        https://cloud.google.com/apis/design/errors#http_mapping
        """
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if service == "compute":
            one = {"message": self.message, "domain": "global", "reason": self.reason}
            error["errors"] = [{**one, **self.details}]
        if self.code in STATUSES and (service != "compute" or self.reason in EXPLAINED):
            error["status"] = STATUSES[self.code]
        if self.reason in EXPLAINED:
            word, domain = EXPLAINED[self.reason]
            info = {"@type": INFO, "reason": word, "domain": domain}
            error["details"] = [info]
        return {"error": error}


def refuse_missing(path: str) -> Refusal:
    """Return the refusal of a name that there is not."""
    return Refusal("notFound", f"The resource '{path}' was not found")


def refuse_invalid(field: str, value: object, why: str = "") -> Refusal:
    """Return the refusal of a field's value."""
    return Refusal("invalid", f"Invalid value for field '{field}': '{value}'. {why}".strip())
