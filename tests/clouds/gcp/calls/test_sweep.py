"""What no stack owns at Google: found by names, labels and words, and everything else stays."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from clouds.shared_tests.sweep import OWNER, Sweep, find, know, sweep
from harness.cloud_world import STACK, WEB
from harness.gcp.cloud import ZONES
from harness.gcp.gcp_world import PLACE, World
from immutable_servers.contract.ownership import Holdings, Leftover, Owner
from immutable_servers.contract.values import Scope
from immutable_servers.targets.cloud import bakes, ends
from immutable_servers.targets.gcp.names import LABELS, MARK, describe, make_labels, make_name

OVER, ALIVE = int(time.time() - 60), int(time.time() + 600)
SOURCE = "projects/debian-cloud/global/images/family/debian-13"
NETWORK = f"{PLACE}/global/networks/default"


def name_bake(end: int, version: str = "a" * 12) -> str:
    """Return the name of what a bake of another machine has made."""
    return f"bake-app-{version}-{'0' * 12}-{end:010}"


def make_instance(world: World, name: str, **more: Any) -> str:  # noqa: ANN401 - the API's own
    """Make an instance in the last zone, with a disk of its name that outlives it."""
    disk = {"boot": True, "initializeParams": {"sourceImage": SOURCE, "diskName": name}}
    body = {
        "name": name,
        "machineType": f"zones/{ZONES[-1]}/machineTypes/e2-small",
        "disks": [disk],
        "networkInterfaces": [{"network": NETWORK}],
        **more,
    }
    world.insert("instances", body, zone=ZONES[-1])
    return name


def make_rule(world: World, name: str, description: str) -> str:
    """Make a firewall."""
    allowed = [{"IPProtocol": "tcp", "ports": ["22"]}]
    body = {"name": name, "description": description, "network": NETWORK, "allowed": allowed}
    world.insert("firewalls", {**body, "sourceRanges": ["203.0.113.7/32"]})
    return name


def list_names(world: World, collection: str, **where: str) -> set[str]:
    """Return the names of the things of a collection."""
    return {one["name"] for one in world.call(collection, "list", **where).get("items", [])}


def test_what_a_killed_bake_left_goes_and_all_else_stays(world: World) -> None:
    """Instance, disk and rule of a bake whose time is over go; no live one's, no other's.

    A thing with a name that only looks like ours proves nothing, and stays too.
    """
    dead, alive = name_bake(OVER), name_bake(ALIVE, "b" * 12)
    others = ("bake-app", f"bake-app-{'c' * 12}-soon", "bakery")
    for name in (dead, alive, *others):
        make_instance(world, name)
        words = {MARK: 1, ends.BAKE: str(ALIVE if name == alive else OVER)}
        make_rule(world, name, json.dumps(words) if name in (dead, alive) else "a rule of mine")
    assert sweep(world, know()) == {f"{kind} {dead}" for kind in ("instance", "disk", "login rule")}
    kept = {alive, *others}
    assert list_names(world, "instances", zone=ZONES[-1]) == kept
    assert list_names(world, "disks", zone=ZONES[-1]) == kept
    assert kept <= list_names(world, "firewalls")
    assert dead not in list_names(world, "firewalls")


def test_a_killed_verification_leaves_no_way_and_no_probe(world: World) -> None:
    """The rule of any stack of ours goes when its window is over, and a probe when its time is."""
    scope = Scope("other", "prod", "api", "aaaaaaaa")
    target, name = world.make_target(), make_name(scope)
    target.access.let_in(name, scope, OVER)
    target.access.let_in(f"{name}-probe-{ALIVE}", scope, ALIVE)
    for end in (OVER, ALIVE):
        words = {ends.PROBE: str(end)}
        labels = make_labels(scope, **words)
        about = describe(scope, **words)
        make_instance(world, f"{name}-probe-{end}", labels=labels, description=about)
    gone = sweep(world, know("api-aaaaaaaa"))
    assert gone == {f"login rule {name}-ssh", f"instance {name}-probe-{OVER}"}
    assert list_names(world, "instances", zone=ZONES[-1]) == {f"{name}-probe-{ALIVE}"}
    assert f"{name}-probe-{ALIVE}-ssh" in list_names(world, "firewalls")


def test_an_update_ends_what_a_killed_one_left_of_its_own_stack(world: World) -> None:
    """Rules and probes of others are left to a sweep."""
    own, other = (
        replace(one, generation="aaaaaaaa") for one in (WEB, Scope("other", "dev", "web"))
    )
    target = world.make_target()
    for scope in (own, other):
        name, words = make_name(scope), {ends.PROBE: str(OVER)}
        target.access.let_in(name, scope, OVER)
        labels = make_labels(scope, **words)
        make_instance(world, f"{name}-probe", labels=labels, description=describe(scope, **words))
    target.ownership.begin_update(OWNER, [])
    assert list_names(world, "instances", zone=ZONES[-1]) == {f"{make_name(other)}-probe"}
    ways = target.access.find_ways(Scope("", ""))
    assert [way.name for way in ways] == [f"{make_name(other)}-ssh"]


def test_what_google_could_not_make_of_an_image_goes(world: World) -> None:
    """One of ours goes; one of our name without labels is only listed, and goes when it is named.

    Whole images and those of others are none of it.
    """
    disk = make_instance(world, "somebody")
    ours, nameless, foreign, whole = (
        f"{begin}-{letter * 12}"
        for begin, letter in zip(("im-app", "im-app", "app", "im-app"), "abcd", strict=True)
    )
    labels = LABELS.write({bakes.BAKE: "app"})
    for name in (ours, nameless, foreign, whole):
        world.cloud.set_manners(images="READY" if name == whole else "FAILED")
        body = {"name": name, "sourceDisk": f"zones/{ZONES[-1]}/disks/{disk}"}
        words = {"labels": labels} if name in (ours, whole) else {}
        world.call("images", "insert", body={**body, **words}, forceCreate=True)
    assert find(world, know()) == {ours: True, nameless: False}
    assert sweep(world, know()) == {f"half artifact {ours}"}
    ownership = world.make_target().ownership
    assert ownership.remove_leftover(Leftover("half artifact", nameless, ""), know())
    for kept in (foreign, whole):
        assert not ownership.remove_leftover(Leftover("half artifact", kept, ""), know())
    assert list_names(world, "images") == {foreign, whole}


@pytest.mark.parametrize("collection", ["healthChecks", "instanceTemplates", "backendServices"])
def test_a_part_that_a_killed_run_made_alone_is_a_fleet_that_goes(
    world: World, collection: str
) -> None:
    """Whatever it is; a thing with our words and another name is somebody's copy, and stays."""
    scope = replace(WEB, generation="dddddddd")
    bodies: Mapping[str, Mapping[str, Any]] = {
        "healthChecks": {"type": "HTTP", "httpHealthCheck": {"port": 80}},
        "instanceTemplates": {
            "properties": {
                "machineType": "e2-small",
                "disks": [{"boot": True, "initializeParams": {"sourceImage": SOURCE}}],
                "networkInterfaces": [{"network": NETWORK}],
            }
        },
        "backendServices": {"loadBalancingScheme": "EXTERNAL_MANAGED"},
    }
    for name in (make_name(scope), "a-copy"):
        body = {"name": name, "description": describe(scope), **bodies[collection]}
        world.insert(collection, body)
    assert sweep(world, know()) == {"fleet project/dev/web-dddddddd"}
    assert "a-copy" in list_names(world, collection)
    assert make_name(scope) not in list_names(world, collection)


