"""The plain program on the emulated cloud, driven through the real engine."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from harness.aws.cloud import Cloud
from harness.checkout import ROOT, Checkout, Outcome

STAND_IN = ROOT / "tests/clouds/aws/stand_in"
PLAIN = ROOT / "tests/clouds/aws/plain"


def find_official_plugin() -> str:
    """Return where the official plugin is on this machine, empty when it is not."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    installed = sorted(map(str, home.glob("plugins/resource-aws-v7.*/pulumi-resource-aws")))
    return shutil.which("pulumi-resource-aws") or next(iter(installed), "")


def lead_to(cloud: Cloud, environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of a run on the emulated cloud.

    The stand-in is used where the official plugin is not on the machine.
    """
    found = {**environment, **cloud.environment, "PYTHONDONTWRITEBYTECODE": "1"}
    if not find_official_plugin():
        found["PATH"] = f"{STAND_IN}:{found['PATH']}"
    return found


@dataclass
class PlainProject(Checkout):
    """The copy of the plain program, and its cloud."""

    cloud: Cloud = field(kw_only=True)
    options: dict[str, Any] = field(default_factory=dict)

    sample: ClassVar[Path] = PLAIN
    name: ClassVar[str] = "plain"

    @classmethod
    def create(cls, folder: Path, cloud: Cloud) -> "PlainProject":
        """Copy the program and make its stack."""
        shutil.copytree(PLAIN, folder / "project")
        (folder / "state").mkdir()
        project = cls(folder / "project", cloud=cloud)
        image = cloud.client("ec2").register_image(Name="plain", RootDeviceName="/dev/sda1")
        project.options["image"] = image["ImageId"]
        project.write_settings()
        project.pulumi("stack", "init", "dev")
        cloud.read_new()
        return project

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command."""
        return lead_to(self.cloud, super().environment)

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

    def _read_new(self) -> list[dict[str, Any]]:
        return self.cloud.read_new()
