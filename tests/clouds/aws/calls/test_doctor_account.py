"""`doctor` on an emulated account: credentials, permissions, plan and quotas."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.aws.aws_world import make_target
from harness.aws.doctor import Doctor, make_demand, start_doctor
from harness.cloud_world import WEB
from immutable_servers.contract.readiness import Finding
from immutable_servers.targets.aws.policies import read_statements
from immutable_servers.targets.aws.readiness import CHECKS
from immutable_servers.targets.aws.readiness.credentials import judge_time
from immutable_servers.targets.aws.readiness.quotas import Need, find_class, judge
from immutable_servers.targets.aws.readiness.simulation import expand, list_requests, make_example

NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC).timestamp()


@pytest.fixture
def doctor() -> Iterator[Doctor]:
    """Yield an emulated account."""
    with start_doctor() as doctor:
        yield doctor


def test_who_we_are(doctor: Doctor) -> None:
    """Account and ARN are said, how long the credentials hold, and that the region is enabled."""
    who, time = doctor.ask("credentials")
    assert who.found.startswith("account 123456789012, arn:aws:sts::")
    assert (time.what, time.status) == ("credentials' time", "ok")
    assert doctor.see("region") == Finding("region", "ok", "eu-central-1 is enabled")


def test_nothing_is_asked_without_credentials(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile that there is not, and credentials that have expired, are one line each."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    target = make_target(profile="prod")
    (line,) = target.readiness.find_readiness(make_demand())
    assert (line.what, line.status) == ("credentials", "not ok")
    assert "profile (prod) could not be found" in line.found
    assert "AWS_PROFILE" in line.todo
    doctor.codes["GetCallerIdentity"] = "ExpiredToken"
    (line,) = make_target().readiness.find_readiness(make_demand())
    assert line.found.startswith("The AWS credentials have expired")
    assert "aws sso login" in line.todo


def test_a_region_that_is_not_enabled(doctor: Doctor) -> None:
    """Its own endpoint knows no credentials of the account; EC2 elsewhere says why."""
    lines = doctor.ask("region", region="ap-east-1")
    assert [line.status for line in lines] == ["not ok"]
    assert "not-opted-in" in lines[0].found


@pytest.mark.parametrize(
    ("minutes", "method", "token", "status", "found"),
    [
        (None, "env", None, "ok", "a long-lived key, without an end"),
        (None, "env", "x", "note", "unknown: nothing says when they end"),
        (None, "sso", "x", "ok", "sso: renewed while its session lasts"),
        (150, "env", "x", "ok", "150 min, until 14:30 UTC"),
        (12, "env", "x", "note", "12 min, until 12:12 UTC"),
    ],
)
def test_how_long_credentials_hold(
    minutes: int | None, method: str, token: str | None, status: str, found: str
) -> None:
    """Less than an hour is worth a word; what nothing says is said to be unknown."""
    end = None if minutes is None else NOW + minutes * 60
    line = judge_time(end, method, token, NOW)
    assert (line.status, line.found) == (status, found)
    assert bool(line.todo) == (status != "ok")


@pytest.mark.parametrize("role", ["preview", "bake", "deploy"])
def test_each_role_is_simulated(doctor: Doctor, role: str) -> None:
    """Whoever has the files' policies is told so; of a role with a path, by its own ARN."""
    line = doctor.see(f"permissions: {role}")
    assert line.status == "ok"
    assert line.found.endswith("arn:aws:iam::123456789012:role/ci/deployer")
    named = {one for each in read_statements(role) for one in each["Action"] if "*" not in one}
    assert named <= {*doctor.account.simulated}


def test_a_missing_permission_is_named(doctor: Doctor) -> None:
    """What a policy lacks is named, and which file has it."""
    lacking = [
        {**one, "Action": [each for each in one["Action"] if each != "ec2:RunInstances"]}
        for one in doctor.account.statements
    ]
    doctor.account.statements = lacking
    line = doctor.see("permissions: bake")
    assert (line.status, line.found) == ("not ok", "missing: ec2:RunInstances")
    assert line.todo.startswith("Put bake.json")
    doctor.account.statements = read_statements("preview")
    assert doctor.status("permissions: preview") == "ok"
    assert " more" in doctor.see("permissions: deploy").found