class TestSweep(Sweep[World]):
    """The owner is in the labels of the stack's address."""

    longest = 300
    first_word = "immutable-owner-00"

    def put_word(self, world: World, key: str, value: str) -> None:
        """Label the address."""
        found = world.call("globalAddresses", "get", address=make_name(STACK))
        labels = {**found.get("labels", {}), key: value}
        body = {"labels": labels, "labelFingerprint": found["labelFingerprint"]}
        world.call("globalAddresses", "setLabels", resource=make_name(STACK), body=body)

    def find_words(self, world: World) -> Mapping[str, str]:
        """Return its labels."""
        found = world.call("globalAddresses", "get", address=make_name(STACK))
        return dict(found["labels"])


STACK_KINDS = (
    "backendServices",
    "firewalls",
    "globalAddresses",
    "globalForwardingRules",
    "sslCertificates",
    "sslPolicies",
    "targetHttpProxies",
    "urlMaps",
)


def make_ends(world: World, stack: Scope) -> None:
    """Make what a killed destroy leaves of a stack beside its load balancer."""
    scope, words = replace(stack, service="web"), describe(stack)
    domain = {"name": f"{make_name(stack)}-0a1b2c3d", "description": words}
    world.insert("sslCertificates", {**domain, "type": "MANAGED", "managed": {"domains": ["a.b"]}})
    world.insert("sslPolicies", {"name": make_name(stack), "description": words})
    make_rule(world, f"{make_name(scope)}-closed", describe(scope))
    make_account(world, make_name(scope), f"web of {stack.project}/{stack.stack}")


