"""The contract on the emulated DigitalOcean."""

from clouds.shared_tests.life import OneLife


class TestLife(OneLife):
    """Droplets behind a load balancer that finds them by tag."""
