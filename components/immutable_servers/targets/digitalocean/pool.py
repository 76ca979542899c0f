"""A load balancer's pool at DigitalOcean: the droplets with the live tag, which it follows late."""

from collections.abc import Sequence

from immutable_servers.contract.front import Reply
from immutable_servers.contract.values import Member, Scope
from immutable_servers.targets.cloud.balancer import make_nowhere
from immutable_servers.targets.cloud.pool import Pace, PoolMove
from immutable_servers.targets.digitalocean.api import Api, Thing
from immutable_servers.targets.digitalocean.droplets import list_active
from immutable_servers.targets.digitalocean.names import tag_live, unpack_launch


class TagPool:
    """The pool of a service's load balancer."""

    pointed = "live tag"

    def __init__(self, api: Api, scope: Scope, found: Thing) -> None:
        self.api, self.scope, self.found, self.tag = api, scope, found, tag_live(scope)
        check = found["health_check"]
        once = check["healthy_threshold"] * check["check_interval_seconds"]
        self.check_seconds = float(once + check["response_timeout_seconds"])

    def ask(self) -> Sequence[Reply]:
        """Ask the balancer's address once, for what it asks servers for."""
        # What most processes never do needs modules that take their time to be imported.
        from immutable_servers.contract.asking import ask_every_node  # noqa: PLC0415

        # Where a port redirects to HTTPS, the one of HTTPS leads to servers.
        rule = max(self.found["forwarding_rules"], key=lambda one: one["entry_protocol"])
        host, path = f"{self.found['ip']}:{rule['entry_port']}", self.found["health_check"]["path"]
        return ask_every_node(f"{rule['entry_protocol']}://{host}", host, path)

    def join(self, servers: Sequence[int]) -> None:
        """Give droplets the tag."""
        self.api.tag_droplets(self.tag, servers)

    def leave(self, servers: Sequence[int]) -> None:
        """Take the tag off droplets."""
        self.api.untag_droplets(self.tag, servers)

    def find_held(self) -> set[int]:
        """Return the droplets that the balancer says it has."""
        found = self.api.find("load_balancers", lb_id=self.found["id"])
        if found is None:
            raise make_nowhere(self.scope.service)
        return {*(found.get("droplet_ids") or ())}

    def describe(self, droplet: Thing) -> Member:
        """Return a droplet that runs as a member, now or after a move."""
        if self.tag not in droplet["tags"]:
            return Member(up=True, detail="it runs, and no pool has it yet")
        is_held = droplet["id"] in (self.found.get("droplet_ids") or ())
        return Member(is_held, "the pool has it" if is_held else "the pool does not have it yet")

    def move(self, pace: Pace, new: Sequence[Thing]) -> None:
        """Have these droplets of the scope's generation be the pool.

        Raises:
            TrafficError: It does not follow, or the address is answered badly.
        """
        live, ready = self.api.list("droplets", tag_name=self.tag), list_active(new)
        launches = [unpack_launch(self.scope, one["tags"]) for one in ready]
        PoolMove(
            self,
            pace,
            self.scope,
            live=[one["id"] for one in live],
            alive=[one["id"] for one in list_active(live)],
            new=[one["id"] for one in new],
            ready=[one["id"] for one in ready],
            named=all(one.generation_header for one in launches),
        ).make()
