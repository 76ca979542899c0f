"""Notes each change of where a service's traffic goes, and how its machines are right then."""

from typing import Any

from clouds.gcp.emulation.health import find_health
from clouds.gcp.emulation.machines import find_machines
from clouds.gcp.emulation.routing import EVERYTHING, Asked, find_action
from clouds.gcp.emulation.store import Thing
from clouds.gcp.emulation.world import World


class Pointers:
    """Weights of each path matcher, by map and name, as they were noted last."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.noted: dict[tuple[str, str], dict[str, int]] = {}
        self.seen = -1

    def settle(self) -> None:
        """Note what has changed."""
        if self.world.store.changes == self.seen:
            return
        self.seen = self.world.store.changes
        for path, url_map in self.world.store.list_all("urlMaps").items():
            for matcher in url_map.get("pathMatchers", ()):
                weights = read_weights(matcher)
                if self.noted.get((path, matcher["name"]), {}) != weights:
                    self.noted[path, matcher["name"]] = weights
                    self._note(path, matcher["name"], weights)

    def end(self) -> None:
        """Leave nothing behind."""

    def _note(self, path: str, service: str, weights: dict[str, int]) -> None:
        place = path.rpartition("/urlMaps/")[0]
        targets = {name: self._describe(f"{place}/backendServices/{name}") for name in weights}
        self.world.journal.note("traffic", service=service, weights=weights, targets=targets)

    def _describe(self, backend: str) -> dict[str, dict[str, Any]]:
        """Return state and seal of each machine of a backend service, by its name."""
        health, running = find_health(self.world), find_machines(self.world).running
        return {
            path.rpartition("/")[2]: {
                "state": target.state.lower(),
                "sealed": path in running and running[path].sealed,
            }
            for (service, path), target in [*health.targets.items()]
            if service == backend
        }


def read_weights(matcher: Thing) -> dict[str, int]:
    """Return what a path matcher does with a request that no rule takes; empty refuses all."""
    default = {key: value for key, value in matcher.items() if key not in ("routeRules", "name")}
    found = find_action(default, Asked("", "/"))
    refused = found.redirect or (found.abort and found.abort[1] >= EVERYTHING)
    return {} if refused else {name: part for name, part in found.services.items() if part}
