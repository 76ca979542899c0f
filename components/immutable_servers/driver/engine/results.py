"""Results of a run as typed values: commands print them, and `Deployment` returns them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from immutable_servers.driver.engine.reporter import Reporter


@dataclass(frozen=True)
class Serving:
    """A service after a run: its address, generation, servers and images.

    Attributes:
        generation: The live generation's id.
        images: Version by image, the parents' too.
    """

    service: str
    address: str
    generation: str
    servers: int
    images: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        changes: Number of resources by what the engine did to them, `same` too.
        phases: Seconds by phase, in their order: bake, launch, verify, seal, traffic, retire. Of
            several images or services it is the sum.
        services: What serves now, empty after a destroy.
        seconds: How long the whole run took.
    """

    changes: Mapping[str, int]
    phases: Mapping[str, float]
    services: tuple[Serving, ...]
    seconds: float

    @property
    def changed(self) -> bool:
        """Whether the run changed something."""
        return bool({*self.changes} - {"same", "read"})


def make_outcome(reporter: Reporter, seconds: float) -> Outcome:
    """Return the result of a run that succeeded."""
    found = reporter.timeline.find_seconds()
    phases = {phase: round(seconds, 1) for phase, seconds in found.items()}
    services = find_serving(reporter.outputs.get("services"))
    return Outcome(dict(reporter.changes), phases, services, round(seconds, 1))


def find_serving(services: Any) -> tuple[Serving, ...]:  # noqa: ANN401 - a stack output, not ours to trust
    """Return what serves, from the stack's outputs; unknown forms are left out."""
    if not isinstance(services, Mapping):
        return ()
    return tuple(
        Serving(
            service=str(name),
            address=str(service.get("address", "")),
            generation=str(service.get("live", "")),
            servers=int(service.get("servers", 0)),
            images=_read_images(service.get("images")),
        )
        for name, service in services.items()
        if isinstance(service, Mapping)
    )


def _read_images(images: Any) -> Mapping[str, str]:  # noqa: ANN401 - a stack output
    if not isinstance(images, Mapping):
        return {}
    return {str(name): str(version) for name, version in images.items()}


def render_images(images: Mapping[str, str]) -> str:
    """Return text such as `app f63fc2e0bb14, base 5c0032482a90`."""
    return ", ".join(f"{image} {version}" for image, version in images.items())
