"""A refresh stores lists cut to what the program said: droplets and pools stay as they are."""

import json

from harness.digitalocean.do_project import DoProject

OUTSIDE = "finance"


def read_droplets(project: DoProject) -> dict[str, list[str]]:
    """Return the tags of the account's droplets, in order."""
    return {one["name"]: sorted(one["tags"]) for one in project.find_all("droplets")}


def read_waits(project: DoProject) -> list[float]:
    """Return how many seconds the provider waits for each droplet that it makes."""
    file = project.root.parent / "state.json"
    project.pulumi("stack", "export", "-s", project.stack, "--file", str(file))
    found = json.loads(file.read_text("utf-8"))["deployment"]["resources"]
    return [
        one["customTimeouts"]["create"]
        for one in found
        if one["type"] == "digitalocean:index/droplet:Droplet"
    ]


def test_what_others_tag_stays_and_so_does_the_traffic(project: DoProject) -> None:
    """A tag from outside, beside our live one: no refresh has an update take either off."""
    project.run()
    live = project.live()
    for one in project.find_all("droplets"):
        resources = [{"resource_id": str(one["id"]), "resource_type": "droplet"}]
        project.cloud.ask("POST", "tags", {"name": OUTSIDE})
        project.cloud.ask("POST", f"tags/{OUTSIDE}/resources", {"resources": resources})
    before = read_droplets(project)
    assert all(OUTSIDE in tags for tags in before.values())
    assert read_waits(project) == [900] * len(before)
    for arguments in (("--refresh",), (), ("--refresh",)):
        done = project.run(*arguments)
        assert [step for step in done.steps if "Droplet" in step and "refresh" not in step] == []
        assert read_droplets(project) == before
        assert project.live() == live
    project.assert_serving()
