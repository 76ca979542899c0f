"""Refuses a run that would give up a service that serves, since the settings no longer name it.

A name that was changed or lost looks the same as a service that shall go. The engine would find
out only at the end, when it comes to delete the protected pointer, with a second balancer's worth
of the renamed service made by then, which it protects as well.
"""

from collections.abc import Collection

from immutable_servers.context import Place
from immutable_servers.errors import SettingsError
from immutable_servers.targets.contract import Target


def refuse_unnamed(services: Collection[str], place: Place, target: Target) -> None:
    """Raise when the balancer sends traffic to any of `services`, which the settings do not name.

    Raises:
        SettingsError: It does.
    """
    serving = [name for name in services if any(target.find_traffic(place.of(name).scope).values())]
    if serving:
        stack = place.scope.stack
        raise SettingsError(
            f"The settings do not name {', '.join(serving)} any more, and it serves",
            facts=["Nothing was changed: a service that serves is not deleted by a missing name."],
            todo="Put the name back; or give the service up:"
            f" ./immutable destroy {stack} --service {serving[0]}",
        )
