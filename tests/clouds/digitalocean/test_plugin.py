"""The `digitalocean` plugin on the emulated account, with a program of its own.

It is the stand-in's test; with the official plugin on the machine the same is asked of that. What
it does where it hurts was measured with the official one: the notes on each function say what.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clouds.digitalocean.emulation.calls import TEST
from clouds.digitalocean.emulation.places import DEBIAN
from harness.cloud_checkout import PlainProject
from harness.digitalocean.cloud import REGION, Cloud

TYPES = 6
"""So many resources the plain program has."""
OUTSIDE = "finance"
READING = ("get", "list")
STAYS = ("*", "tags")
"""What our own program ignores of a droplet, in so far as the plain one declares it."""

Project = PlainProject[Cloud]


def test_create_update_replace_refresh_adopt_and_delete(tmp_path: Path, cloud: Cloud) -> None:
    """Each operation is carried out on the API, in place or by replacement as upstream does."""
    project = Project.create(tmp_path, cloud, image=DEBIAN, region=REGION)
    _preview(project)
    _create(project)
    _update_in_place(project)
    _assign_from_outside(project)
    _keep_a_pool(project)
    _replace(project)
    _cut_a_list(project)
    _adopt(project)
    done = project.destroy()
    assert done.code == 0, done.text
    for collection in ("droplets", "load_balancers", "firewalls", "reserved_ips"):
        assert _list(cloud, collection) == []
    assert not {"plain-servers", "plain-live"} & {one["name"] for one in _list(cloud, "tags")}


def _list(cloud: Cloud, collection: str) -> list[dict[str, Any]]:
    """Return all of an account's things."""
    found: list[dict[str, Any]] = cloud.ask("GET", f"{collection}?per_page=200").body[collection]
    return found


def _find_one(cloud: Cloud, collection: str) -> dict[str, Any]:
    """Return the only thing of a kind that the account has."""
    (found,) = _list(cloud, collection)
    return found


