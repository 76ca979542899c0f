"""Progress lines of the dynamic resources, each naming its phase and its resource.

`pulumi.log` does not work in dynamic providers; what they print shows live on the stack's row.
"""

from immutable_servers.contract.values import Say, Scope
from immutable_servers.text.printable import make_safe, shorten


def start_saying(phase: str, scope: Scope) -> Say:
    """Return a function that prints each line of a text as `verify web-3f2a9c41: 12 passed`."""
    name = "-".join(filter(None, (scope.service, scope.generation)))

    def say(text: str) -> None:
        for line in make_safe(text).splitlines():
            whole = shorten(f"{phase} {name}: {line}") + "\n"
            # In one write: other servers' threads say theirs at the same time.
            print(whole, end="", flush=True)  # noqa: T201 - the engine shows it

    return say
