"""Values held against a discovery document's schemas.

What a schema does not name is a mistake: Google refuses it in a request, and no answer may hold it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from clouds.gcp.emulation.documents import Document, Method

OUTPUT = "[Output Only]"
"""Begins the descriptions of what a request may hold, and the API does not take from it."""
TAKEN = frozenset({("InstanceGroupManager", "namedPorts")})
"""Described so, and taken all the same: the provider makes groups with their ports by one call.

https://github.com/hashicorp/terraform-provider-google/blob/v6.0.0/google/services/compute/resource_compute_region_instance_group_manager.go
"""
WHOLE = re.compile(r"-?\d+")
KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
NUMBERS = ("int64", "uint64")
"""Formats of numbers that are written as text."""


def find_mistakes(document: Document, name: str, value: object) -> list[str]:
    """Return what of a value is not as a schema says; empty is right."""
    return list(_check(document, {"$ref": name}, value, name))


def find_wrong_parameters(
    document: Document, method: Method, parameters: Mapping[str, list[str]]
) -> list[str]:
    """Return which parameters, of path and query, a method does not take so, or lacks."""
    known = {**document.common, **method.words.get("parameters", {}), **_name_flat(method)}
    wrong = [f"Unknown name {name!r}" for name in parameters if name not in known]
    for name, schema in known.items():
        values = parameters.get(name, [])
        if schema.get("required") and not values and schema["location"] == "query":
            wrong.append(f"Required parameter: {name}")
        for value in values:
            wrong += _check_text(schema, value, name)
    return wrong


def drop_output(document: Document, name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's body without what only answers say."""
    properties = document.schemas[name].get("properties", {})
    return {
        key: one
        for key, one in value.items()
        if (name, key) in TAKEN
        or (
            not properties.get(key, {}).get("readOnly")
            and OUTPUT not in properties.get(key, {}).get("description", "")
        )
    }


def _name_flat(method: Method) -> dict[str, Any]:
    """Return the names of a flat path that are no parameters: `projectsId` is part of `name`."""
    return {name: {"type": "string", "location": "path"} for name in method.pattern.groupindex}


def _check(
    document: Document, schema: Mapping[str, Any], value: object, where: str
) -> Iterator[str]:
    if "$ref" in schema:
        yield from _check(document, document.schemas[schema["$ref"]], value, where)
        return
    kind = str(schema.get("type", "any"))
    if value is None or kind == "any":
        return
    if not isinstance(value, KINDS[kind]) or (kind != "boolean" and isinstance(value, bool)):
        yield f"{where}: {value!r} is no {kind}"
    elif isinstance(value, dict):
        yield from _check_object(document, schema, value, where)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _check(document, schema["items"], one, f"{where}[{number}]")
    elif isinstance(value, str):
        yield from _check_text(schema, value, where)


def _check_object(
    document: Document, schema: Mapping[str, Any], value: Mapping[str, Any], where: str
) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    for key, one in value.items():
        within = properties.get(key, others)
        if within is None:
            yield f"Unknown name {key!r} at {where!r}"
        else:
            yield from _check(document, within, one, f"{where}.{key}")


def _check_text(schema: Mapping[str, Any], value: str, where: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        yield f"{where}: {value!r} must be a match of regex {schema['pattern']!r}"
    if schema.get("format") in NUMBERS and not WHOLE.fullmatch(value):
        yield f"{where}: {value!r} is no {schema['format']}"
    if schema.get("type") == "integer" and not WHOLE.fullmatch(value):
        yield f"{where}: {value!r} is no number"
    if schema.get("type") == "boolean" and value not in {"true", "false"}:
        yield f"{where}: {value!r} is neither true nor false"
