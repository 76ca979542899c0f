"""DigitalOcean's own OpenAPI document, by which requests and answers are checked.

It is in no registry, so `IMMUTABLE_DIGITALOCEAN_OPENAPI` says where it is; without, only the check
is left out. https://github.com/digitalocean/openapi

Where document and clients differ, the clients are right: `RELAXED` says where.
"""

import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Self

from jsonschema import Draft202012Validator

from clouds.digitalocean.emulation.calls import Operation

VARIABLE = "IMMUTABLE_DIGITALOCEAN_OPENAPI"
Schema = dict[str, Any]
JSON = "application/json"
ERROR: Schema = {"$ref": "#/components/schemas/shared.error"}
WRAPPED = ("imageActions.post", "imageActions.get")
"""Whose answers are `{"action": ...}` for godo, and bare in the document."""
WRAPPED_ACTION: Schema = {
    "type": "object",
    "properties": {"action": {"$ref": "#/components/schemas/actions.action"}},
    "required": ["action"],
}


class Document:
    """The document, as JSON Schema."""

    def __init__(self, text: str) -> None:
        words = json.loads(text)
        self.paths: Mapping[str, Any] = words["paths"]
        self.components = convert(words["components"])
        relax(self.components["schemas"])
        self._validators: dict[tuple[str, str], Draft202012Validator | None] = {}

    @classmethod
    def find(cls) -> Self | None:
        """Return the one that the environment names; None without one."""
        place = os.environ.get(VARIABLE)
        return cls(Path(place).read_text()) if place else None

    def describe(self, operation: Operation) -> Mapping[str, Any]:
        """Return what the document says of an operation.

        Raises:
            LookupError: It has none of that path, verb and name.
        """
        found: Mapping[str, Any] = self.paths[operation.path][operation.verb.lower()]
        if found["operationId"].replace("_", ".", 1) != operation.name:
            message = f"{operation.name} is {found['operationId']}"
            raise LookupError(message)
        return found

    def find_mistakes(self, operation: Operation, sent: object) -> list[str]:
        """Return what of a request's body is not as the document says."""
        return self._check(operation, "", sent)

    def find_wrong_answer(self, operation: Operation, code: int, body: object) -> list[str]:
        """Return what of an answer is not as the document says."""
        return self._check(operation, str(code), body)

    def find_wrong_parameters(self, operation: Operation, given: Mapping[str, str]) -> list[str]:
        """Return which parameters an operation does not take so."""
        known = {
            one["name"]: convert(one["schema"])
            for one in self.describe(operation).get("parameters", ())
        }
        wrong = [f"unknown parameter {name!r}" for name in given if name not in known]
        for name, text in given.items():
            if name in known:
                errors = Draft202012Validator(known[name]).iter_errors(read_text(text, known[name]))
                wrong += [f"{name}: {error.message}" for error in errors]
        return wrong

    def _check(self, operation: Operation, code: str, body: object) -> list[str]:
        validator = self._find_validator(operation, code)
        if validator is None:
            return [] if body is None else [f"{operation.name} {code or 'request'} has no body"]
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]

    def _find_validator(self, operation: Operation, code: str) -> Draft202012Validator | None:
        key = (operation.name, code)
        if key not in self._validators:
            schema = self._find_schema(operation, code)
            whole = {**schema, "unevaluatedProperties": False, "components": self.components}
            self._validators[key] = Draft202012Validator(whole) if schema else None
        return self._validators[key]

    def _find_schema(self, operation: Operation, code: str) -> Schema:
        """Return the schema of a request's body, or of an answer's; empty takes none."""
        words = self.describe(operation)
        if code and operation.name in WRAPPED:
            return WRAPPED_ACTION
        if not code:
            content = words.get("requestBody", {}).get("content", {})
            sent: Schema = convert(content.get(JSON, {})).get("schema", {})
            return sent
        known = words["responses"].get(code)
        if known is None:
            return ERROR
        found: Schema = convert(known.get("content", {}).get(JSON, {})).get("schema", {})
        return found


@cache
def read_document() -> Document | None:
    """Return the document of this process."""
    return Document.find()


def convert(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema of OpenAPI 3.0 as JSON Schema: `nullable` is a type, no discriminators."""
    if isinstance(schema, list):
        return [convert(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: convert(one)
        for key, one in schema.items()
        if key not in ("discriminator", "nullable", "example")
    }
    if schema.get("nullable") is True and isinstance(kept.get("type"), str):
        kept["type"] = [kept["type"], "null"]
        if "enum" in kept:
            kept["enum"] = [*kept["enum"], None]
    return kept


def relax(schemas: dict[str, Any]) -> None:
    """Have schemas take what the real clients send, as measured with them."""
    # Regions beyond its enum exist.
    schemas["shared.region_slug"].pop("enum")
    # godo leaves the ports of an ICMP rule out; an answer says "0" of them.
    schemas["firewalls.firewall_rule.firewall_rule_base"]["required"] = ["protocol"]
    # The provider sends "ssh_keys": null, and a balancer with neither droplets nor a tag.
    schemas["droplets.droplet_create"]["properties"]["ssh_keys"]["type"] = ["array", "null"]
    schemas["load_balancers.load_balancer_create"] = {
        "type": "object",
        "properties": {
            "droplet_ids": {"type": ["array", "null"], "items": {"type": "integer"}},
            "tag": {"type": "string"},
            "region": {"type": "string"},
        },
        "allOf": [{"$ref": "#/components/schemas/load_balancers.load_balancer_base"}],
    }


def read_text(text: str, schema: Mapping[str, Any]) -> object:
    """Return a parameter's value as its schema has it."""
    if schema.get("type") == "integer" and text.lstrip("-").isdigit():
        return int(text)
    if schema.get("type") == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def list_scopes(words: Mapping[str, Any]) -> Iterator[str]:
    """Yield the scopes that an operation needs."""
    for one in words.get("security", ()):
        yield from one.get("bearer_auth", ())


__all__ = ["VARIABLE", "Document", "convert", "list_scopes", "read_document"]
