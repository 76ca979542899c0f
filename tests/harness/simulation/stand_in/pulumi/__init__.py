"""Stands in for Pulumi's SDK in the simulation: every registration is done at once.

Only what `components/immutable_servers` and the instant target use. An Output holds its value from
the start; one that depends on what failed holds none, and neither is what it goes into registered.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from pulumi import runtime

FAILED = object()
"""The value of an Output of what failed: nobody gets to see it."""
PLAIN = frozenset({str, float, bool, type(None)})
"""Types of most values, which the engine keeps as they are."""


class Input:
    """A plain value or an Output."""

    def __class_getitem__(cls, _kind: object) -> type["Input"]:
        return cls


class RunError(Exception):
    """Ends the program with a message."""


class Output:
    """A value with the resources that it came from."""

    def __init__(
        self, resources: set["Resource"], future: Any, is_known: bool, is_secret: bool = False
    ) -> None:
        self._resources, self._value, self._known = resources, future, is_known
        del is_secret

    def __class_getitem__(cls, _kind: object) -> type["Output"]:
        return cls

    def future(self) -> Any:
        """Return the value itself: nothing is waited for here."""
        return self._value

    def is_known(self) -> bool:
        """Return whether there is one."""
        return self._known

    def is_secret(self) -> bool:
        """Return False."""
        return False

    @staticmethod
    def from_input(value: Any) -> "Output":
        """Return a plain value as an Output."""
        return Output(set(), value, True)

    def apply(self, function: Callable[[Any], Any]) -> "Output":
        """Return what the function makes of the value."""
        if self._value is FAILED or not self._known:
            return self
        value, resources = resolve(function(self._value))
        return Output(self._resources | resources, value, True)

    @staticmethod
    def all(*items: Any, **named: Any) -> "Output":
        """Return a list or a mapping of the values; not known when one of them is not."""
        value, resources = resolve(named or list(items))
        every = value.values() if isinstance(value, dict) else value
        known = value is FAILED or runtime.UNKNOWN not in every
        return Output(resources, value, known)


def resolve(value: Any) -> tuple[Any, set["Resource"]]:
    """Return a value without Outputs at any depth, and the resources that they came from.

    `FAILED` when one of them failed. Numbers become what the engine keeps: 64-bit floats.
    """
    outputs: list[Output] = []
    found = _resolve(value, outputs)
    resources = {resource for output in outputs for resource in output._resources}
    failed = any(output._value is FAILED for output in outputs)
    return (FAILED if failed else found), resources


def _resolve(value: Any, outputs: list[Output]) -> Any:
    """Return a value without Outputs at any depth; add these to `outputs`."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, Output):
        outputs.append(value)
        return _resolve(value._value, outputs) if value._known else runtime.UNKNOWN
    if isinstance(value, list | tuple):
        return [_resolve(item, outputs) for item in value]
    if isinstance(value, dict | Mapping):
        return {str(key): _resolve(item, outputs) for key, item in value.items()}
    return float(value) if type(value) is int else value


@dataclass
class ResourceOptions:
    """The options that are used."""

    parent: "Resource | None" = None
    depends_on: Sequence["Resource"] = ()
    ignore_changes: Sequence[str] | None = None
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False

    @staticmethod
    def merge(one: "ResourceOptions", other: "ResourceOptions") -> "ResourceOptions":
        """Return options with what either says; the second's come first."""
        names = [item.name for item in fields(ResourceOptions)]
        return ResourceOptions(**{n: getattr(other, n) or getattr(one, n) for n in names})


class Resource:
    """A resource; its outputs are attributes once it is registered."""

    kind: ClassVar[str]
    urn: str

    def _register(
        self, kind: str, name: str, provider: Any, props: Mapping[str, Any], opts: Any
    ) -> None:
        opts = opts or ResourceOptions()
        inputs, resources = resolve({k: v for k, v in props.items() if v is not None})
        urns = {resource.urn for resource in (*resources, *opts.depends_on)}
        above = [*opts.depends_on, *filter(None, [opts.parent])]
        failed = inputs is FAILED or any(one.failed for one in above)
        parent = opts.parent.urn if opts.parent else ""
        self.urn = runtime.make_urn(kind, name, parent)
        goal = runtime.Goal(self.urn, name, provider, {} if failed else inputs, urns, parent, opts)
        done = None if failed else runtime.get_monitor().register(goal)
        self.failed = done is None
        # A run that leaves a resource out does not know any output of a new one.
        known = done is None or done.id is not None
        itself = {self}
        for key in props:
            value = done.outputs.get(key) if done else FAILED
            setattr(self, key, Output(itself, value, known))
        self.id = Output(itself, done.id if done else FAILED, known)


class CustomResource(Resource):
    """A resource with a provider."""


class ComponentResource(Resource):
    """A resource that only groups others."""

    def __init__(self, kind: str, name: str, props: Any = None, opts: Any = None) -> None:
        self._register(kind, name, None, props or {}, opts)

    def register_outputs(self, outputs: Any) -> None:
        """Do nothing: nobody reads them."""


class StackReference:
    """Not used: the ledger is handed in."""


@dataclass
class _Log:
    said: list[str] = field(default_factory=list)

    def info(self, text: str, _resource: Any = None) -> None:
        """Forget it."""

    def warn(self, text: str, _resource: Any = None) -> None:
        """Keep it."""
        runtime.get_monitor().say(text)


log = _Log()


def export(name: str, value: Any) -> None:
    """Export an output of the stack."""
    runtime.get_monitor().export(name, *resolve(value))


def get_project() -> str:
    """Return the project's name."""
    return runtime.PROJECT


def get_stack() -> str:
    """Return the stack's name."""
    return runtime.STACK


def get_organization() -> str:
    """Return the organization's name."""
    return "organization"


from pulumi import dynamic  # noqa: E402 - it needs the classes above

__all__ = ["FAILED", "Output", "dynamic"]
