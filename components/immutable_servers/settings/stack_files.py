"""Reads a stack's values from the project's files: the same for the driver and the program.

Each value is what the engine hands to the program for it. The program compares, so that a setting
from anywhere else stops a run before anything is registered.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from immutable_servers.errors import SettingsError
from immutable_servers.settings.defaults import BY_NAME, DEFAULTS, merge_defaults
from immutable_servers.settings.problems import (
    Location,
    Problem,
    raise_problems,
    render_path,
    render_value,
)
from immutable_servers.settings.rules import read_texts
from immutable_servers.system import places
from immutable_servers.system.files import read_mapping
from immutable_servers.text.plain_yaml import Unclear

TELLING = ("target", *BY_NAME, DEFAULTS)
"""Keys that show, under another namespace, that ours is meant."""


def read_stack_values(root: Path, stack: str) -> dict[str, Any]:
    """Return a stack's values as `load_settings` takes them, with the defaults of `Pulumi.yaml`.

    Their namespace, which is the project's name, is taken off. A secret stays `{secure: …}`.

    Raises:
        SettingsError: A file cannot be read, or has values that the engine would read in another
            way, hand over in the open, or take for another project's.
    """
    values = _read_files(root, stack)
    return _finish(values, {key for key, value in values.items() if _is_secret(value)})


def choose_values(
    root: Path, stack: str, handed: Mapping[str, str], secrets: AbstractSet[str]
) -> dict[str, Any]:
    """Return the values of a run, which the files and the engine agree on.

    Args:
        root: The project's folder.
        stack: The stack's name.
        handed: What the engine hands to the program, by key without the namespace.
        secrets: The keys of `handed` that hold something encrypted.

    Raises:
        SettingsError: They disagree, or a setting is encrypted. Without a file of the stack, there
            is nothing to compare, and the engine's values are taken.
    """
    values = {key: parse_text(text) for key, text in handed.items() if text}
    if places.stack_file(root, stack).is_file():
        said = _read_files(root, stack)
        keys = sorted(key for key in said.keys() | values.keys() if key not in secrets)
        _compare(stack, keys, said, values)
        values = said
    return _finish(values, secrets)


def parse_text(text: str) -> Any:  # noqa: ANN401 - whatever the stack file holds
    """Read a value as the engine hands it over: JSON for structures, else plain text."""
    if text[:1] in "[{":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _read_files(root: Path, stack: str) -> dict[str, Any]:
    """Return each value as the engine hands it over, before defaults are merged."""
    project, file = read_mapping(root / places.PROJECT_FILE), places.stack_file(root, stack)
    name, config = str(project.get("name", "")), read_mapping(file).get("config") or {}
    if not isinstance(config, Mapping):
        raise SettingsError(f"`config` in {file.name} is not a mapping", todo="Fix the file.")
    shared = project.get("config")
    own, strange = _split(config, name)
    below, others = _split(shared if isinstance(shared, Mapping) else {}, name)
    values = {key: _read_default(entry) for key, entry in below.items()} | own
    problems = list(_find_unfit(values))
    values = {key: _hand_over(value) for key, value in values.items() if value not in (None, "")}
    problems += _find_strangers([*strange, *others], name, values)
    raise_problems(problems)
    return values


def _split(config: Mapping[str, Any], project: str) -> tuple[dict[str, Any], list[str]]:
    """Return the project's own keys without their namespace, and the keys of others."""
    own: dict[str, Any] = {}
    others = []
    for key, value in config.items():
        space, _, name = key.rpartition(":")
        if space.removesuffix(":config") not in ("", project):
            others.append(key)
        elif name in own:
            raise_problems([Problem(name, "is written twice, with its namespace and without")])
        else:
            own[name] = value
    return own, others


def _read_default(entry: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return what `config` of `Pulumi.yaml` gives to a stack whose file lacks a key."""
    if not isinstance(entry, Mapping):
        return entry
    default = entry.get("default")
    return entry.get("value") if default is None else default


def _hand_over(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return a value as the program reads it from the engine: only structures keep their types."""
    if isinstance(value, Mapping | list):
        return value
    written = value if isinstance(value, str) else json.dumps(value).replace("e-0", "e-")  # as Go
    return parse_text(written)


def _find_unfit(value: Any, path: Location = ()) -> Iterator[Problem]:  # noqa: ANN401
    """Yield what readers read differently, and what is encrypted below a key."""
    if isinstance(value, Unclear):
        yield Problem(render_path(path), value.rule, render_value(value))
    elif _is_secret(value) and len(path) > 1:
        yield _refuse_secret(path)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, Unclear):
                yield Problem(render_path((*path, key)), key.rule)
            yield from _find_unfit(inner, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _find_unfit(item, (*path, index))


def _is_secret(value: object) -> bool:
    """Return whether the engine decrypts a value: what `pulumi config set --secret` writes."""
    return (
        isinstance(value, Mapping) and set(value) == {"secure"} and isinstance(value["secure"], str)
    )


def _refuse_secret(path: Location) -> Problem:
    rule = (
        "is encrypted, and would be handed over in the open. A bake gets a secret by `secrets` of"
        " its image; a server fetches its secrets itself, and `env` says from where"
    )
    return Problem(render_path(path), rule)


def _find_strangers(
    keys: Sequence[str], project: str, values: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield keys of another namespace that are meant to be ours."""
    for key in keys:
        space, _, name = key.rpartition(":")
        meant = get_close_matches(space, [project], n=1)
        if meant or (name in TELLING and name not in values):
            rule = f"is no key of the project {project}, as {places.PROJECT_FILE} names it"
            yield Problem(key, f"{rule}; did you mean {project}:{name}?")


def _finish(values: Mapping[str, Any], secrets: AbstractSet[str]) -> dict[str, Any]:
    """Return the values over their defaults; only what images name as theirs is a secret."""
    merged = merge_defaults(values)
    images = merged.get("images")
    entries = images.values() if isinstance(images, Mapping) else ()
    named = {
        key
        for entry in entries
        if isinstance(entry, Mapping)
        for key in read_texts(entry.get("secrets"))
    }
    raise_problems([_refuse_secret((key,)) for key in sorted(secrets - named)])
    return merged


def _compare(
    stack: str, keys: Sequence[str], said: Mapping[str, Any], handed: Mapping[str, Any]
) -> None:
    """Refuse a run whose engine got other values than the stack's file says.

    Raises:
        SettingsError: There is a difference.
    """
    different = [path for key in keys for path in _differ((key,), said.get(key), handed.get(key))]
    if different:
        file = places.stack_file(Path(), stack).name
        raise SettingsError(
            f"The engine was given other settings than {file} says",
            facts=[f"different: {render_path(path)}" for path in different],
            todo=f"Write them into {file}. What --config-file or an environment of Pulumi ESC gives"
            " to the engine is not seen by ./immutable.",
        )


def _differ(path: Location, one: object, other: object) -> Iterator[Location]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            yield from _differ((*path, key), one.get(key), other.get(key))
    elif json.dumps(one) != json.dumps(other):
        yield path
