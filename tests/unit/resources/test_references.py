"""What the states of users' stacks say of our code: module and name of each provider class."""

import importlib

import pytest

PACKAGE = "immutable_servers"
REFERENCES = (
    ("generations.access", "AccessProvider"),
    ("generations.leftovers", "LeftoversProvider"),
    ("generations.release", "ReleaseProvider"),
    ("generations.retirement", "RetirementProvider"),
    ("images.provider", "ImageProvider"),
    ("targets.aws.resources", "AwsFleetProvider"),
    ("targets.local.resources", "BalancerProvider"),
    ("targets.local.resources", "LocalFleetProvider"),
    ("traffic.resource", "TrafficProvider"),
    ("traffic.shares", "SharesProvider"),
    ("traffic.verdict", "VerdictProvider"),
    ("verification.resource", "VerificationProvider"),
    ("verification.seal", "SealProvider"),
)
"""As version 0.1.0 wrote them: an old state is read, and its resources deleted, by these."""


@pytest.mark.parametrize(("module", "name"), REFERENCES)
def test_a_state_finds_the_class_that_it_names(module: str, name: str) -> None:
    """A provider is stored by reference: a class that moves would break every stack there is."""
    found = getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)
    assert (found.__module__, found.__qualname__) == (f"{PACKAGE}.{module}", name)
