"""`Verdict`: the stack's last resource. It fails the run when any service's candidate failed.

A failing run deletes nothing: that is what keeps the old generation while a candidate is bad.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi import Input, ResourceOptions, dynamic

from immutable_servers.errors import TrafficError, VerificationError
from immutable_servers.resources.dynamic import Provider, Resource

NAME = "verdict"
STAYS = (
    " The candidate stays for inspection until then, unless the service has `on_failure: remove`."
)
CHECKS = " The live servers passed their own checks; these ones ran on a server that is gone again."


class VerdictProvider(Provider):
    """Raises for what the verifications recorded."""

    updates = ("results",)
    needs = ("live",)

    def require(self, props: Mapping[str, Any]) -> None:
        """Refuse to judge a service whose traffic this run leaves out.

        Raises:
            ImmutableError: A result does not say who serves.
        """
        results = props["results"]
        for result in results.values() if isinstance(results, Mapping) else ():
            super().require(result)

    def find_drift(self, _olds: Mapping[str, Any], news: Mapping[str, Any]) -> Sequence[str]:
        """Fail again while a failure is recorded, whatever the last run ended with."""
        results = news["results"]
        return ("results",) if isinstance(results, Mapping) and find_failed(results) else ()

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Judge for the first time."""
        self.require(props)
        judge(props["results"])
        return dynamic.CreateResult(NAME, props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Judge what changed."""
        judge(news["results"])
        return dynamic.UpdateResult(news)


def find_failed(results: Mapping[str, Any]) -> list[str]:
    """Return the services whose verification did not pass, or that showed faults under traffic."""
    return [
        service
        for service, result in results.items()
        if result.get("verdict") != "passed" or result.get("fault")
    ]


def judge(results: Mapping[str, Any]) -> None:
    """Raise when a candidate failed.

    Raises:
        VerificationError: With each failed check, by service and server.
        TrafficError: The checks passed, and the traffic showed what they do not.
    """
    failed = find_failed(results)
    unverified = [name for name in failed if results[name].get("verdict") != "passed"]
    facts = [line for name in failed for line in _describe(name, results[name])]
    stays = any(results[name]["generation"] != results[name]["live"] for name in unverified)
    if unverified:
        raise VerificationError(
            f"Verification failed for {', '.join(unverified)}; traffic stays where it was and"
            " nothing was deleted",
            facts=facts,
            todo="Fix the source and run `./immutable up` again, or revert it."
            + (STAYS if stays else CHECKS),
        )
    if failed:
        raise TrafficError(
            f"Under traffic the new generation of {', '.join(failed)} failed; nothing was deleted",
            facts=facts,
            todo="Fix the source and run `./immutable up` again, or revert it. To try the same"
            " source again on new servers: `./immutable replace`.",
        )


def _describe(service: str, result: Mapping[str, Any]) -> Iterator[str]:
    live = f"live is {result['live']}" if result["live"] else "nothing serves yet"
    yield f"{service}: generation {result['generation']}, {live}"
    yield from (f"  {line}" for failure in result["failures"] for line in failure.splitlines())
    if result.get("fault"):
        yield f"  {result['fault']}"


class Verdict(Resource, module="immutable-servers", name="Verdict"):
    """The end of a run; `results` holds verdict, failures and traffic of each service."""

    def __init__(
        self, results: Mapping[str, Input[Any]], opts: ResourceOptions | None = None
    ) -> None:
        """Register under its fixed name; it waits for the outputs among `results`."""
        super().__init__(VerdictProvider(), NAME, {"results": results}, (), opts)
