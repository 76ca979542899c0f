"""Which connections the firewall rules of a network let come to an instance.

The rule with the lowest number decides, a deny before an allow of the same one, and nobody is let
in by no rule: https://cloud.google.com/firewall/docs/firewalls#priority_order_for_firewall_rules
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

Thing = Mapping[str, Any]


def is_let_in(rules: Iterable[Thing], instance: Thing, source: str, port: int) -> bool:
    """Tell whether a TCP connection from an address to an instance's port is let in."""
    networks = {find_network(one) for one in instance["networkInterfaces"]}
    found = [
        (int(rule.get("priority", 1000)), "allowed" in rule)
        for rule in rules
        if find_network(rule) in networks and _concerns(rule, instance, source, port)
    ]
    return min(found, default=(0, False))[1]


def find_network(thing: Thing) -> str:
    """Return the name of the network of a rule or a card."""
    return str(thing.get("network", "default")).rpartition("/")[2]


def _concerns(rule: Thing, instance: Thing, source: str, port: int) -> bool:
    """Tell whether a rule is about such a connection."""
    if rule.get("direction", "INGRESS") != "INGRESS" or rule.get("disabled"):
        return False
    protocols = rule.get("allowed") or rule.get("denied") or ()
    return (
        _aims_at(rule, instance)
        and _comes_from(rule, source)
        and any(_holds(one, port) for one in protocols)
    )


def _aims_at(rule: Thing, instance: Thing) -> bool:
    """Tell whether an instance is one of a rule's targets; without targets each is."""
    accounts, tags = rule.get("targetServiceAccounts"), rule.get("targetTags")
    if accounts:
        return any(one.get("email") in accounts for one in instance.get("serviceAccounts", ()))
    return not tags or bool({*tags} & {*instance.get("tags", {}).get("items", ())})


def _comes_from(rule: Thing, source: str) -> bool:
    """Tell whether an address is one of a rule's sources; without sources each is."""
    named = rule.get("sourceTags") or rule.get("sourceServiceAccounts")
    ranges = rule.get("sourceRanges", () if named else ("0.0.0.0/0",))
    address = ipaddress.ip_address(source)
    return any(address in ipaddress.ip_network(one) for one in ranges)


def _holds(protocol: Thing, port: int) -> bool:
    if protocol["IPProtocol"] not in ("all", "tcp"):
        return False
    ports = protocol.get("ports")
    return not ports or any(_is_within(one, port) for one in ports)


def _is_within(text: str, port: int) -> bool:
    low, _, high = str(text).partition("-")
    return int(low) <= port <= int(high or low)
