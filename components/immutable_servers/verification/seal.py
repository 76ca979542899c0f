"""`Seal <generation>`: closes the login window of a verified candidate, checked from outside."""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Input, Output, ResourceOptions

from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedProvider, PlacedResource, Site
from immutable_servers.targets.questions import refuse_launched_again, was_launched_again


class SealProvider(PlacedProvider):
    """Seals once the verification has passed; a failed candidate stays open for inspection."""

    phase = "seal"
    needs = ("passed",)

    def _find_drift(
        self, site: Site, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> Sequence[str]:
        """Follow the verdict: seal what passes now, and hold back what fails now.

        A key that is there after the seal was made by a run that died: it goes by a seal again.
        """
        follows = news["passed"] == olds["ready_generation"]
        again = was_launched_again(olds.get("launched_at"), news.get("launched_at"))
        left = bool(news["passed"]) and site.target.access.has_keys(site.scope)
        return ("passed",) if left or again or not follows else ()

    def _create(self, site: Site, props: dict[str, Any]) -> dict[str, Any]:
        """Seal the servers when they passed."""
        if props["passed"]:
            refuse_launched_again(site.place, props.get("verified_launch"))
            site.target.access.close_window(site.scope, site.say)
        return {**props, "ready_generation": props["passed"]}


class Seal(PlacedResource, module="immutable-servers", name="Seal"):
    """The end of a generation's login window.

    Attributes:
        ready_generation: The generation's id once it is verified and sealed, else empty: what
            traffic may move to.
    """

    ready_generation: Output[str]

    def __init__(
        self,
        name: str,
        place: Place,
        passed: Input[str],
        verified_launch: Input[int],
        launched_at: Input[int],
        opts: ResourceOptions,
    ) -> None:
        """Register under the generation's name.

        Args:
            name: The generation's name.
            place: The generation's place.
            passed: Its id when it passed, else empty.
            verified_launch: Launch time of the servers that passed, as the target has it.
            launched_at: Launch time of its servers, in seconds since the epoch.
            opts: The resource's options.
        """
        inputs: dict[str, Input[Any]] = {
            "passed": passed,
            "launched_at": launched_at,
            "verified_launch": verified_launch,
        }
        super().__init__(SealProvider(), name, place, inputs, ("ready_generation",), opts)
