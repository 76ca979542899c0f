"""A project whose runs are led to an emulated cloud, and one of a plain program."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from harness.checkout import ROOT, Checkout, Outcome
from harness.emulated_cloud import EmulatedCloud

CLOUDS = ROOT / "tests/clouds"
CloudT = TypeVar("CloudT", bound=EmulatedCloud)


@dataclass
class CloudCheckout(Checkout, Generic[CloudT]):
    """A copy of a project, and its cloud."""

    cloud: CloudT = field(kw_only=True)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command.

        It leads the SDK and the provider's plugin to the cloud; the plugin is the stand-in where
        the official one is not on this machine.
        """
        plugin = self.cloud.plugin
        found = {**super().environment, **self.cloud.environment, "PYTHONDONTWRITEBYTECODE": "1"}
        in_process = str(CLOUDS / plugin.in_process)
        found["PYTHONPATH"] = ":".join(filter(None, (in_process, found.get("PYTHONPATH"))))
        if not find_official_plugin(plugin.name, plugin.major):
            found["PATH"] = f"{CLOUDS / plugin.name}/stand_in:{found['PATH']}"
        return found

    def _read_new(self) -> list[dict[str, Any]]:
        return self.cloud.read_new()


@dataclass
class PlainProject(CloudCheckout[CloudT]):
    """The copy of the plain program of a cloud, driven through the real engine."""

    options: dict[str, Any] = field(default_factory=dict)

    name: ClassVar[str] = "plain"

    @classmethod
    def create(cls, folder: Path, cloud: CloudT, **options: object) -> Self:
        """Copy the program and make its stack; the options are the program's own."""
        shutil.copytree(CLOUDS / cloud.plugin.name / "plain", folder / "project")
        (folder / "state").mkdir()
        project = cls(folder / "project", cloud=cloud, options=options)
        project.write_settings()
        project.pulumi("stack", "init", "dev")
        cloud.read_new()
        return project

    def render_settings(self) -> dict[str, Any]:
        """Return the options of the program."""
        return {"options": self.options}

    def change(self, **options: Any) -> Outcome:  # noqa: ANN401 - the program's own
        """Update with other options."""
        self.options.update(options)
        self.write_settings()
        done = self.up()
        assert done.code == 0, done.text
        return done

    def forget(self) -> None:
        """Lose the state, as a killed run that made everything does."""
        self.pulumi("stack", "rm", "--force", "--yes", "--preserve-config", "-s", self.stack)
        self.pulumi("stack", "init", self.stack)


def find_official_plugin(package: str, major: int) -> str:
    """Return where an official plugin is on this machine, empty when it is not."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    program = f"pulumi-resource-{package}"
    installed = sorted(map(str, home.glob(f"plugins/resource-{package}-v{major}.*/{program}")))
    return shutil.which(program) or next(iter(installed), "")
