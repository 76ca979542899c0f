"""The base of all our dynamic resources: declared inputs, a diff over them, plain errors.

A provider class is a thin shell over plain functions. It is stored in the state by reference
(module and name), holds no attribute, and is given all it needs as inputs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pulumi import Input, ResourceOptions, dynamic

from immutable_servers.errors import make_left_out
from immutable_servers.system.engine_watch import end_with_engine
from immutable_servers.system.full_disk import explain_full_disk
from immutable_servers.system.stopping import listen

# On import, since every process that runs a program or a provider of ours loads this module, and
# some calls of the engine (Delete) come without any other call before them.
end_with_engine()
listen()


CALLS = {"check", "diff", "create", "read", "update", "delete"}
"""The methods that the engine calls."""


class Provider(dynamic.ResourceProvider):
    """Compares the declared inputs, and nothing else.

    Attributes:
        updates: Inputs whose change is made in place.
        replaces: Inputs whose change makes a new resource, created before the old one is deleted.
        needs: Inputs that are outputs of the resources that come first.
        serialize_as_secret_always: Pulumi's switch. Module and name of a class are no secret, and
            to encrypt them for each resource costs a large stack a part of every run.
    """

    serialize_as_secret_always = False
    updates: ClassVar[Sequence[str]] = ()
    replaces: ClassVar[Sequence[str]] = ()
    needs: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls) -> None:
        """Make each method that the engine calls raise our own error for a full disk."""
        super().__init_subclass__()
        for name in CALLS & vars(cls).keys():
            setattr(cls, name, explain_full_disk(vars(cls)[name]))

    def require(self, props: Mapping[str, Any]) -> None:
        """Refuse to continue without an output of the resources that come first.

        Under `--exclude` and `--target` the engine leaves a resource out, but still calls those
        that depend on it, without its outputs. What they then made would refer to a resource that
        is not in the state, and the engine can never read such a state again.

        Raises:
            ImmutableError: An output of what comes first is missing.
        """
        missing = [name for name in self.needs if props.get(name) is None]
        if missing:
            raise make_left_out(f"missing: {', '.join(missing)}")

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.CheckResult:
        """Accept the inputs; a provider whose mistakes should fail the preview refines this."""
        return dynamic.CheckResult(news, [])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Compare the declared inputs, and what the target says of the resource (`find_drift`)."""
        self.require(news)
        replaces = changed(self.replaces, olds, news)
        drift = [] if replaces else self.find_drift(olds, news)
        changes = bool(replaces or drift or changed(self.updates, olds, news))
        return dynamic.DiffResult(changes=changes, replaces=replaces, delete_before_replace=False)

    def find_drift(self, _olds: Mapping[str, Any], _news: Mapping[str, Any]) -> Sequence[str]:
        """Return what is no longer as the state records it; empty when everything is."""
        return ()


def changed(names: Sequence[str], olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """Return those of `names` whose values differ."""
    return [name for name in names if olds.get(name) != news.get(name)]


def require_new_window(olds: Mapping[str, Any], news: Mapping[str, Any]) -> None:
    """Refuse to launch a fleet again under the login window of the one that was lost.

    The window distinguishes servers from those that were verified before under the same id.

    Raises:
        ImmutableError: The window is the old one: this run leaves the generation's `Access` out.
    """
    if olds.get("window_ends") == news.get("window_ends"):
        raise make_left_out("The fleet is gone, and would be launched without a new login window.")


class Resource(dynamic.Resource, module="immutable-servers", name="Resource"):
    """A dynamic resource whose outputs are declared beside its inputs."""

    def __init__(
        self,
        provider: dynamic.ResourceProvider,
        name: str,
        inputs: Mapping[str, Input[Any]],
        outputs: Sequence[str],
        opts: ResourceOptions | None = None,
    ) -> None:
        """Register with `inputs`; each of `outputs` becomes an attribute."""
        super().__init__(provider, name, {**dict.fromkeys(outputs), **inputs}, opts)
