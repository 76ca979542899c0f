"""The contract on an emulated cloud."""

import pytest

from harness.cloud_project import AnyProject
from harness.life.life import Life, live
from immutable_servers.contract.values import Route
from immutable_servers.targets import load_target


class OneLife:
    """The life of a generation."""

    def test_a_generation_lives(self, project: AnyProject, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the cloud offers for servers keeps the contract that every target keeps."""
        for name, value in project.environment.items():
            if name.startswith("XDG_"):
                monkeypatch.setenv(name, value)
        with project.cloud.lead_here():
            version = project.bake()["app"]
            target = load_target(project.target, project.render_settings()[project.target])
            found = target.images.find("app", version, "")
            assert found
            live(Life(project, found.id, 8000, Route("web", 8080)))
