"""The contract on the instant target."""

import pytest

from harness.engine.project import INSTANT, Project
from harness.life.life import Life, live
from immutable_servers.contract.values import Artifact, Route

ARTIFACT = Artifact("app", "0" * 12, f"app/{'0' * 12}", facts={"answer": "hello"})


@pytest.mark.core
def test_a_generation_lives_on_the_instant_target(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toy keeps the contract that the real targets keep, in seconds."""
    monkeypatch.syspath_prepend(str(INSTANT))
    from instant_world import World  # noqa: PLC0415 - the toy is a package of its own

    monkeypatch.chdir(project.root)
    life = Life(project, ARTIFACT.id, 80, Route("web", 8080))
    world = World(project.world)
    world.write(world.artifact_file(ARTIFACT.id), ARTIFACT.to_plain())
    live(life)
