"""`Verdict`: the stack's last resource. It fails the run when any service's candidate failed.

A failing run deletes nothing: that is what keeps the old generation while a candidate is bad.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pulumi import Input, ResourceOptions, dynamic

from immutable_servers.errors import TrafficError, VerificationError
from immutable_servers.resources.dynamic import Provider, Resource

NAME = "verdict"
STAYS = (
    " The candidate stays for inspection until then; after a login to it, the next run makes new"
    " servers."
)
LEAVES = " `./immutable up` removes the candidate (on_failure: remove)."
SERVES = (
    " What serves was never verified. To make it again on new servers, which serve once they have"
    " passed: `./immutable replace`; to go back to a standby: `./immutable rollback`."
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
        judge(props["results"], props.get("unverified", ()), props.get("advice") or {})
        return dynamic.CreateResult(NAME, props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Judge what changed."""
        judge(news["results"], news.get("unverified", ()), news.get("advice") or {})
        return dynamic.UpdateResult(news)


def find_failed(results: Mapping[str, Any]) -> list[str]:
    """Return the services whose verification did not pass, or that showed faults under traffic."""
    return [
        service
        for service, result in results.items()
        if result.get("verdict") != "passed" or result.get("fault")
    ]


def judge(
    results: Mapping[str, Any],
    serving: Collection[str] = (),
    advice: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> None:
    """Raise when a candidate failed.

    Args:
        results: By service.
        serving: The services whose live generation has no verdict of an earlier run.
        advice: By service, `inspection`, `todo` and `leaves` of `Service.advice`.

    Raises:
        VerificationError: With each failed check, by service and server.
        TrafficError: The checks passed, and the traffic showed what they do not.
    """
    failed = find_failed(results)
    unverified = [name for name in failed if results[name].get("verdict") != "passed"]
    given = {name: advice.get(name, {}) for name in failed}
    facts = [line for name in failed for line in _describe(name, results[name], given[name])]
    todos = dict.fromkeys(
        f"{given[name]['todo']} " for name in unverified if given[name].get("todo")
    )
    leaving = {name for name in unverified if given[name].get("leaves")}
    hints = dict.fromkeys(
        LEAVES if name in leaving else _find_hint(results[name], name in serving)
        for name in unverified
    )
    if unverified:
        raise VerificationError(
            f"Verification failed for {', '.join(unverified)}; traffic stays where it was"
            + ("" if leaving else " and nothing was deleted"),
            facts=facts,
            todo="".join(todos)
            + "Fix the source and run `./immutable up` again, or revert it."
            + "".join(hints),
        )
    if failed:
        raise TrafficError(
            f"Under traffic the new generation of {', '.join(failed)} failed; nothing was deleted",
            facts=facts,
            todo="Fix the source and run `./immutable up` again, or revert it. To try the same"
            " source again on new servers: `./immutable replace`.",
        )


def _find_hint(result: Mapping[str, Any], serves_unverified: bool) -> str:  # noqa: FBT001
    if result["generation"] != result["live"]:
        return STAYS
    return SERVES if serves_unverified else CHECKS


def _describe(service: str, result: Mapping[str, Any], advice: Mapping[str, Any]) -> Iterator[str]:
    live = f"live is {result['live']}" if result["live"] else "nothing serves yet"
    yield f"{service}: generation {result['generation']}, {live}"
    said = (*result["failures"], *(advice.get("inspection") or ()))
    lines = (line for text in said for line in text.splitlines())
    yield from (f"  {line}" for line in lines)
    if result.get("fault"):
        yield f"  {result['fault']}"


class Verdict(Resource, module="immutable-servers", name="Verdict"):
    """The end of a run; `results` holds verdict, failures and traffic of each service."""

    def __init__(
        self,
        results: Mapping[str, Input[Any]],
        unverified: Sequence[str] = (),
        advice: Mapping[str, Mapping[str, Input[Any]]] = MappingProxyType({}),
        opts: ResourceOptions | None = None,
    ) -> None:
        """Register under its fixed name; it waits for the outputs among `results`.

        Args:
            results: By service.
            unverified: The services whose live generation the ledger has no verdict on; explains a
                failure, and is no change by itself.
            advice: By service, what the reader may do about its failure; the same.
            opts: The resource's options.
        """
        inputs = {"results": results, "unverified": [*unverified], "advice": {**advice}}
        super().__init__(VerdictProvider(), NAME, inputs, (), opts)
