"""Lists the image versions in use, their age, and the age of the locks."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from immutable_servers.contract.images import Images
from immutable_servers.contract.target import Target
from immutable_servers.driver.commands.status.models import ImageStatus, LockStatus
from immutable_servers.driver.commands.update import OLD
from immutable_servers.identity.upstream_lock import read_lock
from immutable_servers.images.pruning import find_bake_time
from immutable_servers.planning.known import KnownService
from immutable_servers.planning.stack import StackPlan
from immutable_servers.settings import Settings


def list_images(
    catalog: Images,
    known: Mapping[str, KnownService],
    planned: StackPlan | None,
    now: datetime,
) -> tuple[ImageStatus, ...]:
    """Return the versions that generations run, by service, and those of the checkout."""
    users: dict[tuple[str, str], list[str]] = {}
    for name, service in known.items():
        for record in service.existing:
            for image, version in record.images.items():
                users.setdefault((image, version), []).append(f"{name}-{record.generation}")
    of_source = {(name, one.version) for name, one in (planned.versions if planned else {}).items()}
    made = {one: catalog.find(*one, "") for one in sorted({*users, *of_source})}
    return tuple(
        ImageStatus(
            image=image,
            version=version,
            found=artifact is not None,
            baked_at=moment.isoformat(timespec="seconds") if moment else "",
            age=round((now - moment).total_seconds()) if moment else None,
            generations=tuple(users.get((image, version), ())),
            of_source=(image, version) in of_source,
        )
        for (image, version), artifact in made.items()
        for moment in [find_bake_time(artifact) if artifact else None]
    )


def list_locks(
    root: Path, settings: Settings, target: Target, now: datetime
) -> tuple[LockStatus, ...]:
    """Return the locks with a known age, of the images that start from an upstream."""
    names = [name for name, image in settings.images.items() if image.parent is None]
    ages = {
        name: read_lock(root / "packer" / name).age(target.name, target.architecture, now)
        for name in names
    }
    return tuple(
        LockStatus(image=name, age=round(age.total_seconds()), old=age > OLD)
        for name, age in ages.items()
        if age is not None
    )
