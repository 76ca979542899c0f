"""`doctor` on an emulated account: key, service-linked roles, ways in, profiles, lock."""

import json
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from harness.aws.aws_world import make_target
from harness.aws.doctor import Doctor, make_demand, start_doctor
from immutable_servers.errors import LaunchError
from immutable_servers.targets.aws.policies import read_statements
from immutable_servers.targets.aws.readiness import CHECKS, ways
from immutable_servers.targets.aws.readiness.keys import LINKED, USES, read_policy
from immutable_servers.targets.aws.readiness.ways import trusts_ec2

ACCOUNT = "123456789012"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
CALLER = f"arn:aws:iam::{ACCOUNT}:role/ci/deployer"
PATH = "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
SCALING = f"arn:aws:iam::{ACCOUNT}:{PATH}"
POLICY = "AmazonSSMManagedInstanceCore"


@pytest.fixture
def doctor() -> Iterator[Doctor]:
    """Yield an emulated account."""
    with start_doctor() as doctor:
        yield doctor


def allow(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a statement of a key's policy."""
    return {
        "Effect": "Allow",
        "Principal": principal,
        "Action": [*actions],
        "Resource": "*",
        **more,
    }


def make_key(doctor: Doctor, *statements: dict[str, Any], **more: Any) -> str:  # noqa: ANN401
    """Make a key with a policy; return its ARN."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": [*statements]})
    usual = {"KeyUsage": "ENCRYPT_DECRYPT"}  # moto leaves AWS's default empty
    made = doctor.world.client("kms").create_key(Policy=policy, **{**usual, **more})
    return str(made["KeyMetadata"]["Arn"])


def make_linked_roles(doctor: Doctor) -> None:
    """Make the service-linked roles, as a first group and a first balancer do."""
    for name, service in LINKED.items():
        path = f"/aws-service-role/{service}/"
        doctor.world.client("iam").create_role(
            RoleName=name, Path=path, AssumeRolePolicyDocument="{}"
        )


def make_profile(doctor: Doctor, name: str, service: str = "ec2", *policies: str) -> None:
    """Make an instance profile with a role that a service may assume."""
    iam = doctor.world.client("iam")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    for policy in policies:
        rights = {"Effect": "Allow", "Action": "ssm:UpdateInstanceInformation", "Resource": "*"}
        text = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
        made = iam.create_policy(PolicyName=policy, PolicyDocument=text)
        iam.attach_role_policy(RoleName=name, PolicyArn=made["Policy"]["Arn"])


def test_a_key_that_can_be_used(doctor: Doctor) -> None:
    """It exists in the region, is enabled, and of the right kind; without one no line is there."""
    assert doctor.ask("key") == []
    arn = make_key(doctor, allow({"AWS": ROOT}, "kms:*"))
    key, *_ = doctor.ask("key", kms_key=arn)
    assert (key.status, key.found) == ("ok", f"{arn}, enabled")
    doctor.world.client("kms").disable_key(KeyId=arn.rpartition("/")[2])
    key, *_ = doctor.ask("key", kms_key=arn)
    assert (key.status, key.found) == ("not ok", f"{arn}: Disabled")
    key, *_ = doctor.ask("key", kms_key=f"{arn[:-4]}0000")
    assert key.found.startswith("KMS has no such key in eu-central-1")
    key, *_ = doctor.ask("key", kms_key=arn.replace("eu-central-1", "us-east-1"))
    assert key.found.startswith("it is in us-east-1, the servers in eu-central-1")
    kind = {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}
    key, *_ = doctor.ask("key", kms_key=make_key(doctor, allow({"AWS": ROOT}, "kms:*"), **kind))
    assert "symmetric" in key.todo


def test_who_may_use_a_key(doctor: Doctor) -> None:
    """Caller and Auto Scaling have a line each; IAM decides for the caller alone."""
    arn = make_key(doctor, allow({"AWS": ROOT}, "kms:*"))
    caller, scaling = doctor.ask("key's policy", kms_key=arn)
    assert (caller.status, caller.found) == ("not ok", f"missing: {', '.join(USES)}")
    assert scaling.found == "AWSServiceRoleForAutoScaling does not exist yet"
    assert "create-service-linked-role" in scaling.todo
    make_linked_roles(doctor)
    allowing = {"Effect": "Allow", "Action": ["kms:*"], "Resource": "*"}
    doctor.account.statements = [*doctor.account.statements, allowing]
    caller, scaling = doctor.ask("key's policy", kms_key=arn)
    assert (caller.status, caller.found) == ("ok", f"policies of IAM allow {CALLER}")
    assert scaling.found == "neither policy nor grant names AWSServiceRoleForAutoScaling"
    doctor.world.client("kms").create_grant(
        KeyId=arn, GranteePrincipal=SCALING, Operations=["Decrypt", "CreateGrant"]
    )
    assert [one.status for one in doctor.ask("key's policy", kms_key=arn)] == ["ok", "ok"]
    doctor.denied = {"SimulatePrincipalPolicy"}
    caller, _ = doctor.ask("key's policy", kms_key=arn)
    assert caller.status == "not known"
    assert doctor.ask("key's policy") == []


def test_a_key_of_another_account(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its policy cannot be read; the way out says what this account has to grant."""
    make_linked_roles(doctor)
    arn = make_key(doctor, allow({"AWS": ROOT}, "kms:*"))
    monkeypatch.setattr("moto.kms.models.Key.to_dict", _make_foreign())
    line = doctor.see("key's policy", kms_key=arn)
    assert line.status == "not known"
    assert f"--grantee-principal {SCALING}" in line.todo


def _make_foreign() -> Any:  # noqa: ANN401 - a method of moto's
    from moto.kms.models import Key  # noqa: PLC0415 - after the emulation has begun

    original = Key.to_dict

    def to_dict(key: Any) -> dict[str, Any]:  # noqa: ANN401
        answer: dict[str, Any] = original(key)
        answer["KeyMetadata"]["AWSAccountId"] = "210987654321"
        return answer

    return to_dict


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ([allow({"AWS": CALLER}, *USES)], "named"),
        ([allow({"AWS": [CALLER]}, "kms:*")], "named"),
        ([allow("*", "kms:*")], "named"),
        ([allow({"AWS": ROOT}, "kms:*")], "by IAM"),
        ([allow("*", "kms:*", Condition={"StringEquals": {}})], "under a condition"),
        ([allow({"AWS": CALLER}, "kms:Decrypt")], "no"),
        (
            [
                allow({"AWS": CALLER}, *USES[1:]),
                allow({"AWS": CALLER}, USES[0], Condition={"Bool": {}}),
            ],
            "named",
        ),
        ([{**allow({"AWS": CALLER}, "kms:*"), "Effect": "Deny"}], "no"),
    ],
)
def test_reading_a_keys_policy(statements: Sequence[dict[str, Any]], said: str) -> None:
    """Statements for a principal, for everybody, and for the account's root are told apart."""
    assert read_policy(statements, CALLER, ACCOUNT, USES) == said


