"""The contract on real machines."""

from collections.abc import Callable

import pytest

from harness.life.life import Life, live
from harness.local_stack import LocalStack
from immutable_servers.contract.values import Route


def test_a_generation_lives_on_real_machines(
    shared: LocalStack,
    new_stack: Callable[[str, int], LocalStack],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """QEMU and HAProxy keep the contract that every target keeps."""
    for name, value in shared.world.environment.items():
        monkeypatch.setenv(name, value)
    artifact = shared.ledger()["generations"][shared.live()]["artifact"]
    stack = new_stack("life", 1)
    live(Life(stack, artifact, 8000, Route("web", stack.port)))
