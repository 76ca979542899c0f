"""Finds a stack's load balancer, its listeners and rules, and whose pointers these are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import make_name, make_tags, read_tags
from immutable_servers.targets.aws.pointers import Pointer, find_rule_hosts, read_listener

NO_BALANCER = ("LoadBalancerNotFound",)
GONE_POINTER = ("ListenerNotFound", "RuleNotFound", "ValidationError")
"""The last one is for what is another account's."""
AT_ONCE = 20
"""ARNs that `describe_tags` takes at once."""
POINTERS: dict[tuple[str, str, Scope], Sequence[Pointer]] = {}
"""Which listener or rule each service's pointer is, as this process has found it; where it points
is asked each time."""
CHANGING: set[tuple[str, str, Scope]] = set()
"""Services whose pointer comes or goes while this process runs: theirs are looked for each time."""


class Standing:
    """A stack's load balancer as AWS has it; a service's pointers are told by their tags."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def find_balancer(self, scope: Scope) -> Mapping[str, Any] | None:
        """Return the stack's load balancer, or None."""
        names = [make_name(scope.of_stack)]
        found = self.api.list("elbv2", "describe_load_balancers", missing=NO_BALANCER, Names=names)
        return next(iter(found), None)

    def find_listeners(self, scope: Scope) -> Sequence[Mapping[str, Any]]:
        """Return the listeners of the stack's load balancer."""
        balancer = self.find_balancer(scope)
        if balancer is None:
            return ()
        arn = balancer["LoadBalancerArn"]
        return self.api.list(
            "elbv2", "describe_listeners", missing=NO_BALANCER, LoadBalancerArn=arn
        )

    def find_rules(self, listener: str) -> Sequence[Mapping[str, Any]]:
        """Return a listener's rules without its default."""
        rules = self.api.list(
            "elbv2", "describe_rules", missing=("ListenerNotFound",), ListenerArn=listener
        )
        return [rule for rule in rules if not rule["IsDefault"]]

    def forget_pointer(self, scope: Scope) -> None:
        """Look for a service's pointers each time from now on: one of them comes or goes."""
        place = self._place(scope)
        CHANGING.add(place)
        POINTERS.pop(place, None)

    def _place(self, scope: Scope) -> tuple[str, str, Scope]:
        return (self.api.region, self.api.settings.profile, replace(scope, generation=""))

    def find_pointers(self, scope: Scope) -> Sequence[Pointer]:
        """Return a service's pointer; two while its route changes, none before the first run.

        To find it takes a question for each listener, to read it again one. Who asks once has asked
        for all of them.
        """
        place = self._place(scope)
        known = () if self.api.asked.is_on else POINTERS.get(place, ())
        found = [pointer for one in known for pointer in self._read_pointer(one)]
        if not found or len(found) < len(known):
            found = self._search_pointers(place[-1])
        if place not in CHANGING:
            POINTERS[place] = found
        return found

    def _read_pointer(self, known: Pointer) -> Sequence[Pointer]:
        """Return a pointer that this process has found before, with its actions of now."""
        if known.rule:
            rules = self.api.list(
                "elbv2", "describe_rules", missing=GONE_POINTER, RuleArns=[known.rule]
            )
            return [replace(known, actions=rule["Actions"]) for rule in rules]
        listeners = self.api.list(
            "elbv2",
            "describe_listeners",
            missing=GONE_POINTER,
            ListenerArns=[known.listener],
        )
        return [replace(known, actions=one.get("DefaultActions", [])) for one in listeners]

    def _search_pointers(self, service: Scope) -> list[Pointer]:
        """Look for the listeners, and the rules, with a service's tags."""
        found = [read_listener(listener) for listener in self.find_listeners(service)]
        owners = self._find_owners([one.listener for one in found], service)
        pointers = [one for one in found if owners.get(one.listener) == service]
        # A listener of another service has no rule for this one's host.
        for listener in [one for one in found if one.listener in owners]:
            rules = {
                rule["RuleArn"]: rule
                for rule in self.find_rules(listener.listener)
                if find_rule_hosts(rule)
            }
            marked = self._find_owners([*rules], service)
            for arn in [one for one in rules if marked.get(one) == service]:
                hosts, actions = find_rule_hosts(rules[arn]), rules[arn]["Actions"]
                pointers.append(replace(listener, rule=arn, hosts=hosts, actions=actions))
        return pointers

    def _find_owners(self, arns: Sequence[str], service: Scope) -> Mapping[str, Scope]:
        """Return those of `arns` that are the service's or the stack's own, by their tags."""
        owners = (service, service.of_stack)
        found: list[Mapping[str, Any]] = []
        for at in range(0, len(arns), AT_ONCE):
            some, key = arns[at : at + AT_ONCE], "TagDescriptions"
            found += self.api.list("elbv2", "describe_tags", key=key, ResourceArns=some)
        return {
            one["ResourceArn"]: owner
            for one in found
            for owner in owners
            if read_tags(one["Tags"]).items() >= make_tags(owner).items()
        }