def test_service_linked_roles(doctor: Doctor) -> None:
    """The first `up` makes them: their absence is worth a word."""
    line = doctor.see("service-linked roles")
    assert line.status == "note"
    assert line.todo.count("create-service-linked-role") == 2
    make_linked_roles(doctor)
    assert doctor.status("service-linked roles") == "ok"


def test_the_way_to_servers(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it needs on this machine is there, and verify_from has this machine's address."""
    monkeypatch.setattr(ways, "find_verifier", lambda: "203.0.113.7/32")
    what = "way to servers"
    assert doctor.see(what, verify_from=[]).found == "public, from 203.0.113.7/32"
    assert doctor.status(what, verify_from=["10.0.0.0/8", "203.0.113.0/24", "::/0"]) == "ok"
    line = doctor.see(what, verify_from=["10.0.0.0/8"])
    assert (line.status, line.todo[:19]) == ("not ok", "Add 203.0.113.7/32 ")
    assert doctor.status(what, verify_through="private") == "ok"
    monkeypatch.setenv("PATH", str(tmp_path))
    line = doctor.see(what, verify_through="ssm", instance_profile="web")
    assert (line.status, "session-manager-plugin" in line.found) == ("not ok", True)
    file = tmp_path / "config"
    assert doctor.status(what, verify_through="ssh_config", ssh_config=str(file)) == "not ok"
    file.write_text("")
    assert doctor.status(what, verify_through="ssh_config", ssh_config=str(file)) == "ok"


def test_an_address_that_cannot_be_found(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails where nobody is named who may log in, and else it is not known."""

    def find() -> str:
        raise LaunchError("no address", todo="Name it.")

    monkeypatch.setattr(ways, "find_verifier", find)
    assert doctor.status("way to servers", verify_from=[]) == "not ok"
    assert doctor.status("way to servers", verify_from=["203.0.113.7/32"]) == "not known"


def test_a_log_group_has_to_be_there(doctor: Doctor) -> None:
    """By its whole name; without the setting nothing is asked."""
    wanted: dict[str, Any] = {"instance_profile": "web", "logs": {"group": "/servers/web"}}
    doctor.world.client("logs").create_log_group(logGroupName="/servers/web-of-others")
    line = doctor.see("log group", **wanted)
    assert (line.status, line.found) == (
        "not ok",
        "there is no log group /servers/web in eu-central-1",
    )
    doctor.world.client("logs").create_log_group(logGroupName="/servers/web")
    assert doctor.status("log group", **wanted) == "ok"
    assert not doctor.ask("log group")


@pytest.mark.parametrize("what", ["servers' profile", "bakes' profile"])
def test_instance_profiles(doctor: Doctor, what: str) -> None:
    """It exists, its role is EC2's and has Session Manager's policy, and we may pass it on."""
    ours = {"servers' profile": "instance_profile", "bakes' profile": "build_instance_profile"}
    through = {"servers' profile": "verify_through", "bakes' profile": "build_through"}

    def see(name: str) -> dict[str, Any]:
        settings: dict[str, Any] = {ours[what]: name, through[what]: "ssm"}
        return {line.what.removeprefix(what): line for line in doctor.ask(what, **settings)}

    assert doctor.ask(what) == []
    assert see("none")[""].found == "there is no instance profile none"
    doctor.world.client("iam").create_instance_profile(InstanceProfileName="empty")
    assert see("empty")[""].found == "empty holds no role"
    make_profile(doctor, "other", "lambda")
    assert see("other")[""].found == "other: the role other is not EC2's"
    make_profile(doctor, "plain")
    assert see("plain")[""].status == "note"
    assert see("plain")[" passed on"].found == "missing: iam:PassRole"
    make_profile(doctor, "whole", "ec2", POLICY)
    passing = {
        "Action": ["iam:PassRole"],
        "Resource": "*",
        "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    }
    doctor.account.statements = [*doctor.account.statements, passing]
    assert [line.status for line in see("whole").values()] == ["ok", "ok"]
    doctor.denied = {"SimulatePrincipalPolicy"}
    assert see("whole")[" passed on"].status == "not known"
    assert trusts_ec2({"Statement": {"Effect": "Deny", "Principal": {}}}) is False


def test_a_profile_without_session_manager(doctor: Doctor) -> None:
    """Where nothing goes through Session Manager its policy is not asked for."""
    make_profile(doctor, "plain")
    line, _ = doctor.ask("servers' profile", instance_profile="plain")
    assert (line.status, line.found) == ("ok", "plain, role plain")


def test_the_locks_amis(doctor: Doctor) -> None:
    """The AMI of the region is in the lock, and exists."""
    ami = doctor.world.client("ec2").describe_images(Owners=["amazon"])["Images"][0]
    starts = {"base": {"amis": {"eu-central-1": ami["ImageId"]}}}
    (line,) = doctor.ask("lock", make_demand(starts=starts))
    assert (line.what, line.status) == ("lock of base", "ok")
    assert line.found == f"{ami['ImageId']}, {ami['Name']}"
    (line,) = doctor.ask("lock", make_demand(starts={"base": {"amis": {"eu-central-1": "ami-9"}}}))
    assert (line.status, line.found) == ("not ok", "ami-9 does not exist any more")
    (line,) = doctor.ask("lock", make_demand(starts={"base": {"amis": {}}}))
    assert line.found == "the lock names no AMI in eu-central-1"
    assert line.todo == "Run ./immutable update base --stack dev."


def test_nothing_is_made(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole `doctor`, also one that may simulate nothing, reads what its two policies allow."""
    policies = [*read_statements("preview"), *read_statements("doctor")]
    allowed = {action for one in policies for action in one["Action"]}
    reading = ("Describe", "Get", "List", "Simulate")
    assert all(one.partition(":")[2].startswith(reading) for one in allowed)
    monkeypatch.setattr(ways, "find_verifier", lambda: "203.0.113.7/32")
    key = make_key(doctor, allow({"AWS": ROOT}, "kms:*"))
    make_profile(doctor, "web")
    settings: dict[str, Any] = {"kms_key": key, "logs": {"group": "/immutable-servers/web"}}
    settings |= {"instance_profile": "web", "build_instance_profile": "web"}
    for denied in (set[str](), {"SimulatePrincipalPolicy"}):
        doctor.denied = denied
        doctor.called.clear()
        lines = make_target(**settings).readiness.find_readiness(make_demand())
        assert {*CHECKS} - {one.what for one in lines} == {"key's policy", "lock"}
        assert all(one.todo or one.status == "ok" for one in lines)
        changing = {
            action
            for action, given in doctor.called
            if not any(fnmatchcase(action, one) for one in allowed) and not given.get("DryRun")
        }
        assert changing == set()
