"""Parses a stack's values once into `Settings`, or reports all their mistakes together."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from immutable_servers.errors import SettingsError
from immutable_servers.settings.models import Settings
from immutable_servers.settings.problems import (
    Problem,
    raise_problems,
    read_problems,
    render_value,
    suggest,
)
from immutable_servers.settings.rules import (
    check_abilities,
    check_images,
    check_launches,
    check_misfits,
    check_services,
    read_texts,
)
from immutable_servers.targets import OWN_TARGETS, find_target_class, list_targets

Kind = TypeVar("Kind", bound=BaseModel)
SECTIONS = ("target", "images", "services", "bake", "prices")


def load_settings(values: Mapping[str, Any], project_root: Path) -> Settings:
    """Return the settings of a stack.

    Args:
        values: The project's configuration values by key without the namespace, already parsed:
            `target`, `images`, `services`, `bake`, `prices`, sections under names of targets, and
            secrets that images name (not read).
        project_root: The folder with `Pulumi.yaml`; folders are looked for there.

    Raises:
        SettingsError: All mistakes together, each with its path, value and rule.
    """
    problems = list(_check_keys(values))
    settings = _parse(values, problems)
    images, services = _mappings(values.get("images")), _mappings(values.get("services"))
    problems += check_images(images, project_root)
    problems += check_services(services, images, project_root)
    target_settings = _parse_target(values, services, problems)
    raise_problems(problems)
    if settings is None:  # never without a problem; mypy cannot know
        raise SettingsError("The settings of this stack cannot be read")
    return settings.model_copy(update={"target_settings": target_settings})


def _parse(values: Mapping[str, Any], problems: list[Problem]) -> Settings | None:
    """Validate as JSON: strict about types, and a list is a tuple there."""
    own = {key: values[key] for key in SECTIONS if key in values}
    for section in ("images", "services"):
        if isinstance(own.get(section), Mapping):
            # `base:` and `base: {}` are the same to a reader of YAML.
            filled = {name: {} if raw is None else raw for name, raw in own[section].items()}
            own[section] = filled
            if not filled:
                problems.append(Problem(section, f"must hold at least one of the {section}"))
    return _validate(Settings, own, (), problems)


def _validate(
    model: type[Kind],
    raw: object,
    prefix: tuple[str, ...],
    problems: list[Problem],
    *,
    strict: bool | None = True,
) -> Kind | None:
    try:
        return model.model_validate_json(json.dumps(raw), strict=strict)
    except ValidationError as error:
        problems += read_problems(error, model, prefix)
    except (TypeError, ValueError):
        problems.append(Problem(".".join(prefix) or "config", "must hold plain values only"))
    return None


def _parse_target(
    values: Mapping[str, Any], services: Mapping[str, Mapping[str, Any]], problems: list[Problem]
) -> dict[str, Any]:
    """Return the chosen target's own settings as plain values, only those that are set."""
    name = values.get("target")
    if not isinstance(name, str):
        return {}
    try:
        target = find_target_class(name)
    except SettingsError:
        rule = f"is no target; {suggest(name, list(list_targets()))}"
        problems.append(Problem("target", rule, render_value(name)))
        return {}
    problems += check_abilities(services, target)
    section = {} if values.get(name) is None else values[name]
    parsed = _validate(target.settings_model, section, (name,), problems, strict=None)
    if parsed is None:
        return {}
    plain = parsed.model_dump(mode="json", exclude_unset=True)
    made = target(plain)
    problems += check_launches(services, made)
    problems += check_misfits(services, made)
    return plain


def _check_keys(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the keys that are neither ours, nor a target's section, nor an image's secret."""
    images = _mappings(values.get("images")).values()
    secrets = {key for image in images for key in read_texts(image.get("secrets"))}
    known = {*SECTIONS, *OWN_TARGETS}
    ours, target = known | secrets, values.get("target")
    strange = [key for key in values if key not in ours and key != target]
    if strange:
        known |= {*list_targets()}  # of other packages too
    for key in strange:
        if key not in known:
            yield Problem(key, f"is no setting; {suggest(key, sorted(known))}")


def _mappings(section: object) -> dict[str, Mapping[str, Any]]:
    """Return the entries of a section that are mappings; one without a value is empty."""
    entries = section.items() if isinstance(section, Mapping) else ()
    return {
        str(name): raw or {} for name, raw in entries if raw is None or isinstance(raw, Mapping)
    }
