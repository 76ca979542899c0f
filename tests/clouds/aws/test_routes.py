"""Services that get another route, or go: nothing is lost on the way, and nothing is left stuck."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.aws.aws_project import AwsProject
from harness.aws.cloud import Cloud
from harness.client import keep_doing
from immutable_servers.driver.commands.destroy import POINTER
from immutable_servers.planning.requests import VARIABLE, Request

HOST = "www.example.com"
PORT, SHARED = 8080, 8081
PAUSE = 0.02


@contextmanager
def keep_asking(
    address: str, *places: tuple[int, str]
) -> Iterator[dict[tuple[int, str], list[int]]]:
    """Ask ports as hosts until the block ends; yield the codes that each answered, 0 for none."""
    codes: dict[tuple[int, str], list[int]] = {place: [] for place in places}

    def ask_all() -> None:
        for (port, host), found in codes.items():
            found.append(ask(address, port, host))

    with keep_doing(ask_all, PAUSE):
        yield codes


def ask(address: str, port: int, host: str) -> int:
    """Return the code of an answer, 0 where nobody listens."""
    url = f"{address}:{port}/"
    try:
        request = urllib.request.Request(url, headers={"Host": host})  # noqa: S310 - this machine
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - the same
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def assert_handed_over(old: list[int], new: list[int], before: int) -> None:
    """Assert that the old address served until it went, and the new one from when it came."""
    assert 200 in new
    assert set(new[: new.index(200)]) <= {0, before}
    assert set(new[new.index(200) :]) == {200}
    assert old[0] == 200
    last = len(old) - old[::-1].index(200)
    assert set(old[:last]) == {200}


def test_a_route_of_another_kind_loses_no_answer(tmp_path: Path, cloud: Cloud) -> None:
    """The new address serves from its first moment on, and the old one until it goes.

    From a port to a host name and back, also where both have one port; and the next run finds
    nothing to do.
    """
    project = AwsProject.create(tmp_path, cloud)
    project.services["web"]["servers"] = 1
    project.own |= {"shared_port": SHARED}
    project.write_settings()
    assert project.run().code == 0
    address = project.find_address().rpartition(":")[0]
    project.edit("app/server.txt", "a standby, whose health must stay known")
    assert project.run().code == 0

    routes = [
        ({"host": HOST}, (PORT, "any"), (SHARED, HOST), 404),
        ({"port": SHARED}, (SHARED, HOST), (SHARED, "any"), 404),
        ({"host": HOST}, (SHARED, "any"), (SHARED, HOST), 200),
        ({"port": PORT}, (SHARED, HOST), (PORT, "any"), 0),
    ]
    for route, old, new, before in routes:
        project.services["web"]["route"] = route
        project.write_settings()
        with keep_asking(address, old, new) as codes:
            done = project.run()
        assert done.code == 0, done.text
        assert_handed_over(codes[old], codes[new], before)
        again = project.run()
        assert (again.code, again.steps, project.count_changes(again)) == (0, [], []), again.text
        assert ask(address, *new) == 200
        assert find_health(cloud) == {"healthy"}
    assert list_rules(cloud, SHARED) == 0

    project.put_back("app/server.txt")
    done = project.run()
    assert (done.code, done.count("boot")) == (0, 0), done.text
    assert project.destroy().code == 0
    assert project.list_left() == []


def find_health(cloud: Cloud) -> set[str]:
    """Return the states of all servers of all target groups."""
    elb = cloud.client("elbv2")
    return {
        target["TargetHealth"]["State"]
        for group in elb.describe_target_groups()["TargetGroups"]
        for target in elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])[
            "TargetHealthDescriptions"
        ]
    }


def list_rules(cloud: Cloud, port: int) -> int:
    """Return how many rules beside its default the listener on a port has."""
    elb = cloud.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    return sum(
        not rule["IsDefault"]
        for listener in listeners
        if listener["Port"] == port
        for rule in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    )


def test_services_and_redirects_that_go_leave_nothing_stuck(tmp_path: Path, cloud: Cloud) -> None:
    """Each goes in one run, and the next run finds nothing to do.

    The redirect, a service by host name, the last of these, a service by port. A port at which
    another service still serves is refused.
    """
    project = AwsProject.create(tmp_path, cloud)
    project.own |= {"shared_port": SHARED}
    web = {**project.services["web"], "servers": 1, "keep": 0}
    hosts = {name: {**web, "route": {"host": f"{name}.example.com"}} for name in ("one", "two")}
    project.services = {"web": web, **hosts}
    _run(project)
    certificate = cloud.client("acm").request_certificate(DomainName="*.example.com")
    project.own |= {"certificate": certificate["CertificateArn"], "redirect": 8082}
    _run(project)
    assert list_open(cloud) == {PORT, SHARED, 8082}
    del project.own["redirect"]
    _run(project)
    assert list_open(cloud) == {PORT, SHARED}
    _assert_clean(project)
    del project.own["certificate"]
    _run(project)

    project.services["last"] = {**web, "route": {"port": 9000}}
    for name, opened in (("one", {PORT, SHARED, 9000}), ("two", {PORT, 9000})):
        del project.services[name]
        give_up(project, name)
        _assert_clean(project)
        assert list_open(cloud) == opened
    assert list_rules(cloud, SHARED) == 0
    project.services["taker"] = project.services.pop("web")
    project.write_settings()
    with asking(Request(given_up=["web"], others_stay=True)):
        taken = project.run(preview=True)
    taken.assert_failed(f"The port {PORT} still leads to servers of another service")
    del project.services["taker"]
    give_up(project, "web")
    _assert_clean(project)
    project.services["taker"] = web
    _run(project)
    done = project.destroy()
    assert done.code == 0, done.text
    assert project.list_left() == []


def give_up(project: AwsProject, service: str) -> None:
    """Do what `./immutable destroy --service` does once it has asked."""
    urn = f"urn:pulumi:{project.stack}::immutable-servers::{POINTER}::{service}"
    project.pulumi("state", "unprotect", urn, "--yes", "-s", project.stack)
    with asking(Request(given_up=[service], others_stay=True)):
        _run(project)


@contextmanager
def asking(request: Request) -> Iterator[None]:
    """Hand a person's request to the runs of the block, as the driver does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, request.render())
        yield


