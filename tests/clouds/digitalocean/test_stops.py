"""A Ctrl-C while a run waits for DigitalOcean: it ends the wait, and the next run goes on."""

from clouds.shared_tests.stops import Stops
from harness.digitalocean.do_project import DoProject


class TestStops(Stops[DoProject]):
    """Droplets are asked for health by this machine, through the firewall of their window."""

    launched = ("boot", "boot")
    waits = ("images.list", *["droplets.list"] * 12)
    reach = "public"
    moved = ("tags.unassign_resources", "loadBalancers.get")
