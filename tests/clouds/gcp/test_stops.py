"""A Ctrl-C while a run waits for Google: it ends the wait, and the next run goes on from there."""

from clouds.shared_tests.stops import Stops
from harness.gcp.gcp_project import GcpProject


class TestStops(Stops[GcpProject]):
    """The waits of every cloud."""

    moved = ("traffic",)
