"""The contract on the emulated Google Compute Engine."""

from clouds.shared_tests.life import OneLife


class TestLife(OneLife):
    """Managed groups behind a global load balancer."""
