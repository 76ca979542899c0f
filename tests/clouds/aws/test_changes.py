"""design.md's table of changes on Amazon EC2: the real engine, the real program, no account."""

from pathlib import Path

from harness.aws.aws_project import AwsProject, count_changes, count_moves
from harness.aws.client import keep_asking
from harness.aws.cloud import Cloud, find_calls

IMAGES = 2
"""So many images the sample has."""


def test_from_a_first_run_to_a_destroy(tmp_path: Path, cloud: Cloud) -> None:
    """A user who asks all the time is always answered by verified servers, whatever changes."""
    project = AwsProject.create(tmp_path, cloud)
    _run_first(project)
    with keep_asking(project.find_address()) as client:
        _change_nothing(project)
        first = project.live()
        _change_the_source(project)
        _go_back(project, first)
        _change_the_number_of_servers(project)
        _change_a_check(project)
        _change_the_environment(project)
        _fail_a_check(project)
        _leave_things_out(project)
        _try_a_canary(project)
        _kill_the_engine_after_a_move(project)
        project.ask_three_questions(servers=3)
    assert client.answers
    assert client.failures == []
    _destroy(project)


def _run_first(project: AwsProject) -> None:
    """A preview changes nothing; the first run launches, verifies, seals, then moves traffic."""
    preview = project.run(preview=True)
    assert preview.code == 0, preview.text
    assert count_changes(preview) == []
    done = project.run()
    assert done.code == 0, done.text
    boots = [event for event in done.events if event["event"] == "boot"]
    assert len(boots) == 2
    order = [event["event"] for event in done.events if event["event"] in ("seal", "traffic")]
    assert order == ["seal", "seal", "traffic"]
    (template,) = find_calls(done.events, "ec2.CreateLaunchTemplate")
    assert template["LaunchTemplateData.MetadataOptions.HttpTokens"] == "required"
    assert template["LaunchTemplateData.BlockDeviceMapping.1.Ebs.Encrypted"] == "true"
    assert project.states() == {project.live(): "live"}
    assert project.find_ways() == []
    project.cloud.read_new()
    refreshed = project.preview("--refresh")  # the owner's tags are nobody's change
    assert [step for step in refreshed.steps if not step.startswith("refresh ")] == []


def _change_nothing(project: AwsProject) -> None:
    """A preview of an unchanged stack asks the catalog once for each image, and shows nothing."""
    preview = project.run(preview=True)
    assert (preview.code, preview.steps) == (0, []), preview.text
    assert count_changes(preview) == []
    assert len(find_calls(preview.events, "ec2.DescribeImages")) <= IMAGES
    project.ask_three_questions()


def _change_the_source(project: AwsProject) -> None:
    """A new generation takes the traffic with one change of the listener; the old one stays."""
    old = project.live()
    project.edit("app/server.txt", "version two")
    done = project.run()
    assert done.code == 0, done.text
    assert done.count("boot") == 2
    assert count_moves(done) == 1
    assert project.states() == {project.live(): "live", old: "standby"}
    project.assert_serving()


def _go_back(project: AwsProject, first: str) -> None:
    """Going back to the standby is one change of the listener: no server, no image."""
    project.put_back("app/server.txt")
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), done.count("end")) == (0, 0)
    assert (project.live(), count_changes(done)) == (first, ["elbv2.ModifyListener"])
    project.assert_serving()


def _change_the_number_of_servers(project: AwsProject) -> None:
    """The live fleet grows in place; what is new serves when it is healthy, and boots sealed."""
    live = project.live()
    project.services["web"]["servers"] = 3
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), count_moves(done)) == (1, 0)
    assert project.live() == live
    project.assert_serving(servers=3)


def _change_a_check(project: AwsProject) -> None:
    """It runs on one fresh server that serves nobody and goes again; no generation is made."""
    live = project.live()
    project.edit("tests/servers/test_sample.py", "# one more promise")
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), done.count("end"), count_moves(done)) == (1, 1, 0)
    assert len(find_calls(done.events, "ec2.RunInstances")) == 1
    assert (project.live(), project.find_ways()) == (live, [])


