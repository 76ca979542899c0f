"""What somebody may do to a checkout, its settings, its servers or its state before a run."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from harness.engine.matrix import (
    CHECKS,
    SOURCE,
    lose_artifacts,
    lose_fleet,
    lose_idle_fleets,
    lose_server,
    upgrade,
)
from harness.engine.project import Project, make_images

Change = Callable[[Project], None]
CANARY = {
    "weight": 20,
    "watch": "1s",
    "max_error_rate": 0.1,
    "min_requests": 5,
    "watch_after": "1s",
}
GOOD, BAD = {"requests": 100, "errors": 1}, {"requests": 100, "errors": 50}
IMPOSSIBLE = "    assert False"
KINDS = (
    "Image",
    "InstantBalancer",
    "Shares",
    "Release",
    "Access",
    "InstantFleet",
    "Retirement",
    "Verification",
    "Seal",
    "Traffic",
    "Verdict",
    "Leftovers",
)
"""The kinds of resources of a stack on the instant target."""


def say(text: str) -> Change:
    """Return the change to an application that says something."""

    def change(project: Project) -> None:
        project.take_sample()
        project.edit(SOURCE, text)

    return change


def configure(**fields: object) -> Change:
    """Return a change of the first service's settings."""

    def change(project: Project) -> None:
        next(iter(project.services.values())).update(fields)
        project.write_settings()

    return change


def add_service(project: Project) -> None:
    """Have a second service of the same image."""
    first = next(iter(project.services.values()))
    name = "web" if "api" in project.services else "api"
    port = first["route"]["port"] + 100
    project.services.setdefault(name, {**first, "route": {"port": port}, "servers": 1})
    project.write_settings()


def drop_service(project: Project) -> None:
    """Name only one service any more."""
    for name in list(project.services)[1:]:
        del project.services[name]
    project.write_settings()


def swap_names(project: Project) -> None:
    """Give each of two services the other's settings."""
    names, settings = list(project.services), list(project.services.values())
    project.services.clear()
    project.services.update(zip(reversed(names), settings, strict=True))
    project.write_settings()


def rename_image(project: Project) -> None:
    """Give the application's image another name."""
    old = next(iter(project.services.values()))["image"]
    new = "app" if old == "site" else "site"
    template = project.root / "packer" / new / "instant.pkr.hcl"
    template.parent.mkdir(exist_ok=True)
    template.write_text((project.root / "packer" / old / "instant.pkr.hcl").read_text())
    made = make_images()
    project.images = {"base": made["base"], new: made["app"]}
    for service in project.services.values():
        service["image"] = new
    project.write_settings()


def mark_artifacts(marks: Mapping[str, str], project: Project) -> None:
    """Revoke every image that there is, or take that back."""
    for file in list((project.world / "images").glob("*.json")):
        artifact: dict[str, Any] = json.loads(file.read_text())
        artifact["facts"]["marks"] = marks
        file.write_text(json.dumps(artifact))


def answer(share: Mapping[str, int], after: Mapping[str, int]) -> Change:
    """Return the change to a canary that is answered this much."""

    def change(project: Project) -> None:
        (project.world / "answers.json").write_text(json.dumps({"share": share, "after": after}))
        configure(canary=CANARY)(project)

    return change


def lose_idle_server(project: Project) -> None:
    """Delete a server of a fleet that does not serve, by hand."""
    for folder in sorted((project.world / "fleets").iterdir()):
        if folder != project.live_fleet(folder.name.rpartition("-")[0]):
            for server in list(folder.glob("server-*"))[:1]:
                server.unlink()
            return


def log_in(project: Project, *, as_printed: bool) -> None:
    """Be on a server of a candidate, over the login that a failure prints."""
    start = f"{project.name}-{project.stack}-"
    for key in sorted((project.world / "people").glob("*/key")):
        service, _, generation = key.parent.name.removeprefix(start).rpartition("-")
        if project.fleets(service).get(generation):
            project.log_in(generation, service, as_printed=as_printed)
            project.note("login", service=service, generation=generation)
            return


def follow(project: Project, *, after: int, services: Sequence[str] = ("web", "api")) -> None:
    """Have a node of the balancer follow each move after so many questions, less than 0 never."""
    (project.world / "late.json").write_text(json.dumps(dict.fromkeys(services, after)))


def forget(kind: str, project: Project) -> None:
    """Take a resource out of the state, by hand, with all that depends on it."""
    project.forget(kind)


CHANGES: dict[str, Change] = {
    "nothing": lambda _project: None,
    "revert": lambda project: project.take_sample(),
    "say two": say("two"),
    "say three": say("three"),
    "break": lambda project: project.break_app(),
    "break api": lambda project: project.break_app("api"),
    "mend": lambda project: project.mend_app(missing_ok=True),
    "edit the base": lambda project: project.edit("packer/base/provision.sh", "# more"),
    "small": configure(size="small"),
    "medium": configure(size="medium"),
    "one server": configure(servers=1),
    "two servers": configure(servers=2),
    "three servers": configure(servers=3),
    "keep none": configure(keep=0),
    "keep one": configure(keep=1),
    "keep two": configure(keep=2),
    "keep for an hour": configure(keep_for="1h"),
    "keep for ever": configure(keep_for=None),
    "grow old": configure(max_age="30d"),
    "stay young": configure(max_age=None),
    "another port": configure(port=81),
    "another health": configure(health="/up"),
    "another route": configure(route={"port": 8090}),
    "another env": configure(env={"GREETING": "hi"}),
    "another drain": configure(drain="2s"),
    "another data version": configure(data_version="2"),
    "remove failures": configure(on_failure="remove"),
    "before traffic fails": configure(before_traffic=["false"]),
    "before traffic works": configure(before_traffic=["true"]),
    "promise more": lambda project: project.edit(CHECKS, "# more"),
    "promise too much": lambda project: project.edit(CHECKS, IMPOSSIBLE),
    "promise as before": lambda project: project.put_back(CHECKS),
    "a good canary": answer(GOOD, GOOD),
    "a bad canary": answer(BAD, {}),
    "a canary that is bad with all": answer(GOOD, BAD),
    "no canary": configure(canary=None),
    "nodes follow late": partial(follow, after=5),
    "a node never follows": partial(follow, after=-1),
    "nodes follow at once": partial(follow, after=0),
    "upgrade": upgrade,
    "add a service": add_service,
    "drop a service": drop_service,
    "swap the names": swap_names,
    "rename the image": rename_image,
    "lose a server": lose_server,
    "lose the fleet": lose_fleet,
    "lose an idle server": lose_idle_server,
    "lose the idle fleets": lose_idle_fleets,
    "lose the artifacts": lose_artifacts,
    "log in as printed": partial(log_in, as_printed=True),
    "log in by the key": partial(log_in, as_printed=False),
    "revoke the images": partial(mark_artifacts, {"revoked": "a hole"}),
    "allow the images": partial(mark_artifacts, {}),
    "import the last state": lambda project: project.import_older(1),
    "import an old state": lambda project: project.import_older(3),
    **{f"forget {kind}": partial(forget, kind) for kind in KINDS},
}
HARM = frozenset({"lose a server", "lose the fleet"})
"""What takes something from what serves: nobody is answered rightly before the next run."""
