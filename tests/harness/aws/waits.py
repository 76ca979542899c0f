"""Waits of tests on the emulated cloud."""

import tenacity

from immutable_servers.contract.asking import ask_every_node

SECONDS = 30


def wait_until_served(url: str, generation: str) -> None:
    """Wait until each node of a balancer answers from a generation."""
    host = url.removeprefix("http://").partition("/")[0]

    def is_served() -> bool:
        replies = ask_every_node(url, host, "/")
        return all(generation in "".join(one.names) for one in replies)

    tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda found: not found),
        wait=tenacity.wait_fixed(0.1),
        stop=tenacity.stop_after_delay(SECONDS),
    )(is_served)
