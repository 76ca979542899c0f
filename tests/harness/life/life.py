"""One generation's life and its successor's, on any target: the contract's own test.

Nothing of the core takes part: a small program on the real engine declares balancer and fleets,
and the roles do the rest. What is asserted is the contract, and is the same for every target.
"""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import testinfra  # type: ignore[import-untyped]

from harness.checkout import Checkout, Outcome
from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.front import Front, Reply
from immutable_servers.contract.ownership import Holdings, Leftover, Owner
from immutable_servers.contract.values import ALL, Artifact, FleetSpec, Launch, Login, Route, Scope
from immutable_servers.errors import ImageError, LaunchError, RetirementError, TrafficError
from immutable_servers.ledger.records import Record, State
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets import load_target

if TYPE_CHECKING:
    from immutable_servers.contract.target import Target

FIRST, SECOND, NOBODY = "aaaaaaaa", "bbbbbbbb", "cccccccc"
UNASKABLE = Holdings(unasked="its state is on another machine")
EMPTY = Holdings(exists=True)


@dataclass
class Life:
    """One stack on a target, declared and looked at without the core.

    Attributes:
        checkout: A copy of the ring's sample: its environment, and where the program runs.
        artifact: The id of a baked image, from which servers are launched.
        port: What its servers listen on.
        route: Where the service answers.
        said: The progress so far.
    """

    checkout: Checkout
    artifact: str
    port: int
    route: Route
    said: list[str] = field(default_factory=list)
    declared: dict[str, FleetSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the small program in the place of the project's own."""
        shutil.copy(Path(__file__).with_name("program.py"), self.checkout.root / "__main__.py")
        settings = self.checkout.render_settings()
        self.name = settings["target"]
        self.settings: dict[str, Any] = settings.get(self.name, {})
        self.target: Target = load_target(self.name, self.settings)

    @property
    def owner(self) -> Owner:
        """Whose the stack is."""
        name, stack = self.checkout.name, self.checkout.stack
        return Owner("file://here", "0123456789ab", "organization", name, stack, "/checkout")

    def scope(self, generation: str = "") -> Scope:
        """Return the scope of the service or of one generation."""
        return Scope(self.checkout.name, self.checkout.stack, self.route.service, generation)

    def declare(self, generation: str, servers: int) -> Outcome:
        """Declare a fleet beside those that are declared, or with another count, and update."""
        before = self.declared.get(generation)
        self.declared[generation] = (
            replace(before, servers=servers) if before else self._make_spec(generation, servers)
        )
        return self.update()

    def leave_out(self, generation: str) -> Outcome:
        """Declare a fleet no longer, and update."""
        del self.declared[generation]
        return self.update()

    def update(self) -> Outcome:
        """Run the engine on what is declared; it has to succeed."""
        wish = {
            "target": self.name,
            "settings": self.settings,
            "owner": self.owner.__dict__,
            "route": self.route.to_plain(),
            "first": 1,
            "fleets": [spec.to_plain() for spec in self.declared.values()],
        }
        (self.checkout.root / "life.json").write_text(json.dumps(wish))
        done = self.checkout.up()
        assert done.code == 0, done.text
        return done

    def forget(self) -> None:
        """Lose the state, as a killed run that made everything does."""
        stack = self.checkout.stack
        self.checkout.pulumi("stack", "rm", "--force", "--yes", "--preserve-config", "-s", stack)
        self.checkout.pulumi("stack", "init", stack)

    def list_servers(self, generation: str) -> list[str]:
        """Return the names of a generation's servers."""
        servers = self.target.fleets.find_servers(self.scope(generation))
        return sorted(server.name for server in servers)

    def wait_until_serving(self, generation: str) -> None:
        """Wait until the balancer's checks have seen every server."""
        servers = self.target.fleets.wait_until_launched(
            self.scope(generation), self.target.answers_within, self.said.append
        )
        assert servers == self.declared[generation].servers, self.said

    def wait_until_left(self, *generations: str) -> None:
        """Wait until these are all there are: a cloud may list what has just gone for a moment."""
        find, left = partial(self.target.fleets.find, self.scope()), set(generations)
        found = wait_until("the end", 10, find, done=lambda them: set(them) == left, every=0.2)
        assert set(found) == left

    def find_leftovers(self, held: Holdings) -> dict[str, Leftover]:
        """Return the stack's fleets that are left over when states say `held`, by generation.

        Other stacks of the same world are not looked at.
        """
        found = self.target.ownership.find_leftovers(lambda _owner: held)
        ours = f"{self.checkout.name}/{self.checkout.stack}/"
        return {
            one.name[-8:]: one for one in found if one.kind == "fleet" and one.name.startswith(ours)
        }

    def _make_spec(self, generation: str, servers: int) -> FleetSpec:
        launch = Launch("small", self.port, "/healthz", {"GREETING": "hello"})
        window_ends = int(time.time()) + LOGIN_WINDOW
        record = Record(
            generation=generation,
            order=1,
            state=State.CANDIDATE,
            image="app",
            version="0" * 12,
            images={"app": "0" * 12},
            artifact=self.artifact,
            launch=launch.to_plain(),
            shape="0" * 12,
            servers=servers,
            round=1,
            window_ends=window_ends,
        )
        return FleetSpec(
            scope=self.scope(generation),
            artifact=self.artifact,
            launch=launch,
            servers=servers,
            record=record.to_plain(),
            inspection_key=self.target.access.make_inspection_key(self.scope(generation)),
            public_key=self.target.access.make_key(self.scope(generation)),
            window_ends=window_ends,
        )


def live(life: Life) -> None:
    """Live through all of it, in the order in which a generation does."""
    target = life.target
    target.ownership.begin_update(life.owner, ())
    be_launched(life)
    be_declared_twice(life)
    be_adopted(life)
    be_verified(life)
    be_sealed(life)
    grow_sealed(life)
    be_pointed_to(life)
    refuse_to_be_deleted(life)
    hold_its_image(life)
    be_followed(life)
    be_drained_and_leave(life)
    be_swept(life)
    end(life)


def be_launched(life: Life) -> None:
    """A fleet is launched, is whole, and carries its record; nobody is sent to it."""
    life.declare(FIRST, 1)
    fleet = life.target.fleets.find(life.scope())[FIRST]
    assert (fleet.servers, fleet.whole, fleet.leaving) == (1, True, False)
    assert Record.read(fleet.record, "the fleet").generation == FIRST
    assert life.list_servers(FIRST)
    assert dict(life.target.balancer.find_weights(life.scope())) == {}
    assert life.target.balancer.find_live(life.scope()) == ""
    life.target.ownership.begin_update(life.owner, [f"{life.route.service}-{FIRST}"])
    assert life.target.ownership.find_owner(Scope(life.owner.project, life.owner.stack)) == (
        life.owner
    )


def be_declared_twice(life: Life) -> None:
    """The same declaration again changes nothing."""
    assert life.update().steps == []


def be_adopted(life: Life) -> None:
    """A run without a state takes up the servers that it finds, and makes no other ones."""
    servers = life.list_servers(FIRST)
    life.forget()
    life.update()
    assert life.list_servers(FIRST) == servers
    assert set(life.target.fleets.find(life.scope())) == {FIRST}


def be_verified(life: Life) -> None:
    """Every server answers its health check, and takes a login while the window is open.

    Nobody was on it before, and people's way in is another one than the verifier's.
    """
    life.wait_until_serving(FIRST)
    health = life.target.fleets.find_health(life.scope(FIRST))
    assert [answer.server for answer in health] == life.list_servers(FIRST)
    assert all(answer.ok and answer.serving for answer in health)
    described = life.target.access.describe_logins(life.scope(FIRST))
    logins = life.target.access.open_logins(life.scope(FIRST))
    assert sorted(login.server for login in logins) == life.list_servers(FIRST)
    assert [login.server for login in described] == [login.server for login in logins]
    assert all(takes_login(login) for login in logins)
    assert {login.ssh_config for login in described}.isdisjoint(one.ssh_config for one in logins)
    assert life.target.access.find_inspection(life.scope(FIRST)) == ""
    assert [*life.target.access.find_used(life.scope(FIRST))] == []


def takes_login(login: Login) -> bool:
    """Run a command on a server, as its checks would."""
    host = testinfra.get_host(login.host, ssh_config=login.ssh_config or None)
    code: int = host.run("true").rc
    return code == 0


def be_sealed(life: Life) -> None:
    """No way in is left: no login, no key, nothing that says how; sealing again is no error."""
    scope = life.scope(FIRST)
    life.target.access.close_window(scope, life.said.append)
    life.target.access.close_window(scope, life.said.append)
    assert [*life.target.access.describe_logins(scope)] == []
    with pytest.raises(LaunchError):
        life.target.access.open_logins(scope)


def grow_sealed(life: Life) -> None:
    """A server that comes later boots sealed, serves, and leaves the first one alone."""
    before = life.list_servers(FIRST)
    life.declare(FIRST, 2)
    life.wait_until_serving(FIRST)
    assert set(before) < set(life.list_servers(FIRST))
    assert len(life.list_servers(FIRST)) == 2
    with pytest.raises(LaunchError):
        life.target.access.open_logins(life.scope(FIRST))


def be_pointed_to(life: Life) -> None:
    """Traffic is what the balancer says afterwards, and only goes where somebody answers."""
    balancer, scope = life.target.balancer, life.scope(FIRST)
    with pytest.raises(TrafficError):
        balancer.set_traffic(scope, {FIRST: ALL - 1})
    with pytest.raises(TrafficError):
        balancer.set_traffic(scope, {NOBODY: ALL})
    assert dict(balancer.find_weights(scope)) == {}
    balancer.set_traffic(scope, {FIRST: ALL})
    assert dict(balancer.find_weights(scope)) == {FIRST: ALL}
    assert balancer.is_pointing(scope)
    assert balancer.find_live(life.scope()) == FIRST
    ask = balancer.prepare_question(Front(life.route, "/healthz", 0.0), scope)
    replies = wait_until("the address", 60, ask, done=are_answers, every=0.1)
    assert are_answers(replies), replies


def are_answers(replies: Sequence[Reply]) -> bool:
    """Tell whether each node has answered as a user wants it, by somebody who may have a name."""
    names = {name.rpartition("-")[2] for reply in replies for name in reply.names}
    return names <= {FIRST} and not any(reply.failure for reply in replies)


def refuse_to_be_deleted(life: Life) -> None:
    """What serves is deleted by nobody, also when no state knows it."""
    before = life.list_servers(FIRST)
    with pytest.raises(RetirementError):
        life.target.fleets.delete(life.scope(FIRST))
    left = life.find_leftovers(EMPTY)[FIRST]
    assert not left.sure
    with pytest.raises(RetirementError):
        life.target.ownership.remove_leftover(left, lambda _owner: EMPTY)
    assert life.list_servers(FIRST) == before


def hold_its_image(life: Life) -> None:
    """What it runs is deleted by nobody; the catalog's role names who needs it."""
    images = life.target.images
    artifact = Artifact("app", "0" * 12, life.artifact, digest="0" * 64)
    found = next((one for one in images.list() if one.id == life.artifact), artifact)
    assert images.find_servers(found)
    with pytest.raises(ImageError, match="cannot be deleted"):
        images.delete(found)


def be_followed(life: Life) -> None:
    """A second generation is launched beside, and takes the traffic from a running first one."""
    life.declare(SECOND, 1)
    life.wait_until_serving(SECOND)
    assert len(life.list_servers(FIRST)) == 2
    assert life.target.balancer.is_pointing(life.scope(FIRST))
    if life.target.can_weigh:
        shares = {FIRST: ALL - 10, SECOND: 10}
        life.target.balancer.set_traffic(life.scope(), shares)
        assert dict(life.target.balancer.find_weights(life.scope())) == shares
        assert life.target.balancer.find_live(life.scope()) == FIRST
    life.target.balancer.set_traffic(life.scope(), {SECOND: ALL})
    assert life.target.balancer.is_pointing(life.scope(SECOND))


def be_drained_and_leave(life: Life) -> None:
    """The first generation is drained and deleted; to delete it again is no error."""
    life.target.balancer.drain(life.scope(FIRST), 5, life.said.append)
    life.leave_out(FIRST)
    life.wait_until_left(SECOND)
    life.target.fleets.delete(life.scope(FIRST))
    life.target.access.delete_key(life.scope(FIRST))
    life.target.balancer.drain(life.scope(FIRST), 0, life.said.append)
    assert life.list_servers(FIRST) == []
    assert life.target.balancer.is_pointing(life.scope(SECOND))


def be_swept(life: Life) -> None:
    """A fleet without a state is found; it goes once it serves nobody, and is asked for again."""
    remove = life.target.ownership.remove_leftover
    name = f"{life.route.service}-{SECOND}"
    known = Holdings(exists=True, names=frozenset({name, "balancer"}))
    under_way = replace(EMPTY, run="under way")
    assert life.find_leftovers(known) == {}
    assert life.find_leftovers(under_way) == {}
    life.target.balancer.set_traffic(life.scope(), {})
    assert not life.find_leftovers(UNASKABLE).get(SECOND, Leftover("", "", "", sure=False)).sure
    left = life.find_leftovers(EMPTY)[SECOND]
    assert left.sure
    assert not remove(left, lambda _owner: known)
    assert life.list_servers(SECOND)
    assert remove(left, lambda _owner: EMPTY)
    gone = wait_until("the end", 10, lambda: not remove(left, lambda _owner: EMPTY), every=0.2)
    assert gone
    assert life.list_servers(SECOND) == []


def end(life: Life) -> None:
    """A destroy deletes what is left, also of a fleet that is gone already."""
    done = life.checkout.destroy()
    assert done.code == 0, done.text
    life.wait_until_left()
    assert dict(life.target.balancer.find_weights(life.scope())) == {}
