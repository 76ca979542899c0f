"""What no stack owns at DigitalOcean: found by tags and names, and everything else stays."""

import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from clouds.shared_tests.sweep import OWNER, Sweep, find, know, sweep
from harness.cloud_world import STACK, WEB
from harness.digitalocean.cloud import REGION
from harness.digitalocean.do_world import OUTWARD, World
from immutable_servers.contract.ownership import Holdings, Owner
from immutable_servers.contract.values import Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.digitalocean.names import (
    PREFIX,
    PROBING,
    list_whose,
    make_name,
    make_tag,
    tag_live,
    tag_reserved,
    tag_service,
    tag_window,
)

OVER, ALIVE = int(time.time() - 60), int(time.time() + 600)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"


def name_bake(end: int, version: str = "a" * 12) -> str:
    """Return the name of what a bake of another machine has made."""
    return f"bake-app-{version}-{'0' * 12}-{end:010}"


def make_droplet(world: World, name: str, *tags: str) -> int:
    """Make a droplet of DigitalOcean's own image."""
    body = {"name": name, "region": REGION, "size": "s-1vcpu-1gb", "image": "debian-13-x64"}
    made = world.call("POST", "droplets", {**body, "tags": [*tags]})["droplet"]
    return int(made["id"])


def make_firewall(world: World, name: str, *tags: str) -> None:
    """Make a firewall for what has tags."""
    for tag in tags:
        world.call("POST", "tags", {"name": tag})
    words = {"inbound_rules": [], "outbound_rules": OUTWARD}
    world.call("POST", "firewalls", {"name": name, "tags": [*tags], **words})


def make_bake(world: World, name: str) -> None:
    """Make what a bake has at its end: droplet, snapshot, firewall, key and tag."""
    droplet = make_droplet(world, name, name)
    make_firewall(world, name, name)
    words = {"name": name, "public_key": f"{KEY}{name.encode().hex()[:40].ljust(40, 'A')}"}
    world.call("POST", "account/keys", words)
    world.call("POST", f"droplets/{droplet}/actions", {"type": "snapshot", "name": name})


def list_names(world: World, kind: str) -> set[str]:
    """Return the names of the things of a kind."""
    found = world.call("GET", f"{'account/keys' if kind == 'ssh_keys' else kind}?per_page=200")
    return {one["name"] for one in found[kind]}


def test_what_a_killed_bake_left_goes_and_all_else_stays(world: World) -> None:
    """All of a bake whose time is over goes; no live one's, and nothing that only looks like it."""
    dead, alive = name_bake(OVER), name_bake(ALIVE, "b" * 12)
    others = ("bake-app", f"bake-app-{'c' * 12}-soon", "bakery")
    for name in (dead, alive):
        make_bake(world, name)
    for name in others:
        make_droplet(world, name, "bake-ends")
    kinds = ("droplet", "snapshot", "login rule", "key")
    gone = {*(f"{kind} {dead}" for kind in kinds), f"tag {dead}"}
    assert sweep(world, know()) == gone
    assert list_names(world, "droplets") == {alive, *others}
    for kind in ("ssh_keys", "images"):
        assert {one for one in list_names(world, kind) if "bake" in one} == {alive}
    assert alive in list_names(world, "firewalls")
    assert dead not in list_names(world, "firewalls")
    assert {alive, "bake-ends"} <= list_names(world, "tags")


def make_probe(world: World, scope: Scope, end: int) -> str:
    """Make the droplet that a verification probes with, and its firewall."""
    name, own = f"{make_name(scope)}-probe-{end}", make_tag(ends.PROBE, scope, str(end))
    tags = [own, tag_window(scope, end), *list_whose(scope, PROBING)]
    make_firewall(world, name, *tags)
    make_droplet(world, name, *tags)
    return name


def test_a_killed_verification_leaves_no_way_and_no_probe(world: World) -> None:
    """Those of any stack of ours go when their time is over."""
    scope = Scope("other", "prod", "api", "aaaaaaaa")
    over, alive = (make_probe(world, scope, end) for end in (OVER, ALIVE))
    assert sweep(world, know("api-aaaaaaaa")) == {f"droplet {over}", f"login rule {over}"}
    assert list_names(world, "droplets") == {alive}
    assert {one for one in list_names(world, "firewalls") if "probe" in one} == {alive}


def test_an_update_ends_what_a_killed_one_left_of_its_own_stack(world: World) -> None:
    """Rules and probes of others are left to a sweep."""
    own, other = (
        make_probe(world, replace(one, generation="aaaaaaaa"), OVER)
        for one in (WEB, Scope("other", "dev", "web"))
    )
    world.make_target().ownership.begin_update(OWNER, [])
    assert list_names(world, "droplets") == {other}
    assert own not in list_names(world, "firewalls")
    assert other in list_names(world, "firewalls")


