"""A sample project on the aws target and the emulated cloud, driven as a user would."""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import tenacity

from harness.aws.cloud import REGION, Cloud, find_calls
from harness.aws.plain_project import lead_to
from harness.checkout import ROOT, Checkout, Outcome
from immutable_servers.contract.values import Scope
from immutable_servers.identity import compute_versions
from immutable_servers.settings import load_settings
from immutable_servers.targets.aws.images import render_description, render_facts
from immutable_servers.targets.aws.names import name_image

SAMPLE = ROOT / "tests/clouds/aws/sample"
SSH_CONFIG = "Host *\n  Port 2222\n"
"""Where emulated instances take logins; who reaches instances by such a file says so in it."""
SSH = 22
POINTING = ("elbv2.ModifyListener", "elbv2.ModifyRule")


@dataclass
class AwsProject(Checkout):
    """The copy of the sample, and its cloud.

    Attributes:
        aws: The target's settings beside those of every test.
        variables: Template variables of both images.
    """

    cloud: Cloud = field(kw_only=True)
    aws: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    sample: ClassVar[Path] = SAMPLE
    timeout: ClassVar[int] = 300

    @classmethod
    def create(cls, folder: Path, cloud: Cloud, packer: Path = SAMPLE / "packer") -> "AwsProject":
        """Copy the sample and make its stack; `packer` has the templates."""
        root = folder / "project"
        shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("packer"))
        shutil.copytree(packer, root / "packer")
        shutil.copy(ROOT / "__main__.py", root)
        (folder / "state").mkdir()
        (folder / "ssh_config").write_text(SSH_CONFIG)
        project = cls(root, cloud=cloud)
        project.services["web"] = {
            "image": "app",
            "servers": 2,
            "port": 8000,
            "route": {"port": 8080},
            "env": {"GREETING": "hello"},
            "drain": "1s",
            "keep": 1,
        }
        project.write_settings()
        project.pulumi("stack", "init", "dev")
        return project

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command."""
        return lead_to(self.cloud, super().environment)

    def render_settings(self) -> dict[str, Any]:
        """Return the settings from `services`."""
        return {
            "target": "aws",
            "images": {
                "base": {"variables": self.variables},
                "app": {"parent": "base", "sources": ["app"], "variables": self.variables},
            },
            "services": self.services,
            "aws": {
                "region": REGION,
                "verify_through": "ssh_config",
                "ssh_config": str(self.root.parent / "ssh_config"),
                "boot_deadline": 20,
                **self.aws,
            },
        }

    def bake(self) -> dict[str, str]:
        """Put the AMIs of the checkout into the cloud, as Packer leaves them; return the versions.

        What really baking does is asked of the real Packer, in `test_bakes.py`.
        """
        versions = self.compute_versions()
        ec2 = self.cloud.client("ec2")
        for image, version in versions.items():
            name = name_image(image, version)
            held = ec2.describe_images(
                Owners=["self"], Filters=[{"Name": "name", "Values": [name]}]
            )["Images"]
            if not held:
                parents = {"base": versions["base"]} if image == "app" else {}
                self._register(name, {"image": image, "version": version}, parents)
        return versions

    def compute_versions(self) -> dict[str, str]:
        """Return the versions of the checkout's images."""
        settings = load_settings(self.render_settings(), self.root)
        found = compute_versions(self.root, settings, "x86_64")
        return {name: one.version for name, one in found.items()}

    def _register(self, name: str, lineage: dict[str, str], parents: dict[str, str]) -> None:
        ec2 = self.cloud.client("ec2")
        made = ec2.register_image(
            Name=name, Description=render_description(parents), RootDeviceName="/dev/xvda"
        )
        tags = [{"Key": key, "Value": value} for key, value in render_facts(lineage).items()]
        ec2.create_tags(Resources=[made["ImageId"]], Tags=tags)

    def run(self, *arguments: str, preview: bool = False) -> Outcome:
        """Have the images baked, then preview or update; the API's calls are in the outcome."""
        self.bake()
        self.cloud.read_new()
        return self.preview(*arguments) if preview else self.up(*arguments)

    def kill_when_moved(self) -> None:
        """Update, and kill the engine, and it alone, once a listener points elsewhere."""
        self.bake()
        self.cloud.read_new()
        words = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "-s", self.stack]
        with (self.root.parent / "killed.log").open("w") as log:
            engine = subprocess.Popen(
                words, cwd=self.root, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            tenacity.Retrying(
                retry=tenacity.retry_if_result(lambda moved: not moved),
                wait=tenacity.wait_fixed(0.02),
                stop=tenacity.stop_after_delay(self.timeout),
            )(self._has_moved)
        finally:
            engine.kill()
            engine.wait()
        self.pulumi("cancel", "--yes", "-s", self.stack)

    def _has_moved(self) -> bool:
        return any(event["event"] == "traffic" for event in self.cloud.read_new())

    def _read_new(self) -> list[dict[str, Any]]:
        return self.cloud.read_new()

    # what a test changes
    def break_app(self, service: str = "web") -> None:
        """Commit a broken application."""
        (self.root / "app" / f"broken-{service}").write_text("broken\n")

    def mend_app(self, service: str = "web") -> None:
        """Revert it."""
        (self.root / "app" / f"broken-{service}").unlink()

    def end_server(self, generation: str) -> None:
        """End a server of a generation by hand."""
        scaling = self.cloud.client("autoscaling")
        (group,) = [
            group
            for group in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
            if generation in group["AutoScalingGroupName"]
        ]
        one = group["Instances"][0]["InstanceId"]
        self.cloud.client("ec2").terminate_instances(InstanceIds=[one])

    # what is true
    def scope(self, service: str = "web") -> Scope:
        """Return a service's scope."""
        return Scope("immutable-servers", self.stack, service)

    def live(self, service: str = "web") -> str:
        """Return the generation that the listener points to, empty when there is none."""
        port = self.services[service]["route"]["port"]
        weights = [
            event["weights"]
            for event in self.cloud.read_all()
            if event["event"] == "traffic" and event["port"] == port
        ]
        return next((name.split("-")[-2] for name in weights[-1]), "") if weights else ""

    def groups(self) -> dict[str, int]:
        """Return the fleets that exist and how many servers each has."""
        found = self.cloud.client("autoscaling").describe_auto_scaling_groups()
        return {
            group["AutoScalingGroupName"].split("-")[-2]: len(group["Instances"])
            for group in found["AutoScalingGroups"]
        }

    def find_address(self) -> str:
        """Return where the service answers."""
        done = self.pulumi("stack", "output", "services", "--json", "-s", self.stack)
        found: str = json.loads(done.stdout)["web"]["address"]
        return found

    def find_ways(self) -> list[str]:
        """Return the rules that let somebody in to SSH."""
        rules = self.cloud.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
        return [rule["SecurityGroupRuleId"] for rule in rules if rule.get("FromPort") == SSH]

    def count_images(self) -> int:
        """Return how many AMIs there are."""
        return len(self.cloud.client("ec2").describe_images(Owners=["self"])["Images"])

    def list_left(self) -> list[str]:
        """Return what there is beside networks and images."""
        asked = (
            ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroupName"),
            ("elbv2", "describe_load_balancers", "LoadBalancerName"),
            ("elbv2", "describe_target_groups", "TargetGroupName"),
            ("ec2", "describe_launch_templates", "LaunchTemplateName"),
            ("ec2", "describe_security_groups", "GroupName"),
        )
        found = []
        for service, call, name in asked:
            answer = getattr(self.cloud.client(service), call)()
            lists = [value for value in answer.values() if isinstance(value, list)]
            found += [one[name] for one in lists[0] if one[name] != "default"]
        return found

    def ask_three_questions(self, service: str = "web", *, servers: int = 2) -> None:
        """Assert what must hold after every case.

        Does the balancer point to a fleet that exists, is whole and was verified? Was nothing
        deleted that served? Is the next `up` with nothing to do clean?
        """
        self.assert_serving(service, servers=servers)
        again = self.run()
        assert again.code == 0, again.text
        assert again.changes == {}, (again.steps, again.text)
        assert count_changes(again) == [], again.events

    def assert_serving(self, service: str = "web", *, servers: int = 2) -> None:
        """Assert the first two questions.

        Each time that the pointer moved, every server of the group that it moved to was healthy and
        sealed; and no server was ended while its group had the traffic.
        """
        live = self.live(service)
        assert live
        assert self.groups().get(live) == servers
        serving: set[str] = set()
        for event in self.cloud.read_all():
            if event["event"] == "traffic":
                states = [state for group in event["targets"].values() for state in group.values()]
                assert all(s["state"] == "healthy" and s["sealed"] for s in states), event
                serving = {one for group in event["targets"].values() for one in group}
            assert not (event["event"] == "end" and event["instance"] in serving), event


def count_changes(done: Outcome) -> list[str]:
    """Return the API's calls of a run that change something."""
    calls = [e["call"] for e in done.events if e["event"] == "api"]
    return [c for c in calls if not c.partition(".")[2].startswith(("Describe", "Get", "List"))]


def count_moves(done: Outcome) -> int:
    """Return how often a run changed where a listener points."""
    return sum([len(find_calls(done.events, call)) for call in POINTING])


__all__ = ["AwsProject", "count_changes", "count_moves"]
