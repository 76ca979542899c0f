"""A service that Google scales, through the real engine: its number is never reset."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.checkout import Outcome
from harness.client import keep_asking
from harness.gcp.cloud import PROJECT, REGION, Cloud, find_calls
from harness.gcp.gcp_project import GcpProject
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.gcp.scaling import GROWS, OFF, ON

SOON = 60.0
LIMITS = {"max": 6, "cpu": 50}
LOAD = 1.9
"""So many servers' whole work; each is to work half of its time, so four are needed."""


def test_a_number_that_load_has_made_outlives_every_move(tmp_path: Path, cloud: Cloud) -> None:
    """The setting comes to a stack that serves; a new source and the way back begin with four."""
    project = GcpProject.create(tmp_path, cloud)
    done = project.run()
    assert done.code == 0, done.text
    with keep_asking(project.find_address()) as client:
        _begin_to_scale(project)
        _grow(project)
        old = _bring_a_new_source(project)
        _go_back(project, old)
    assert client.answers
    assert client.failures == []
    done = project.destroy()
    assert done.code == 0, done.text
    assert project.list_left() == []
    assert find_policies(project) == {}


def test_what_changes_while_servers_are_scaled(tmp_path: Path, cloud: Cloud) -> None:
    """A killed run, a candidate that fails, other limits, a load that goes, no setting any more."""
    project = GcpProject.create(tmp_path, cloud)
    project.own["scaling"] = {"web": LIMITS}
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text
    assert find_modes(project) == {project.live(): ON}
    project.cloud.set_manners(load={"web": LOAD})
    with keep_asking(project.find_address()) as client:
        wait_for(project, project.live(), 4)
        _be_killed_after_a_move(project)
        _fail_and_let_go(project)
        _change_the_limits(project)
        _shrink(project)
        _end_to_scale(project)
    assert client.answers
    assert client.failures == []


def find_policies(project: GcpProject) -> Mapping[str, dict[str, Any]]:
    """Return the policy of each autoscaler by its generation."""
    scalers = project.cloud.client().regionAutoscalers()
    found = scalers.list(project=PROJECT, region=REGION).execute().get("items", ())
    return {one["name"].split("-")[-2]: one["autoscalingPolicy"] for one in found}


def find_modes(project: GcpProject) -> Mapping[str, str]:
    """Return the mode of each autoscaler by its generation."""
    return {one: policy["mode"] for one, policy in find_policies(project).items()}


def wait_for(project: GcpProject, generation: str, servers: int) -> None:
    """Wait until so many servers of a generation run."""
    look = lambda: project.groups().get(generation) == servers  # noqa: E731
    assert wait_until("servers", SOON, look, every=0.1), project.groups()


def list_sizes(done: Outcome) -> list[int]:
    """Return what autoscalers have made of their groups in a run."""
    return [event["size"] for event in done.events if event["event"] == "scale"]


def assert_nothing_to_do(project: GcpProject) -> None:
    """Assert that another update shows and changes nothing."""
    done = project.run()
    assert (done.code, done.steps) == (0, []), done.text
    assert project.count_changes(done) == []


def _begin_to_scale(project: GcpProject) -> None:
    """What serves is scaled from now on; no server is made or ended."""
    live = project.live()
    project.own["scaling"] = {"web": {"max": 1, "cpu": 50}, "wbe": LIMITS}
    project.write_settings()
    preview = project.preview()
    preview.assert_failed("gcp.scaling.web.max: must be 2 or more", "gcp.scaling.wbe: is no")
    project.own["scaling"] = {"web": LIMITS}
    project.write_settings()
    preview = project.run(preview=True)
    assert preview.code == 0, preview.text
    assert any("RegionAutoscaler" in step for step in preview.steps)
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), done.count("end"), project.count_moves(done)) == (0, 0, 0)
    assert find_policies(project)[live] == {
        "minNumReplicas": 2,
        "maxNumReplicas": 6,
        "cpuUtilization": {"utilizationTarget": 0.5},
        "mode": ON,
    }
    assert_nothing_to_do(project)


def _grow(project: GcpProject) -> None:
    """Under load it has four servers; a run with nothing to do leaves them, also by a refresh."""
    project.cloud.set_manners(load={"web": LOAD})
    wait_for(project, project.live(), 4)
    assert_nothing_to_do(project)
    done = project.run("--refresh")
    assert done.code == 0, done.text
    assert (project.count_changes(done), list_sizes(done)) == ([], [])
    assert project.groups() == {project.live(): 4}


