"""Chooses the images that can go: those that nothing refers to, and that nobody wants back soon."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from immutable_servers.contract.images import Images
from immutable_servers.contract.values import Artifact

Key = tuple[str, str]
"""An image and its version."""


@dataclass(frozen=True)
class Policy:
    """What stays although nothing refers to it.

    Attributes:
        keep: How many of the newest versions of each image.
        age: Seconds; what is younger stays.
    """

    keep: int
    age: float


@dataclass(frozen=True)
class References:
    """What the driver knows to be needed.

    Attributes:
        images: The names of this checkout's images: no other one is touched.
        users: Who needs a version, by image and version.
    """

    images: Collection[str]
    users: Mapping[Key, str] = field(default_factory=dict)


def choose(
    catalog: Images, references: References, policy: Policy, now: datetime
) -> tuple[list[Artifact], Mapping[str, str]]:
    """Return what can go, images before their parents, and why each other artifact stays, by id.

    Raises:
        ImageError: The catalog cannot be asked.
    """
    held = catalog.list()
    kept = _find_newest(held, policy.keep)
    needed = dict(references.users)
    going: list[Artifact] = []
    staying: dict[str, str] = {}
    # An artifact names all that it was baked from, so it has more parents than each of these.
    for one in sorted(held, key=lambda one: -len(one.parents)):
        why = (
            needed.get((one.image, one.version), "")
            or ("" if one.image in references.images else "is no image of this checkout")
            or catalog.find_hold(one)
            or ("is among the newest" if one.id in kept else "")
            or _find_youth(one, policy.age, now)
            or next(iter(catalog.find_servers(one)), "")
        )
        if not why:
            going.append(one)
            continue
        staying[one.id] = why
        for parent in one.parents.items():
            needed.setdefault(parent, f"{one.image} {one.version} was baked from it")
    return going, staying


def find_bake_time(artifact: Artifact) -> datetime | None:
    """Return when an artifact was baked; None when it does not say."""
    try:
        moment = datetime.fromisoformat(str(artifact.facts["baked_at"]))
    except (KeyError, ValueError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def _find_newest(held: Sequence[Artifact], keep: int) -> set[str]:
    by_image: dict[str, list[str]] = defaultdict(list)
    for one in held:
        by_image[one.image].append(one.id)
    return {one for each in by_image.values() for one in each[max(len(each) - keep, 0) :]}


def _find_youth(artifact: Artifact, age: float, now: datetime) -> str:
    baked = find_bake_time(artifact)
    if baked is None:
        return "does not say when it was baked"
    return "is young" if (now - baked).total_seconds() < age else ""
