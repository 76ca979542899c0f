"""The `aws` plugin on the emulated cloud, with a program of its own.

It is the stand-in's test; with the official plugin on the machine the same is asked of that.
"""

import json
import urllib.request
from pathlib import Path
from typing import Any

from harness.aws.cloud import Cloud, find_calls
from harness.aws.plain_project import PlainProject, make_plain
from immutable_servers.system.waiting import wait_until

TYPES = 9
"""So many resources the plain program has."""
READING = ("Describe", "Get", "List")


def find_one(cloud: Cloud, service: str, call: str) -> dict[str, Any]:
    """Return the only thing of a kind that exists."""
    answer = getattr(cloud.client(service), call)()
    ((found,),) = [value for value in answer.values() if isinstance(value, list)]
    return dict(found)


def ask(cloud: Cloud, *, header: str) -> tuple[int, dict[str, Any]]:
    """Ask the balancer, with a value of the test rule's header."""
    balancer = find_one(cloud, "elbv2", "describe_load_balancers")
    request = urllib.request.Request(
        f"http://{balancer['DNSName']}:8080/", headers={"X-Test": header}
    )
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - the same
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, {}


def test_create_update_replace_refresh_and_delete(tmp_path: Path, cloud: Cloud) -> None:
    """Each operation is carried out on the API, in place or by replacement as upstream does."""
    project = make_plain(tmp_path, cloud)
    _preview(project)
    _create(project)
    _update_in_place(project)
    _replace(project)
    _refresh(project)
    done = project.destroy()
    assert done.code == 0, done.text
    for service, call in (
        ("autoscaling", "describe_auto_scaling_groups"),
        ("elbv2", "describe_load_balancers"),
        ("elbv2", "describe_target_groups"),
        ("ec2", "describe_launch_templates"),
    ):
        answer = getattr(cloud.client(service), call)()
        assert [value for value in answer.values() if isinstance(value, list)] == [[]]


def _preview(project: PlainProject) -> None:
    """A preview changes nothing."""
    done = project.preview()
    assert done.code == 0, done.text
    assert done.changes == {"create": TYPES + 2}  # with the stack itself and the provider
    calls = [e["call"].partition(".")[2] for e in done.events if e["event"] == "api"]
    assert [call for call in calls if not call.startswith(READING)] == []


def _create(project: PlainProject) -> None:
    """What is created works; the same program again changes nothing."""
    cloud = project.cloud
    done = project.up()
    assert done.code == 0, done.text
    wait_until("the server", 30, lambda: ask(cloud, header="yes")[0] == 200, every=0.1)
    assert ask(cloud, header="yes")[1]["env"] == {}
    boots = [event for event in cloud.read_all() if event["event"] == "boot"]
    assert [event["tags"]["owner"] for event in boots] == ["plain"]
    assert ask(cloud, header="no") == (503, {})
    outputs = json.loads(project.pulumi("stack", "output", "--json", "-s", "dev").stdout)
    assert outputs["version"] == 1
    template = find_calls(done.events, "ec2.CreateLaunchTemplate")[0]
    assert template["LaunchTemplateData.MetadataOptions.HttpTokens"] == "required"
    assert template["LaunchTemplateData.BlockDeviceMapping.1.Ebs.Encrypted"] == "true"
    again = project.up()
    assert (again.code, again.steps) == (0, []), again.text


def _update_in_place(project: PlainProject) -> None:
    """Whatever does not force a replacement is an update; a template gets a new version."""
    # The pointer is not Pulumi's: what it says stays through every update.
    cloud = project.cloud
    listener = _listener(cloud)
    group = find_one(cloud, "elbv2", "describe_target_groups")
    cloud.client("elbv2").modify_listener(
        ListenerArn=listener["ListenerArn"],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )
    done = project.change(
        to_port=8001,
        env={"GREETING": "hi"},
        health="/ready",
        idle=61,
        priority=11,
        servers=2,
        suspended=[],
        tags={"more": "yes"},
    )
    assert {*done.changes} == {"update"}, done.steps
    assert ask(cloud, header="no")[0] == 200
    scaling = find_one(cloud, "autoscaling", "describe_auto_scaling_groups")
    assert scaling["LaunchTemplate"]["Version"] == "2"
    assert (len(scaling["Instances"]), scaling["SuspendedProcesses"]) == (2, [])
    assert find_one(cloud, "elbv2", "describe_target_groups")["HealthCheckPath"] == "/ready"
    rules = cloud.client("elbv2").describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    assert [rule["Priority"] for rule in rules] == ["11", "default"]


def _listener(cloud: Cloud) -> dict[str, Any]:
    balancer = find_one(cloud, "elbv2", "describe_load_balancers")["LoadBalancerArn"]
    (found,) = cloud.client("elbv2").describe_listeners(LoadBalancerArn=balancer)["Listeners"]
    return dict(found)


def _replace(project: PlainProject) -> None:
    """A property that forces it replaces the resource, the new one made before the old one goes."""
    done = project.change(
        about="other", peer={"referenced_security_group_id": _own_group(project.cloud)}
    )
    replaced = {
        step.removeprefix("create-replacement ")
        for step in done.steps
        if step.startswith("create-replacement")
    }
    assert replaced == {
        "SecurityGroup servers",
        "SecurityGroupIngressRule web",
        "SecurityGroupEgressRule all",
    }
    kinds = [step for step in done.steps if "SecurityGroup servers" in step]
    assert [step.split()[0] for step in kinds] == [
        "create-replacement",
        "replace",
        "delete-replaced",
    ]
    assert "update LaunchTemplate servers" in done.steps


def _own_group(cloud: Cloud) -> str:
    groups = cloud.client("ec2").describe_security_groups()["SecurityGroups"]
    found: str = next(group["GroupId"] for group in groups if group["GroupName"] == "default")
    return found


def _refresh(project: PlainProject) -> None:
    """A refresh sees what was changed and deleted by hand, and the next update puts it back."""
    cloud = project.cloud
    scaling = cloud.client("autoscaling")
    group = find_one(cloud, "autoscaling", "describe_auto_scaling_groups")
    name = group["AutoScalingGroupName"]
    scaling.update_auto_scaling_group(AutoScalingGroupName=name, MaxSize=9)
    elb, listener = cloud.client("elbv2"), _listener(cloud)["ListenerArn"]
    rules = elb.describe_rules(ListenerArn=listener)["Rules"]
    elb.delete_rule(RuleArn=next(one["RuleArn"] for one in rules if not one["IsDefault"]))
    done = project.up("--refresh")
    assert done.code == 0, done.text
    assert {"create ListenerRule test", "update Group servers"} <= {*done.steps}, done.steps
    assert find_one(cloud, "autoscaling", "describe_auto_scaling_groups")["MaxSize"] == 4
    again = project.up()
    assert (again.code, again.steps) == (0, []), again.text
