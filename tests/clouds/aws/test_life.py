"""The contract on the emulated EC2."""

from clouds.shared_tests.life import OneLife


class TestLife(OneLife):
    """Auto Scaling groups behind a load balancer."""