def _change_the_environment(project: AwsProject) -> None:
    """A new generation from the same image; the one that `keep` does not hold ends drained."""
    old, images = project.live(), project.count_images()
    (standby,) = {*project.groups()} - {old}
    project.services["web"]["env"] = {"GREETING": "hi"}
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), done.count("end"), count_moves(done)) == (3, 2, 1)
    assert project.count_images() == images
    assert project.states()[standby] == "retired"
    assert {*project.groups()} == {project.live(), old}
    calls = [event["call"] for event in done.events if event["event"] == "api"]
    moved, drained = (
        calls.index(f"elbv2.{name}") for name in ("ModifyListener", "DeregisterTargets")
    )
    assert moved < drained < calls.index("autoscaling.DeleteAutoScalingGroup")
    project.assert_serving(servers=3)


def _fail_a_check(project: AwsProject) -> None:
    """A failed candidate gets no traffic, nothing is deleted; a revert retires it."""
    live = project.live()
    project.break_app()
    done = project.run()
    done.assert_failed("VerificationError", "test_app_is_not_broken")
    assert (done.count("end"), count_moves(done)) == (0, 0)
    assert project.live() == live
    project.mend_app()
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), count_moves(done)) == (0, 0)


def _leave_things_out(project: AwsProject) -> None:
    """A run without its verification, or of its traffic alone, moves and ends nothing."""
    live = project.live()
    project.edit("app/server.txt", "version three")
    for choice in (("--exclude", "**Verification::web-*"), ("--target", "**Traffic::web")):
        done = project.run(*choice)
        assert (count_moves(done), done.count("end")) == (0, 0), done.text
        assert project.live() == live


def _try_a_canary(project: AwsProject) -> None:
    """The candidate gets its share, is watched by what CloudWatch counts, and then gets all."""
    canary = {"weight": 60, "watch": "1s", "max_error_rate": 0.1, "min_requests": 1}
    project.services["web"]["canary"] = canary
    project.write_settings()
    old = project.live()
    done = project.run()
    assert done.code == 0, done.text
    weights = [event["weights"] for event in done.events if event["event"] == "traffic"]
    assert [sorted(one.values()) for one in weights] == [[40, 60], [100]]
    assert project.states()[old] == "standby"


def _kill_the_engine_after_a_move(project: AwsProject) -> None:
    """Traffic moved, and nobody wrote it down; the source is reverted: it goes back, at once."""
    del project.services["web"]["canary"]
    project.write_settings()
    live, source = project.live(), project.root / "app" / "server.txt"
    before = source.read_text()
    project.edit("app/server.txt", "version four")
    project.kill_when_moved()
    assert project.live() != live
    source.write_text(before)
    done = project.run()
    assert done.code == 0, done.text
    assert (project.live(), done.count("boot"), count_moves(done)) == (live, 0, 1)


def _destroy(project: AwsProject) -> None:
    """Everything of the stack goes; images stay."""
    images = project.count_images()
    done = project.destroy()
    assert done.code == 0, done.text
    assert project.list_left() == []
    assert project.count_images() == images


def test_what_happens_without_our_knowing(tmp_path: Path, cloud: Cloud) -> None:
    """What was made, moved or ended behind our back is found, and nothing is made twice."""
    project = AwsProject.create(tmp_path, cloud)
    _lose_the_answer_of_a_launch(project)
    _lose_the_answer_of_a_move(project)
    _end_a_server_by_hand(project)


def _lose_the_answer_of_a_launch(project: AwsProject) -> None:
    """The group that a failed run made is adopted by its name."""
    project.cloud.set_fault("autoscaling.CreateAutoScalingGroup", "Lost", lost=True)
    assert project.run().code != 0
    assert len(project.groups()) == 1
    done = project.run()
    assert done.code == 0, done.text
    assert done.count("boot") == 0
    project.assert_serving()


def _lose_the_answer_of_a_move(project: AwsProject) -> None:
    """Traffic moved and the run does not know: the next one leaves it there."""
    first = project.live()
    project.edit("app/server.txt", "two")
    project.cloud.set_fault("elbv2.ModifyListener", "Lost", lost=True)
    assert project.run().code != 0
    moved = project.live()
    assert moved != first
    done = project.run()
    assert done.code == 0, done.text
    assert (project.live(), count_moves(done), done.count("boot")) == (moved, 0, 0)
    project.assert_serving()


def _end_a_server_by_hand(project: AwsProject) -> None:
    """The group makes it again, with no way to log in to it; a run finds nothing to do."""
    live = project.live()
    project.end_server(live)
    done = project.run()
    assert (done.code, done.steps) == (0, []), done.text
    assert project.groups()[live] == 2
    assert project.find_ways() == []