def _run(project: AwsProject) -> None:
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text


def _assert_clean(project: AwsProject) -> None:
    again = project.run()
    assert (again.code, again.steps, project.count_changes(again)) == (0, [], []), again.text


def list_open(cloud: Cloud) -> set[int]:
    """Return the ports at which the world reaches the balancer."""
    rules = cloud.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
    return {rule["FromPort"] for rule in rules if not rule["IsEgress"] and rule.get("CidrIpv4")}


def test_a_name_that_was_changed_in_the_state_takes_nothing_away(
    tmp_path: Path, cloud: Cloud
) -> None:
    """A listener under another name, or one that is to be replaced, goes on serving."""
    project = AwsProject.create(tmp_path, cloud)
    project.services["web"]["servers"] = 1
    project.write_settings()
    assert project.run().code == 0
    live, address = project.live(), project.find_address().rpartition(":")[0]
    for kind, name in (("aws:lb/listener:Listener", "web"), (AWS_POINTER, "web.8080")):
        urn = f"urn:pulumi:dev::immutable-servers::{kind}::{name}"
        with keep_asking(address, (PORT, "any")) as codes:
            project.run("--replace", urn)
            project.pulumi("state", "rename", urn, f"{name}.old", "--yes", "-s", "dev")
            done = project.run()
        assert done.code == 0, done.text
        assert set(codes[PORT, "any"]) == {200}
        assert project.live() == live
    again = project.run()
    assert (again.code, again.steps) == (0, []), again.text


AWS_POINTER = "pulumi-python:dynamic/immutable-servers:AwsPointer"
