"""`Image <name>`: a shell over `images.bake`; its diff looks at version and catalog only."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pulumi import dynamic

from immutable_servers.context import read_place
from immutable_servers.dynamic import Provider
from immutable_servers.errors import ImageError
from immutable_servers.images.bake import check_image, provide_image
from immutable_servers.images.order import read_order
from immutable_servers.progress import start_saying


class ImageProvider(Provider):
    """Bakes a version that a generation needs, or finds it; deletes nothing, ever."""

    replaces = ("version",)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.CheckResult:
        """Fail a preview for a template that Packer does not accept."""
        try:
            check_image(Path.cwd(), read_order({**news, "parent": None}))
        except ImageError as error:
            return dynamic.CheckResult(news, [dynamic.CheckFailure("image", str(error))])
        return dynamic.CheckResult(news, [])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Replace for another version, and for an artifact that is needed and gone."""
        replace = olds["version"] != news["version"] or _is_missing(news)
        return dynamic.DiffResult(
            changes=replace,
            replaces=["version"] if replace else [],
            delete_before_replace=False,
        )

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Bake or find the version."""
        order = read_order(props)
        artifact = provide_image(Path.cwd(), order, start_saying("bake", order.scope))
        outputs = {
            **props,
            "secrets": {},
            "artifact": artifact.id if artifact else "",
            "details": artifact.to_plain() if artifact else {},
        }
        return dynamic.CreateResult(f"{order.image}-{order.version}", outputs)


def _is_missing(news: Mapping[str, Any]) -> bool:
    if not news["wanted"]:
        return False
    return read_place(news).load().catalog.find(news["image"], news["version"]) is None