def make_account(world: World, name: str, title: str) -> None:
    """Make a service account."""
    accounts = world.cloud.client("iam").projects().serviceAccounts()
    body = {"accountId": name, "serviceAccount": {"displayName": title}}
    accounts.create(name=PLACE, body=body).execute()


def list_accounts(world: World) -> set[str]:
    """Return the names of the project's service accounts."""
    accounts = world.cloud.client("iam").projects().serviceAccounts()
    found = accounts.list(name=PLACE).execute().get("accounts", ())
    return {one["email"].partition("@")[0] for one in found}


def list_parts(world: World) -> set[str]:
    """Return the names of all that a stack may have beside generations."""
    return {name for kind in STACK_KINDS for name in list_names(world, kind)}


def test_what_a_killed_destroy_left_goes_with_its_state(world: World) -> None:
    """Of a stack that no state holds all goes, in one step; copies and other stacks' things stay.

    What a state holds is left to the next `destroy`.
    """
    world.open_front()
    make_ends(world, STACK)
    other = Scope("project", "prod")
    world.insert("globalAddresses", {"name": make_name(other), "description": describe(other)})
    make_ends(world, other)
    make_rule(world, "a-copy", describe(STACK))
    make_account(world, "somebodys", "web of project/dev")
    owners = world.make_target().ownership
    owners.begin_update(OWNER, [])
    owners.begin_update(replace(OWNER, stack="prod"), [])

    def ask(owner: Owner | None) -> Holdings:
        is_held = owner is not None and owner.stack == "prod"
        return Holdings(names=frozenset(("balancer",) if is_held else ()))

    assert find(world, know()) == {}
    assert sweep(world, ask) == {"stack project/dev"}
    assert {name for name in list_parts(world) if name.startswith("lb-project-dev-")} == set()
    web = (make_name(WEB), make_name(replace(other, service="web")))
    assert {name for name in list_parts(world) if name.startswith("web-")} == {f"{web[1]}-closed"}
    assert "a-copy" in list_parts(world)
    assert list_accounts(world) >= {"somebodys", web[1]}
    assert web[0] not in list_accounts(world)
    assert {make_name(other), f"{make_name(other)}-0a1b2c3d"} <= list_parts(world)


def test_a_stack_that_may_be_somebody_s_stays(world: World) -> None:
    """One whose state cannot be asked is only listed; one that a run makes, or that serves, not."""
    make_ends(world, STACK)
    unasked = Holdings(unasked="its state is elsewhere")
    assert find(world, lambda _owner: unasked) == {"project/dev": False}
    assert find(world, lambda _owner: Holdings(run="unknown")) == {"project/dev": False}
    assert find(world, lambda _owner: Holdings(run="under way")) == {}
    scope = replace(WEB, generation="aaaaaaaa")
    world.make_fleet(scope, 1)
    assert find(world, lambda _owner: Holdings()) == {"project/dev/web-aaaaaaaa": True}
    assert sweep(world, lambda _owner: Holdings()) == {"fleet project/dev/web-aaaaaaaa"}
    assert sweep(world, lambda _owner: Holdings()) == {"stack project/dev"}


def test_an_account_of_the_users_is_never_removed(world: World) -> None:
    """Also where the stack's settings name it for a service of the stack that is gone."""
    make_ends(world, STACK)
    make_account(world, "shared", "web of project/dev")
    address = f"shared@{PLACE.rpartition('/')[2]}.iam.gserviceaccount.com"
    target = world.make_target(service_accounts={"web": address})
    (found,) = target.ownership.find_leftovers(lambda _owner: Holdings())
    assert target.ownership.remove_leftover(found, lambda _owner: Holdings())
    assert list_accounts(world) == {"shared"}
