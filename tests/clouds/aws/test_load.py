"""The load run on Amazon EC2: each node of the balancer is asked by itself."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from clouds.aws.emulation.cloud_names import list_addresses
from clouds.shared_tests.load import Load, Pace
from immutable_bench.client import Clients, start_clients


class TestLoad(Load):
    """Nodes need up to a minute."""

    scaled = Pace(follow=4.0, settle=2, rate=20)
    real = Pace(follow=60.0, settle=2, rate=60)

    @contextmanager
    def start_clients(self, address: str, rate: int) -> Iterator[Sequence[Clients]]:
        """Yield clients of each node that a balancer's name leads to."""
        place = urlsplit(address)
        nodes = list_addresses(str(place.hostname))
        with ExitStack() as ending:
            yield [
                ending.enter_context(start_clients(f"http://{node}:{place.port}", rate))
                for node in nodes
            ]