def _list_calls(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the plugin's calls that changed something, in order."""
    calls = [event for event in events if event["event"] == "api" and event["agent"] != TEST]
    return [one for one in calls if one["call"].rpartition(".")[2] not in READING]


def _name_calls(events: Sequence[Mapping[str, Any]]) -> list[str]:
    return [one["call"] for one in _list_calls(events)]


def _preview(project: Project) -> None:
    """A preview changes nothing."""
    done = project.preview()
    assert done.code == 0, done.text
    assert done.changes == {"create": TYPES + 2}  # with the stack itself and the provider
    assert _list_calls(done.events) == []


def _create(project: Project) -> None:
    """What is created says what was asked for; the same program again changes nothing."""
    cloud = project.cloud
    done = project.up()
    assert done.code == 0, done.text
    droplet, balancer = _find_one(cloud, "droplets"), _find_one(cloud, "load_balancers")
    assert (droplet["status"], droplet["tags"]) == ("active", ["plain-servers"])
    assert (balancer["tag"], balancer["status"]) == ("plain-live", "active")
    (rule,) = _find_one(cloud, "firewalls")["inbound_rules"]
    assert rule["sources"] == {"load_balancer_uids": [balancer["id"]]}
    assert _find_one(cloud, "reserved_ips")["droplet"] is None
    for arguments in ((), ("--refresh",)):
        again = project.up(*arguments)
        steps = [step for step in again.steps if not step.startswith("refresh ")]
        assert (again.code, steps) == (0, []), again.text


def _update_in_place(project: Project) -> None:
    """Whatever does not force a replacement is an update.

    A balancer and a firewall are written whole. A droplet gets another size and another name in
    place, by a power cycle that nobody is asked about.
    """
    cloud, before = project.cloud, _find_one(project.cloud, "droplets")
    done = project.change(
        port=8001, health="/ready", timeout=61, name="plain-2", size="s-1vcpu-2gb", tags=["more"]
    )
    kinds = {step.split()[1] for step in done.steps if step.startswith("update ")}
    assert kinds == {"Droplet", "Firewall", "LoadBalancer"}
    assert not [step for step in done.steps if step.startswith(("create", "replace", "delete"))]
    (whole,) = [one for one in _list_calls(done.events) if one["call"] == "loadBalancers.update"]
    assert whole["body"]["tag"] == "plain-live"
    assert {"size_unit", "health_check", "forwarding_rules", "sticky_sessions"} <= {*whole["body"]}
    actions = [
        one["body"]["type"]
        for one in _list_calls(done.events)
        if one["call"] == "dropletActions.post"
    ]
    assert actions == ["power_off", "resize", "power_on", "rename"]
    after = _find_one(cloud, "droplets")
    assert (after["id"], after["name"]) == (before["id"], "plain-2")
    assert (after["size_slug"], sorted(after["tags"])) == ("s-1vcpu-2gb", ["more", "plain-servers"])


def _assign_from_outside(project: Project) -> None:
    """Who has an address is our code's matter: a refresh of what is ignored takes it from nobody.

    Without that the next update would have it lead to nobody.
    """
    cloud = project.cloud
    droplet, address = _find_one(cloud, "droplets"), _find_one(cloud, "reserved_ips")["ip"]
    body = {"type": "assign", "droplet_id": droplet["id"]}
    assert cloud.ask("POST", f"reserved_ips/{address}/actions", body).code < 400
    done = project.change(reserved_ignores=["dropletId"])
    assert _list_calls(done.events) == []
    refreshed = project.up("--refresh")
    assert (refreshed.code, _list_calls(refreshed.events)) == (0, []), refreshed.text
    assert _find_one(cloud, "reserved_ips")["droplet"]["id"] == droplet["id"]


def _keep_a_pool(project: Project) -> None:
    """With its tag in the program, a balancer that is written whole keeps its pool."""
    cloud = project.cloud
    droplet = _find_one(cloud, "droplets")
    resources = [{"resource_id": str(droplet["id"]), "resource_type": "droplet"}]
    assert cloud.ask("POST", "tags/plain-live/resources", {"resources": resources}).code < 400
    project.options["frozen"] = [*STAYS]
    done = project.change(timeout=62)
    assert _name_calls(done.events) == ["loadBalancers.update"]
    assert _find_one(cloud, "load_balancers")["droplet_ids"] == [droplet["id"]]


def _replace(project: Project) -> None:
    """A property that forces it replaces the droplet; as its name stays, the old one goes first.

    Between them there is none: our program gives each generation names of its own.
    """
    before = _find_one(project.cloud, "droplets")
    done = project.change(says="other", frozen=[])
    steps = [step.split()[0] for step in done.steps if "Droplet" in step]
    assert steps == ["delete-replaced", "replace", "create-replacement"]
    assert _find_one(project.cloud, "droplets")["id"] != before["id"]


def _cut_a_list(project: Project) -> None:
    """A refresh cuts the tags of the state to their number in the program, strangers first.

    By name in `ignore_changes`, beside the star, they stay as they are on the droplet; with the
    star alone the next update takes a declared one off.
    """
    cloud = project.cloud
    number = str(_find_one(cloud, "droplets")["id"])
    resources = [{"resource_id": number, "resource_type": "droplet"}]
    assert cloud.ask("POST", "tags", {"name": OUTSIDE}).code < 400
    assert cloud.ask("POST", f"tags/{OUTSIDE}/resources", {"resources": resources}).code < 400
    tags = _find_one(cloud, "droplets")["tags"]
    project.change(frozen=[*STAYS])
    kept = project.up("--refresh")
    assert (kept.code, _list_calls(kept.events)) == (0, []), kept.text
    assert _find_one(cloud, "droplets")["tags"] == tags
    cut = project.change(frozen=["*"])
    assert "tags.unassign_resources" in _name_calls(cut.events)
    assert _find_one(cloud, "droplets")["tags"] != tags


def _adopt(project: Project) -> None:
    """A run without a state takes up what is there, where it ignores what a droplet never says."""
    cloud = project.cloud
    found = json.loads(project.pulumi("stack", "output", "--json", "-s", "dev").stdout)
    project.forget()
    project.options |= {
        "frozen": [*STAYS],
        "imports": {
            "servers": "plain-servers",
            "live": "plain-live",
            "balancer": found["balancer"],
            "service": found["firewall"],
            "server": found["droplet"],
            "reserved": found["reserved"],
        },
    }
    project.write_settings()
    done = project.up()
    assert done.code == 0, done.text
    assert _list_calls(done.events) == []
    again = project.up()
    assert (again.code, again.steps) == (0, []), again.text
    assert str(_find_one(cloud, "droplets")["id"]) == found["droplet"]
