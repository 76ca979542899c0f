"""Looks what an update would do, does it, and goes back when the new generation does not please.

    .immutable/venv/bin/python docs/examples/deploy.py dev

What is behind `is_good` is yours: a smoke test, a look at a dashboard, a question to somebody.
"""

import sys

from immutable_servers.driver import Deployment, Serving
from immutable_servers.errors import ImmutableError


def main(stack: str) -> int:
    """Deploy one stack of the project in this folder; return the exit code of `./immutable`."""
    deployment = Deployment(".", stack, say=lambda line: print(line, file=sys.stderr))
    try:
        return deploy(deployment)
    except ImmutableError as error:  # what failed, the facts, what to do
        print(error, file=sys.stderr)
        return error.exit_code


def deploy(deployment: Deployment) -> int:
    """Preview, update, and judge what serves then."""
    plan = deployment.preview()
    for service in plan.services:
        print(f"{service.name}: {service.move}, {service.launched} servers are launched")
    if plan.result == "nothing":
        return 0
    outcome = deployment.up()
    for phase, seconds in outcome.phases.items():
        print(f"{phase} took {seconds} s")
    for serving in outcome.services:
        if not is_good(serving):
            deployment.rollback(serving.service, why="the smoke test failed")
    for generation in deployment.generations():
        print(f"{generation.service} {generation.id} {generation.state} {generation.address}")
    return 0


def is_good(serving: Serving) -> bool:
    """Judge a service by what it answers at `serving.address`."""
    return bool(serving.address)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "dev"))
