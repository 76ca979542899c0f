"""Who reaches a generation that has no traffic: nobody, on the real engine and connections."""

import itertools
import json
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from harness.aws.aws_project import AwsProject
from harness.aws.cloud import Cloud, find_calls

EARLIER = """\
from immutable_servers.targets.aws import generation

render = generation.render_conditions
generation.render_conditions = lambda name: render(name)[:1]
"""
"""Has the program's test rules be met by a header alone, as those of an earlier program were."""
PRETENDED = ("192.0.2.1", "192.0.2.1, 192.0.2.2")
"""What a visitor says of his own address."""


def test_nobody_but_the_health_check_reaches_a_candidate_or_a_standby(
    tmp_path: Path, cloud: Cloud
) -> None:
    """Whatever a request's headers say, on every listener only the live generation answers.

    That holds for generations of an earlier program from the first run of this one, which changes
    their rules in place and touches none of their servers.
    """
    project = AwsProject.create(tmp_path, cloud)
    main = (project.root / "__main__.py").read_text()
    (project.root / "__main__.py").write_text(EARLIER + main)
    web = {**project.services["web"], "servers": 1, "keep": 2}
    api = {**web, "route": {"host": "api.example.com"}}
    project.services = {"web": web, "api": api}
    project.own |= {"shared_port": 8081}
    project.write_settings()
    assert project.run().code == 0
    standby = project.live()
    project.edit("app/server.txt", "two")
    assert project.run().code == 0
    live = project.live()
    assert find_reached(project, f"web-{standby}") == {f"web-{standby}"}

    (project.root / "__main__.py").write_text(main)
    project.edit("app/server.txt", "three")
    project.break_app("web")
    project.break_app("api")
    done = project.run()
    done.assert_failed("VerificationError")
    changed = {step for step in done.steps if step.split()[0] in ("update", "replace")}
    assert {f"update ListenerRule web-{one}" for one in (standby, live)} <= changed
    assert not {step for step in changed if step.split()[1] in ("Group", "LaunchTemplate")}
    assert (done.count("end"), len(find_calls(done.events, "elbv2.ModifyRule"))) == (0, 4)
    there = {*find_generations(project).values()}
    assert len(there) == 6
    serving = {f"web-{live}", f"api-{live}"}
    assert serving < there
    for generation in there:
        assert find_reached(project, generation) == {f"web-{live}"}
        assert find_reached(project, generation, "api.example.com") == serving


def find_generations(project: AwsProject) -> dict[str, str]:
    """Return the generation of each instance, with its service's name."""
    found = project.cloud.client("autoscaling").describe_auto_scaling_groups()
    return {
        instance["InstanceId"]: group["AutoScalingGroupName"].rpartition("-")[0]
        for group in found["AutoScalingGroups"]
        for instance in group["Instances"]
    }


def find_reached(project: AwsProject, header: str, host: str = "") -> set[str]:
    """Return which generations answer a visitor who names one, on every listener."""
    address = project.find_address().rpartition(":")[0]
    owners = find_generations(project)
    reached = set()
    for port, pretended in itertools.product((8080, 8081), ("", *PRETENDED)):
        headers = {"X-Immutable-Generation": header, "Host": host or "nobody.example.com"}
        headers |= (
            {"X-Forwarded-For": pretended, "Forwarded": f"for={pretended}"} if pretended else {}
        )
        request = urllib.request.Request(f"{address}:{port}/", headers=headers)  # noqa: S310 - this machine
        # The shared listener has no answer of a server for a host of no service.
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(request) as answer:  # noqa: S310
            reached.add(owners[json.loads(answer.read())["instance"]])
    return reached