def _bring_a_new_source(project: GcpProject) -> str:
    """The candidate starts with four and keeps them while it is idle; the old one does as well."""
    old = project.live()
    project.edit("app/server.txt", "two")
    done = project.run()
    assert done.code == 0, done.text
    (made,) = find_calls(done.events, "compute.regionInstanceGroupManagers.insert")
    assert made["body"]["targetSize"] == 4
    assert (done.count("boot"), done.count("end"), list_sizes(done)) == (4, 0, [])
    live = project.live()
    assert project.groups() == {old: 4, live: 4}
    assert find_modes(project) == {old: OFF, live: ON}
    return old


def _go_back(project: GcpProject, old: str) -> None:
    """The standby is as large as when traffic left it, so that it can take all at once."""
    left = project.live()
    project.put_back("app/server.txt")
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), done.count("end"), list_sizes(done)) == (0, 0, [])
    assert (project.live(), project.count_moves(done)) == (old, 1)
    assert project.groups() == {old: 4, left: 4}
    assert find_modes(project) == {old: ON, left: OFF}


def _be_killed_after_a_move(project: GcpProject) -> None:
    """Who serves is whole, and may only grow; the next run lets it go."""
    old = project.live()
    project.edit("app/server.txt", "three")
    project.kill_when_moved()
    live = project.live()
    modes = find_modes(project)
    assert (live != old, modes[old], modes[live]) == (True, GROWS, GROWS)
    assert project.groups()[live] == project.groups()[old] == 4
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), list_sizes(done)) == (0, [])
    assert find_modes(project) == {old: OFF, live: ON}
    assert project.groups() == {old: 4, live: 4}


def _fail_and_let_go(project: GcpProject) -> None:
    """A run whose candidate fails mends what a killed one has left all the same."""
    live, before = project.live(), {*project.groups()}
    scalers = project.cloud.client().regionAutoscalers()
    (name,) = (
        one["name"]
        for one in scalers.list(project=PROJECT, region=REGION).execute()["items"]
        if live in one["name"]
    )
    body = {"autoscalingPolicy": {"mode": GROWS}}
    scalers.patch(project=PROJECT, region=REGION, autoscaler=name, body=body).execute()
    project.break_app()
    done = project.run()
    done.assert_failed("VerificationError")
    (candidate,) = {*project.groups()} - before
    assert find_modes(project)[live] == ON
    assert find_modes(project)[candidate] == OFF
    assert project.groups()[candidate] == 4
    project.mend_app()
    done = project.run()
    assert done.code == 0, done.text
    assert project.live() == live


def _change_the_limits(project: GcpProject) -> None:
    """Most, share of the processors and `servers` follow without a generation or a move."""
    live = project.live()
    project.own["scaling"] = {"web": {"max": 5, "cpu": 40}}
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text
    assert project.count_moves(done) == 0
    # The engine shows other settings as a change of the provider's own resource, too.
    assert {step.split()[1] for step in done.steps} == {"GcpFleet", "pulumi-python"}
    wait_for(project, live, 5)
    policy = find_policies(project)[live]
    assert (policy["maxNumReplicas"], policy["cpuUtilization"]) == (5, {"utilizationTarget": 0.4})
    assert_nothing_to_do(project)


def _shrink(project: GcpProject) -> None:
    """With the load go its servers, down to `servers`; a standby keeps what it has."""
    live = project.live()
    (standby,) = {*project.groups()} - {live}
    project.cloud.set_manners(load={})
    wait_for(project, live, 2)
    project.services["web"]["servers"] = 3
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), project.count_moves(done)) == (1, 0)
    assert project.groups() == {live: 3, standby: 4}
    sizes = [one["size"] for one in project.cloud.read_all() if one["event"] == "scale"]
    assert min(sizes) == 2


def _end_to_scale(project: GcpProject) -> None:
    """Without the setting `servers` is the number again, at once."""
    live = project.live()
    project.cloud.set_manners(load={"web": LOAD})
    wait_for(project, live, 5)
    del project.own["scaling"]
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text
    assert project.count_moves(done) == 0
    assert find_policies(project) == {}
    wait_for(project, live, 3)
    assert_nothing_to_do(project)