def test_a_generation_of_which_only_tags_are_left_goes(world: World) -> None:
    """Tags outlive droplets; copies of some of them say nothing."""
    scope = replace(WEB, generation="dddddddd")
    for tag in list_whose(scope):
        world.call("POST", "tags", {"name": tag})
    copied = f"{list_whose(scope)[0]}x"
    world.call("POST", "tags", {"name": copied.replace(make_name(scope), "web-copy")})
    assert sweep(world, know()) == {"fleet project/dev/web-dddddddd"}
    assert world.find_left(scope) == []
    assert any("web-copy" in tag for tag in list_names(world, "tags"))


class TestSweep(Sweep[World]):
    """The owner is in tags that no resource has."""

    longest = 300
    first_word = f"{PREFIX}owner-00"

    def put_word(self, world: World, key: str, value: str) -> None:
        """Make a tag about the stack."""
        for tag in list_names(world, "tags"):
            if tag.startswith(f"{key}:"):
                world.call("DELETE", f"tags/{tag}")
        world.call("POST", "tags", {"name": f"{key}:{make_name(STACK)}:{value}"})

    def find_words(self, world: World) -> Mapping[str, str]:
        """Return the last part of all tags."""
        parts = (tag.rpartition(f":{make_name(STACK)}:") for tag in list_names(world, "tags"))
        return {key: value for key, _, value in parts}


def make_other(world: World) -> Scope:
    """Make another stack's service with a reserved address, and its owner."""
    other = Scope("project", "prod", "web")
    world.make_balancer(other)
    world.call("POST", "tags", {"name": make_tag("stack", other.of_stack)})
    world.make_target().ownership.begin_update(replace(OWNER, stack="prod"), [])
    return other


def test_what_a_killed_destroy_left_goes_with_its_state(world: World) -> None:
    """Of a stack that no state holds all goes, in one step; other stacks' things and copies stay.

    What a state holds is left to the next `destroy`.
    """
    other = make_other(world)
    address = world.call("POST", "reserved_ips", {"region": REGION})["reserved_ip"]["ip"]
    world.call("POST", "tags", {"name": tag_reserved(WEB, address)})
    world.make_target().ownership.begin_update(OWNER, [])
    make_firewall(world, "a-copy", tag_service(WEB))

    def ask(owner: Owner | None) -> Holdings:
        is_held = owner is not None and owner.stack == "prod"
        return Holdings(names=frozenset(("balancer",) if is_held else ()))

    assert find(world, know()) == {}
    assert sweep(world, ask) == {"stack project/dev"}
    assert list_names(world, "load_balancers") == {make_name(other)}
    assert list_names(world, "firewalls") == {make_name(other), "a-copy"}
    assert world.find_all("reserved_ips") == []
    left = [tag for tag in list_names(world, "tags") if tag.startswith(PREFIX)]
    names = {make_name(other), make_name(other.of_stack)}
    assert {tag.split(":")[2] for tag in left} == names


def test_a_balancer_of_the_same_name_that_other_tags_point_stays(world: World) -> None:
    """Names are not unique: only what our tags point is ours."""
    world.make_target().ownership.begin_update(OWNER, [])
    found = world.find_balancer()
    world.cloud.put("load_balancers", found["id"], {"tag": "mine"})
    assert sweep(world, lambda _owner: Holdings()) == {"stack project/dev"}
    assert list_names(world, "load_balancers") == {make_name(WEB)}


def test_a_stack_that_may_be_somebody_s_stays(world: World) -> None:
    """One whose state cannot be asked is only listed; one that a run makes, or that serves, not.

    A droplet that somebody has tagged by hand keeps its way.
    """
    world.make_target().ownership.begin_update(OWNER, [])
    assert find(world, lambda _owner: Holdings(unasked="elsewhere")) == {"project/dev": False}
    assert find(world, lambda _owner: Holdings(run="unknown")) == {"project/dev": False}
    assert find(world, lambda _owner: Holdings(run="under way")) == {}
    world.make_fleet(replace(WEB, generation="aaaaaaaa"), 1)
    assert find(world, lambda _owner: Holdings()) == {"project/dev/web-aaaaaaaa": True}
    assert sweep(world, lambda _owner: Holdings()) == {"fleet project/dev/web-aaaaaaaa"}
    strange = make_droplet(world, "somebody-s", tag_live(WEB))
    ownership = world.make_target().ownership
    (found,) = ownership.find_leftovers(lambda _owner: Holdings())
    with pytest.raises(TrafficError, match="traffic still takes it") as caught:
        ownership.remove_leftover(found, lambda _owner: Holdings())
    assert caught.value.facts == ("droplet somebody-s",)
    world.call("DELETE", f"droplets/{strange}")
    assert sweep(world, lambda _owner: Holdings()) == {"stack project/dev"}
