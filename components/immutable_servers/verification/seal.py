"""`Seal <generation>`: closes the login window of a verified candidate, checked from outside."""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Input, Output, ResourceOptions, dynamic

from immutable_servers.resources.dynamic import Provider, Resource
from immutable_servers.resources.progress import start_saying
from immutable_servers.targets.place import Place, read_place
from immutable_servers.targets.questions import refuse_launched_again, was_launched_again


class SealProvider(Provider):
    """Seals once the verification has passed; a failed candidate stays open for inspection."""

    needs = ("passed",)

    def find_drift(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> Sequence[str]:
        """Follow the verdict: seal what passes now, and hold back what fails now."""
        follows = news["passed"] == olds["ready_generation"]
        again = was_launched_again(olds.get("launched_at"), news.get("launched_at"))
        return () if follows and not again else ("passed",)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Seal the servers when they passed."""
        self.require(props)
        return dynamic.CreateResult(read_place(props).scope.name, _seal(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Seal the servers that passed this time."""
        return dynamic.UpdateResult(_seal(news))


def _seal(props: dict[str, Any]) -> dict[str, Any]:
    place = read_place(props)
    if props["passed"]:
        refuse_launched_again(place, props.get("verified_launch"))
        place.load().close_window(place.scope, start_saying("seal", place.scope))
    return {**props, "ready_generation": props["passed"]}


class Seal(Resource, module="immutable-servers", name="Seal"):
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
            verified_launch: When the servers were launched that passed, as the target has it.
            launched_at: When its servers were launched, in seconds since the epoch.
            opts: The resource's options.
        """
        inputs = {**place.to_inputs(), "passed": passed, "launched_at": launched_at}
        inputs["verified_launch"] = verified_launch
        super().__init__(SealProvider(), name, inputs, ("ready_generation",), opts)
