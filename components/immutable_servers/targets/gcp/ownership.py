"""Keeps owners in labels of stacks' addresses, and finds what no stack owns in a project.

What carries its own end is left over from then on; a fleet is when its stack's state does not know
it. Names and descriptions say whose a thing is where Google has no labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from immutable_servers.contract.ownership import Leftover, Owner
from immutable_servers.contract.values import Scope
from immutable_servers.targets.cloud import bakes
from immutable_servers.targets.cloud.ends import Thing
from immutable_servers.targets.cloud.ownership import HALF, NamedOwnership
from immutable_servers.targets.cloud.tags import OWNER, SCOPE, pack_owner, unpack_owner
from immutable_servers.targets.gcp.access import GcpAccess, remove_in_zones
from immutable_servers.targets.gcp.api import MISSING
from immutable_servers.targets.gcp.bake import find_bakes
from immutable_servers.targets.gcp.fronts import PROXIES
from immutable_servers.targets.gcp.groups import GROUPS
from immutable_servers.targets.gcp.names import LABELS, describe, last_part, make_name, read_words
from immutable_servers.targets.shared.leftovers import Part

OWNERS = f"{LABELS.prefix}{OWNER}"
"""How the labels begin that hold an owner."""
PARTS = (GROUPS, "instanceTemplates", "backendServices", "healthChecks", "firewalls")
"""What a generation consists of: a killed run may have made any of them alone."""
ACCOUNTS = "serviceAccounts"
STACK_PARTS = (
    "globalForwardingRules",
    *PROXIES,
    "urlMaps",
    "backendServices",
    "sslCertificates",
    "sslPolicies",
    "firewalls",
    ACCOUNTS,
    "globalAddresses",
)
"""What a stack has beside generations, in the order in which it can be removed. The address is the
last: it says which state is to be asked."""


class GcpOwnership(NamedOwnership):
    """Owners of stacks' addresses, and leftovers found by our labels and words.

    An instance goes before its disk, which it holds.
    """

    ended: ClassVar[Mapping[str, str]] = {
        "instance": "instances",
        "disk": "disks",
        "login rule": "firewalls",
    }
    access: GcpAccess

    def __init__(self, access: GcpAccess) -> None:
        self.access, self.fleets, self.api = access, access.fleets, access.api

    def find_owner(self, scope: Scope) -> Owner | None:
        """Read it from the labels of the stack's address; None when it cannot be read."""
        found = self.api.find("globalAddresses", named=make_name(scope.of_stack))
        return unpack_owner(LABELS, (found or {}).get("labels", {}))

    def list_owners(self) -> Sequence[Owner]:
        """Read the owner of each stack that has an address in the project."""
        labels = [one.get("labels", {}) for one in self.api.list("globalAddresses")]
        return [owner for owner in (unpack_owner(LABELS, one) for one in labels) if owner]

    def write_owner(self, owner: Owner) -> None:
        """Write an owner into the labels of its stack's address; without one there is no place."""
        name, packed = make_name(Scope(owner.project, owner.stack)), pack_owner(LABELS, owner)
        found = self.api.call("globalAddresses", "get", missing=MISSING, address=name)
        if found and packed:
            labels = found.get("labels", {})
            others = {key: labels[key] for key in labels if not key.startswith(OWNERS)}
            body = {"labels": {**others, **packed}, "labelFingerprint": found["labelFingerprint"]}
            self.api.call("globalAddresses", "setLabels", resource=name, body=body)

    def _find(self, word: str) -> Iterator[Thing]:
        for one in find_bakes(self.api, word):
            yield Thing(one["name"], bakes.read_bake(one["name"]))
        others = {"instances": self.access.find_probes, "firewalls": self.access.find_ways}
        if word in others:
            yield from others[word](Scope("", ""))

    def _remove(self, word: str, name: str) -> None:
        if word == "firewalls":
            self.api.delete(word, name)
        else:
            remove_in_zones(self.api, word, name)

    def _remove_half(self, name: str) -> None:
        self.api.delete("images", name)

    def _find_halves(self) -> Iterator[Leftover]:
        """Yield images with a name of ours that Google could not make.

        A bake labels what it makes as it makes it. Nothing proves whose one without labels is.
        """
        for image in self.api.list("images", filter='name eq "im-.*"'):
            if image["status"] == "FAILED":
                is_ours = bool(LABELS.read(image.get("labels", {})))
                why = "of a bake that failed" if is_ours else "it failed; it has no labels of ours"
                yield Leftover(HALF, image["name"], why, sure=is_ours)

    def find_scopes(self) -> Sequence[Scope]:
        """Ask for all that generations consist of."""
        return [*dict.fromkeys(scope for scope, _ in self._find_named(PARTS) if scope.generation)]

    def _find_stack_parts(self) -> Iterator[Part]:
        for collection in STACK_PARTS:
            where = {"service": "iam"} if collection == ACCOUNTS else {}
            for scope, name in self._find_named([collection]):
                if not scope.generation:
                    remove = partial(self.api.delete, collection, name, **where)
                    yield Part(scope, last_part(name), remove)

    def _find_named(self, collections: Sequence[str]) -> Iterator[tuple[Scope, str]]:
        """Yield whose the things in some collections are that are ours, and their names.

        Only what has both a name and a description of ours is: people copy descriptions.
        """
        for one in (one for collection in collections for one in self._list(collection)):
            words = read_words(one)
            scope = Scope(*(words.get(word, "") for word in SCOPE))
            if words and _is_name_of(one["name"], scope):
                yield scope, one["name"]

    def _list(self, collection: str) -> Iterator[Mapping[str, Any]]:
        """Yield what there is; the title of an account that we have made is taken for words."""
        if collection != ACCOUNTS:
            yield from self.api.list(collection)
            return
        for one in self.api.list(collection, service="iam"):
            service, _, whose = one.get("displayName", "").partition(" of ")
            project, _, stack = whose.partition("/")
            yield {"name": one["name"], "description": describe(Scope(project, stack, service))}


def _is_name_of(name: str, scope: Scope) -> bool:
    """Return whether a name is a scope's; a proxy has its map's, and the words of the stack."""
    own = last_part(name).partition("@")[0]  # an account's is its address
    service = replace(scope, service=own.rpartition("-")[0])
    return f"{own}-".startswith(f"{make_name(scope)}-") or own == make_name(service)
