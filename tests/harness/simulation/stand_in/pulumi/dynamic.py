"""The dynamic resources' part of the SDK."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pulumi import CustomResource


@dataclass
class CheckFailure:
    """An input that is refused."""

    property: str
    reason: str


@dataclass
class CheckResult:
    """The inputs as they are taken."""

    inputs: dict[str, Any]
    failures: Sequence[CheckFailure] = ()


@dataclass
class DiffResult:
    """Whether and how a resource changes."""

    changes: bool | None = None
    replaces: Sequence[str] = ()
    stables: Sequence[str] = ()
    delete_before_replace: bool | None = None


@dataclass
class CreateResult:
    """A new resource's id and outputs."""

    id: str
    outs: dict[str, Any] = field(default_factory=dict)


@dataclass
class UpdateResult:
    """A changed resource's outputs."""

    outs: dict[str, Any] = field(default_factory=dict)


@dataclass
class ConfigureRequest:
    """Not called."""

    config: Any


Config = Mapping[str, Any]


class ResourceProvider:
    """The base of providers."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Take the inputs."""
        return CheckResult(news)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Say nothing."""
        return DiffResult()

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Change nothing but the inputs."""
        return UpdateResult(news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Delete nothing."""


class Resource(CustomResource):
    """A resource whose provider is a class of ours."""

    def __init_subclass__(cls, module: str = "", name: str = "") -> None:
        cls.kind = f"pulumi-python:dynamic/{module}:{name}"

    def __init__(self, provider: Any, name: str, props: Mapping[str, Any], opts: Any) -> None:
        self._register(self.kind, name, provider, props, opts)