def test_without_simulation_ec2_is_asked_by_dry_runs(doctor: Doctor) -> None:
    """What they allow is said, the rest cannot be asked; what they refuse is missing."""
    doctor.denied = {"SimulatePrincipalPolicy", "GetRole"}
    ami = doctor.world.client("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    demand = make_demand(starts={"base": {"amis": {"eu-central-1": ami}}})
    line = doctor.see("permissions: bake", demand)
    assert line.status == "not known"
    assert "ec2:RunInstances" in line.found
    assert line.todo == "needs iam:SimulatePrincipalPolicy and iam:GetRole"
    tried = [given for name, given in doctor.called if given.get("DryRun")]
    assert len(tried) == 3
    assert doctor.world.client("ec2").describe_key_pairs()["KeyPairs"] == []
    line = doctor.see("permissions: preview")
    assert (line.status, line.found) == ("not known", "all of it cannot be asked")
    doctor.denied.add("CreateLaunchTemplate")
    line = doctor.see("permissions: deploy", demand)
    assert line.found == "missing: ec2:CreateLaunchTemplate, by a dry run"


def test_root_and_strangers(doctor: Doctor) -> None:
    """The account's root needs no policy and is not for use; an unknown role cannot be asked."""
    doctor.account.caller = "arn:aws:iam::123456789012:root"
    assert doctor.status("permissions: deploy") == "note"
    doctor.account.caller = "arn:aws:sts::123456789012:assumed-role/gone/session"
    doctor.codes["SimulatePrincipalPolicy"] = "NoSuchEntity"
    assert "IAM does not know" in doctor.see("permissions: deploy").found


def test_what_is_asked_of_iam() -> None:
    """One request for each value of a condition, no wildcards, and a variable as it is."""
    statement = {
        "Effect": "Allow",
        "Action": ["ec2:CreateTags", "elasticloadbalancing:Describe*"],
        "Resource": "arn:aws:ec2:*:*:instance/*",
        "Condition": {
            "StringEquals": {"ec2:CreateAction": ["RunInstances", "CreateVolume"]},
            "StringLike": {"aws:ResourceTag/owner": "${aws:userid}"},
        },
    }
    denial = {"Effect": "Deny", "Action": ["ec2:*"], "Resource": "*"}
    first, second = list_requests([statement, denial], "eu-central-1", "123456789012", "AROA:me")
    assert first.actions == ["ec2:CreateTags", "elasticloadbalancing:DescribeTags"]
    assert first.resource == "arn:aws:ec2:eu-central-1:123456789012:instance/x"
    assert first.context == {
        "ec2:CreateAction": ["RunInstances"],
        "aws:ResourceTag/owner": ["AROA:me"],
        "aws:userid": ["AROA:me"],
    }
    assert second.context["ec2:CreateAction"] == ["CreateVolume"]
    assert expand("nothing:Get") == ["nothing:Get"]
    assert make_example("*", "", "") == "*"


def test_quota_of_vcpus(doctor: Doctor) -> None:
    """A new account's 5 do not hold live, candidate and bake; the way to more is said."""
    line = doctor.see("quota of vCPUs")
    assert line.found == (
        "64 allowed, 0 used by others, 14 wanted: web 6 x t3.small = 12, bake t3.large = 2"
    )
    assert line.status == "ok"
    doctor.account.quotas["L-1216C47A"] = 5
    line = doctor.see("quota of vCPUs")
    assert line.status == "not ok"
    assert "--quota-code L-1216C47A --desired-value 14" in line.todo
    assert "A new account often has no more" in line.todo


def test_what_the_stack_has_is_not_wanted_twice(doctor: Doctor) -> None:
    """Servers of its own are part of what it wants; those of others are not, spot ones neither."""
    doctor.world.make_balancer()
    doctor.world.make_fleet(replace(WEB, generation="3f2a9c41"))
    assert doctor.see("quota of vCPUs").found.startswith("64 allowed, 0 used by others, 14 wanted")
    assert doctor.see("addresses").found.endswith("5 more wanted at most with a bake")
    assert "500 Auto Scaling groups allowed, 0 of others" in doctor.see("quota of groups").found
    line = doctor.see("quotas of balancers")
    assert "application-load-balancers: 1 of 20, target-groups: 3 of 3000" in line.found
    other = replace(make_demand(), scope=replace(WEB, stack="other", service=""))
    assert doctor.see("quota of vCPUs", other).found.startswith("64 allowed, 4 used by others")
    assert "500 Auto Scaling groups allowed, 1 of others" in (
        doctor.see("quota of groups", other).found
    )


def test_an_unreadable_quota_is_no_failure(doctor: Doctor) -> None:
    """What is wanted is said all the same, and which permission is missing."""
    doctor.denied = {"GetServiceQuota"}
    line = doctor.see("quota of vCPUs")
    assert line.status == "not known"
    assert line.found.startswith("14 wanted: ")
    assert line.todo.startswith("needs servicequotas:GetServiceQuota")
    line = doctor.see("quota of rules")
    assert (line.status, line.todo) == ("not known", "needs servicequotas:GetServiceQuota")


@pytest.mark.parametrize(
    ("quota", "status", "todo"),
    [(20, "ok", ""), (15, "note", "Standbys do not fit"), (9, "not ok", "Fewer or smaller")],
)
def test_judging_a_quota(quota: float, status: str, todo: str) -> None:
    """Standbys that do not fit are worth a word; a candidate that does not fit is a failure."""
    line = judge(
        "quota", "L-1", "eu-central-1", quota, Need(others=4, first=10, most=14, parts="all")
    )
    assert line.status == status
    assert line.todo.startswith(todo)


@pytest.mark.parametrize(
    ("kind", "group"),
    [
        ("t3.small", "standard"),
        ("im4gn.large", "standard"),
        ("g5.xlarge", "g"),
        ("vt1.3xlarge", "g"),
        ("inf2.xlarge", "inf"),
        ("trn1.2xlarge", "trn"),
        ("u7i-6tb.112xlarge", "u"),
        ("x2idn.16xlarge", "x"),
    ],
)
def test_classes_of_quotas(kind: str, group: str) -> None:
    """Each family counts in the class that AWS lists it in."""
    assert find_class(kind) == group


def test_quotas_of_balancers_groups_and_rules(doctor: Doctor) -> None:
    """What would be too much is named with its numbers."""
    assert doctor.status("quotas of balancers") == "ok"
    many = make_demand(keep=98)
    assert "rules-per-application-load-balancer: 100 of 100" in (
        doctor.see("quotas of balancers", many).found
    )
    line = doctor.see("quotas of balancers", make_demand(keep=99))
    assert (line.status, line.found) == (
        "not ok",
        "rules-per-application-load-balancer: 101 of 100",
    )
    assert doctor.status("quota of groups") == "ok"
    doctor.account.groups = 2
    assert doctor.status("quota of groups") == "not ok"
    ranges = [f"10.0.{one}.0/24" for one in range(60)]
    assert doctor.status("quota of rules", allow_from=[*ranges, "fd00::/8"]) == "ok"
    assert doctor.status("quota of rules", allow_from=[*ranges, "10.1.0.0/16"]) == "not ok"


def test_the_free_plan(doctor: Doctor) -> None:
    """It launches what is eligible alone, and ends; a paid account has neither."""
    assert doctor.see("account's plan").found == "paid"
    doctor.account.plan = "FREE"
    line = doctor.see("account's plan")
    assert line.status == "not ok"
    assert "does not launch" in line.found
    assert "t3.large" in line.found
    assert "Upgrade" in line.todo
    line = doctor.see("account's plan", build_size="t3.small")
    assert line.status == "note"


def test_a_preview_role_is_enough(doctor: Doctor) -> None:
    """With preview.json alone what may not be asked is `not known`, and fails nothing."""
    allowed = [one for each in read_statements("preview") for one in each["Action"]]
    assert not any(one.startswith(("iam:", "acm:", "kms:", "servicequotas:")) for one in allowed)
    doctor.denied = {
        "DescribeCertificate",
        "DescribeKey",
        "DescribeLogGroups",
        "GetAccountPlanState",
        "GetInstanceProfile",
        "GetRole",
        "GetServiceQuota",
        "SimulatePrincipalPolicy",
    }
    arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    settings: dict[str, Any] = {"certificate": arn, "kms_key": "alias/x"}
    settings |= {"instance_profile": "web"}
    settings |= {"build_instance_profile": "bake"}
    refused = ("certificate", "key", "key's policy", "account's plan", "servers' profile")
    settings |= {"logs": {"group": "/immutable-servers/web"}}
    for what in (*refused, "bakes' profile", "service-linked roles", "log group"):
        line = doctor.see(what, **settings)
        assert (line.status, line.found) == ("not known", "cannot be asked"), line
        assert line.todo.startswith("needs ")
    assert {*refused} <= {*CHECKS}


def test_a_fault_of_one_check_hides_no_other(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that nobody expected is that check's line, not a traceback."""
    monkeypatch.setattr(
        "immutable_servers.targets.aws.readiness.quotas.find_class", lambda _: 1 / 0
    )
    line = doctor.see("quota of vCPUs")
    assert (line.status, line.found) == ("not known", "ZeroDivisionError: division by zero")
