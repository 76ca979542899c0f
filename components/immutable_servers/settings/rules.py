"""Checks across settings, on raw values: they report beside a field's own mistakes.

Each takes what has the right type and leaves the rest to the models.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.errors import SettingsError
from immutable_servers.settings.problems import Problem, render_value, suggest

Raw = Mapping[str, Mapping[str, Any]]
WAYS = ("port", "host", "reserved_ip")
"""What a route has one of."""
RESERVED_VARIABLES = frozenset({"image", "version", "lineage", "inputs"})
"""Handed to every template by the bake itself (docs/reference)."""


def check_images(images: Raw, root: Path) -> Iterator[Problem]:
    """Yield mistakes of parents, of variables and of folders."""
    for name, image in images.items():
        yield from _check_parent(name, images)
        yield from _check_variables(f"images.{name}", image)
        template = root / "packer" / name
        if not template.is_dir():
            yield Problem(f"images.{name}", f"has no template folder packer/{name}")
        yield from _check_folders(f"images.{name}.sources", read_texts(image.get("sources")), root)
        yield from _check_overlaps(f"images.{name}.sources", read_texts(image.get("sources")))


def check_services(services: Raw, images: Raw, root: Path) -> Iterator[Problem]:
    """Yield mistakes of images, routes and folders of checks."""
    taken: dict[object, str] = {}
    for name, service in services.items():
        image = service.get("image")
        if isinstance(image, str) and image not in images:
            rule = f"is no image of this stack; {suggest(image, list(images))}"
            yield Problem(f"services.{name}.image", rule, render_value(image))
        yield from _check_route(name, service.get("route"), taken)
        checks = read_texts(service.get("checks", ["tests/servers"]))
        yield from _check_folders(f"services.{name}.checks", checks, root, files=True)
        for path in (path for path in checks if "[" in path or "::" in path):
            rule = "must hold no `[` and no `::`, which pytest reads as the name of a check"
            yield Problem(f"services.{name}.checks[{checks[path]}]", rule, render_value(path))


def check_abilities(services: Raw, target: type[Target]) -> Iterator[Problem]:
    """Yield settings that the chosen target cannot follow."""
    for name, service in services.items():
        if service.get("canary") is not None and not target.can_weigh:
            rule = f"needs a balancer that splits traffic, and target {target.name}'s cannot"
            yield Problem(f"services.{name}.canary", rule)
        if service.get("launch_overrides") and not target.takes_overrides:
            rule = f"has no meaning: target {target.name} has no launch arguments of its own"
            yield Problem(f"services.{name}.launch_overrides", rule)
        route = service.get("route")
        if isinstance(route, Mapping) and route.get("reserved_ip"):
            if not target.has_reserved_ips:
                rule = f"needs an address without a balancer, and target {target.name} has none"
                yield Problem(f"services.{name}.route.reserved_ip", rule)
            elif service.get("servers") != 1:
                rule = (
                    "leads to one server: a service with more needs {port: NUMBER} or {host: NAME}"
                )
                yield Problem(f"services.{name}.route.reserved_ip", rule)


def check_misfits(services: Raw, target: Target) -> Iterator[Problem]:
    """Yield settings of the chosen target that do not fit the services."""
    given = {name: service.get("servers") for name, service in services.items()}
    servers = {name: one if isinstance(one, int) else 0 for name, one in given.items()}
    for path, rule in target.find_misfits(servers).items():
        yield Problem(f"{target.name}.{path}", rule)


def check_launches(services: Raw, target: Target) -> Iterator[Problem]:
    """Yield sizes that the chosen target does not know, and an `env` that it cannot hand over."""
    for name, service in services.items():
        env = service.get("env")
        if isinstance(env, Mapping) and all(isinstance(value, str) for value in env.values()):
            try:
                target.check_env(env)
            except SettingsError as error:
                rule = "; ".join([f"is too large for servers on {target.name}", *error.facts])
                yield Problem(f"services.{name}.env", rule)
        size = service.get("size")
        if isinstance(size, str) and size:
            try:
                target.resolve_size(size)
            except SettingsError as error:
                known = [fact[0].lower() + fact[1:] for fact in error.facts]
                rule = "; ".join([f"is no size on {target.name}", *known])
                yield Problem(f"services.{name}.size", rule, render_value(size))


def _check_parent(name: str, images: Raw) -> Iterator[Problem]:
    path, parent = f"images.{name}.parent", images[name].get("parent")
    if not isinstance(parent, str):
        return
    if parent not in images:
        rule = f"is no image of this stack; {suggest(parent, list(images))}"
        yield Problem(path, rule, render_value(parent))
    if "upstream" in images[name]:
        yield Problem(f"images.{name}.upstream", "is only for an image without a parent")
    way = [name]
    while isinstance(parent, str) and parent in images:
        way.append(parent)
        if parent == name:
            yield Problem(path, f"must not lead back to itself: {' → '.join(way)}")
        if way.count(parent) > 1:
            return
        parent = images[parent].get("parent")


def _check_variables(path: str, image: Mapping[str, Any]) -> Iterator[Problem]:
    variables, secrets = image.get("variables"), set(read_texts(image.get("secrets")))
    for key in variables if isinstance(variables, Mapping) else ():
        if key in secrets:
            yield Problem(f"{path}.variables.{key}", "is also one of this image's secrets")
    for key in [*(variables if isinstance(variables, Mapping) else ()), *sorted(secrets)]:
        if key in RESERVED_VARIABLES:
            yield Problem(f"{path}.variables.{key}", "is a variable that every bake sets itself")


def _check_route(name: str, route: object, taken: dict[object, str]) -> Iterator[Problem]:
    if not isinstance(route, Mapping):
        return
    given = [key for key in WAYS if route.get(key) is not None]
    if len(given) != 1 and set(route) <= {*WAYS}:
        yield Problem(f"services.{name}.route", "must have one of port, host and reserved_ip")
    for key in (key for key in given if key != "reserved_ip"):
        value = route[key]
        if not isinstance(value, str | int):
            continue
        if (key, value) in taken:
            rule = f"is the {key} of service {taken[key, value]} already"
            yield Problem(f"services.{name}.route.{key}", rule, render_value(value))
        taken.setdefault((key, value), name)


def _check_folders(
    path: str, folders: Mapping[str, int], root: Path, *, files: bool = False
) -> Iterator[Problem]:
    kind = "folder or file" if files else "folder"
    for folder, index in folders.items():
        place, parts = root / folder, PurePosixPath(folder).parts
        if PurePosixPath(folder).is_absolute() or ".." in parts or not parts or "\0" in folder:
            continue
        if not (place.is_dir() or (files and place.is_file())):
            rule = f"must be a {kind} of the repository, and there is none of this name"
            yield Problem(f"{path}[{index}]", rule, render_value(folder))
        elif not place.resolve().is_relative_to(root.resolve()):
            rule = f"must be a {kind} of the repository, and leads out of it by a link"
            yield Problem(f"{path}[{index}]", rule, render_value(folder))


def _check_overlaps(path: str, folders: Mapping[str, int]) -> Iterator[Problem]:
    for folder, index in folders.items():
        for other, place in folders.items():
            inside = PurePosixPath(folder).is_relative_to(PurePosixPath(other))
            if place != index and inside and PurePosixPath(other).parts:
                rule = f"lies in {other!r}, which is listed too"
                yield Problem(f"{path}[{index}]", rule, render_value(folder))


def read_texts(value: object) -> dict[str, int]:
    """Return the texts of a list with their places; of anything else nothing."""
    items = value if isinstance(value, list | tuple) else ()
    return {item: index for index, item in enumerate(items) if isinstance(item, str)}
