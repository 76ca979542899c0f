"""`Image <name>`: a shell over `images.bake`; its diff looks at version and catalog only."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pulumi import dynamic

from immutable_servers.errors import ImageError
from immutable_servers.images.bake import check_image, provide_image
from immutable_servers.images.order import read_bake, read_order, read_secrets
from immutable_servers.resources.dynamic import Provider
from immutable_servers.resources.progress import start_saying
from immutable_servers.targets.place import read_place


class ImageProvider(Provider):
    """Bakes a version that a generation needs, or finds it; never deletes anything.

    Secrets for a bake are read from the configuration that the engine gives the provider's process:
    they are no input, so they are in no state, not even encrypted.
    """

    replaces = ("version",)
    config: dynamic.Config | None = None

    def configure(self, req: dynamic.ConfigureRequest) -> None:
        """Take the stack's configuration."""
        self.config = req.config

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.CheckResult:
        """Fail a preview for a template that Packer does not accept."""
        try:
            check_image(Path.cwd(), read_order({**news, "parent": None}))
        except ImageError as error:
            return dynamic.CheckResult(news, [dynamic.CheckFailure("image", str(error))])
        return dynamic.CheckResult(news, [])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Replace for another version, or when a needed artifact is not the catalog's."""
        # A state of an early program names no digest.
        before = olds["version"], olds.get("digest") or news["digest"]
        again = before != (news["version"], news["digest"]) or _is_stale(olds, news)
        return dynamic.DiffResult(
            changes=again,
            replaces=["version"] if again else [],
            delete_before_replace=False,
        )

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Bake or find the version."""
        order = read_order(props)
        secrets, bake = read_secrets(order, self._find_setting), read_bake(self._find_setting)
        order = replace(order, secrets=secrets, bake=bake)
        artifact = provide_image(Path.cwd(), order, start_saying("bake", order.scope))
        outputs = {
            **props,
            "artifact": artifact.id if artifact else "",
            "details": artifact.to_plain() if artifact else {},
        }
        return dynamic.CreateResult(f"{order.image}-{order.version}", outputs)

    def _find_setting(self, key: str) -> Any:  # noqa: ANN401 - whatever the stack file holds
        return self.config.get(key) if self.config else None


def _is_stale(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether a needed artifact is gone, or is another one than in the last run.

    Raises:
        ImageError: The catalog's artifact of this version has another digest.
    """
    if not news["wanted"]:
        return False
    found = read_place(news).load().images.find(news["image"], news["version"], news["digest"])
    return found is None or found.id != olds.get("artifact")
