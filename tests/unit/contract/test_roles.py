"""What holds on every target, because the roles' bases do it: asked of the smallest role."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.digests import digest_inputs, join_digests, shorten
from immutable_servers.contract.fleets import Fleets
from immutable_servers.contract.images import Images, Packer
from immutable_servers.contract.ownership import Ask, Holdings, Kind, Leftover, Owner, Ownership
from immutable_servers.contract.values import (
    Answers,
    Artifact,
    BakeRequest,
    Fleet,
    Health,
    Member,
    Route,
    Say,
    Scope,
    Server,
)
from immutable_servers.errors import ImageError, RetirementError, StoppedError, TrafficError
from immutable_servers.system import stopping

SCOPE = Scope("project", "stack", "web", "3f2a9c41")
OTHER = "00000000"


@dataclass
class ToyBalancer(Balancer):
    """A pointer and groups in memory; `deaf` ones take no word."""

    weights: dict[str, int] = field(default_factory=dict)
    groups: dict[str, dict[str, Member]] = field(default_factory=dict)
    open: list[int] = field(default_factory=lambda: [0])
    deaf: bool = False
    drain_poll: float = 0.001

    def find_weights(self, scope: Scope) -> Mapping[str, int]:
        return dict(self.weights)

    def find_members(self, scope: Scope) -> Mapping[str, Member]:
        return self.groups.get(scope.generation, {})

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        return {}

    def find_address(self, route: Route, scope: Scope) -> str:
        return "toy://"

    def _point(self, scope: Scope, weights: Mapping[str, int]) -> None:
        if not self.deaf:
            self.weights = dict(weights)

    def _count_open(self, scope: Scope) -> int:
        return self.open.pop(0) if len(self.open) > 1 else self.open[0]


@dataclass
class ToyFleets(Fleets):
    """Fleets in memory."""

    balancer: ToyBalancer
    answers: list[Health] = field(default_factory=list)
    wanted: int = 1
    deleted: list[str] = field(default_factory=list)
    given_up: dict[str, str] = field(default_factory=dict)

    def find_given_up(self, scope: Scope) -> Mapping[str, str]:
        return self.given_up

    def find(self, scope: Scope) -> Mapping[str, Fleet]:
        there = len(self.answers)
        return {scope.generation: Fleet(scope.generation, {}, self.wanted, there > 0, there)}

    def find_servers(self, scope: Scope) -> Sequence[Server]:
        return [Server(one.server, "toy://") for one in self.answers]

    def find_trouble(self, scope: Scope) -> Sequence[str]:
        return ()

    def _ask_health(
        self, scope: Scope, fleet: Fleet | None, members: Mapping[str, Member]
    ) -> Sequence[Health]:
        return self.answers

    def _explain_missing(self, scope: Scope) -> str:
        return "no room"

    def _delete(self, scope: Scope) -> None:
        self.deleted.append(scope.generation)


@dataclass
class ToyImages(Images):
    """Images in memory."""

    held: list[Artifact] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    def _find(self, image: str, version: str) -> Artifact | None:
        return next(
            (one for one in self.held if (one.image, one.version) == (image, version)), None
        )

    def list(self) -> Sequence[Artifact]:
        return self.held

    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        raise NotImplementedError

    def find_upstream(
        self, image_settings: Mapping[str, Any], known: Mapping[str, Any], say: Say
    ) -> dict[str, Any]:
        raise NotImplementedError

    def _bake(self, request: BakeRequest, packer: Packer) -> None:
        """Leave nothing."""

    def find_servers(self, artifact: Artifact) -> Sequence[str]:
        return self.users

    def _delete(self, artifact: Artifact) -> None:
        self.held.remove(artifact)


@dataclass
class ToyOwnership(Ownership):
    """One kind of leftover."""

    left: list[str] = field(default_factory=list)
    owner: Owner | None = None
    written: int = 0

    @property
    def kinds(self) -> Mapping[str, Kind]:
        return {"thing": Kind(self._find, self._remove)}

    def find_owner(self, scope: Scope) -> Owner | None:
        return self.owner

    def _write_owner(self, owner: Owner) -> None:
        self.owner, self.written = owner, self.written + 1

    def _find(self, ask: Ask) -> Any:  # noqa: ANN401 - an iterator
        return iter([Leftover("thing", name, "") for name in self.left if ask(None).exists])

    def _remove(self, name: str, _ask: Ask) -> bool:
        self.left.remove(name)
        return True


def make_balancer() -> ToyBalancer:
    """Return one that knows two generations, each with a server that is up."""
    groups = {one: {f"web-{one}-0": Member(up=True)} for one in (SCOPE.generation, OTHER)}
    return ToyBalancer(groups=groups)


@pytest.mark.parametrize("weights", [{OTHER: 99}, {OTHER: 60, SCOPE.generation: 60}])
def test_weights_that_are_not_a_hundred_are_refused(weights: dict[str, int]) -> None:
    """Traffic stays where it is."""
    balancer = make_balancer()
    with pytest.raises(TrafficError, match="cannot be set"):
        balancer.set_traffic(SCOPE, weights)
    assert balancer.weights == {}


def test_traffic_never_goes_anew_to_a_generation_without_a_server_that_is_up() -> None:
    """One that has a share already may be given all: to take it away would not be better."""
    balancer = make_balancer()
    balancer.groups[OTHER] = {f"web-{OTHER}-0": Member(up=False, detail="DOWN")}
    with pytest.raises(TrafficError) as raised:
        balancer.set_traffic(SCOPE, {OTHER: 100})
    assert f"web-{OTHER}-0: DOWN" in raised.value.facts
    balancer.weights = {OTHER: 90, SCOPE.generation: 10}
    balancer.set_traffic(SCOPE, {OTHER: 100})
    assert balancer.weights == {OTHER: 100}


def test_a_move_is_read_back() -> None:
    """A balancer that does not do as it was asked fails the move, whatever its API answered."""
    balancer = make_balancer()
    balancer.deaf = True
    with pytest.raises(TrafficError, match="did not do as it was asked"):
        balancer.set_traffic(SCOPE, {OTHER: 100})


def test_a_drain_ends_when_nothing_is_open_or_the_time_is_over() -> None:
    """The line says which of the two it was."""
    said: list[str] = []
    balancer = make_balancer()
    balancer.open = [2, 1, 0]
    balancer.drain(SCOPE, 60, said.append)
    balancer.open = [3]
    balancer.drain(SCOPE, 0, said.append)
    assert said == ["drained", "waited for 0 s, connections left: 3"]


def test_a_drain_hears_an_interrupt() -> None:
    """It ends as soon as the process is asked to stop, long before its deadline."""
    balancer = make_balancer()
    balancer.open = [1]
    stopping.STOP.set()
    try:
        with pytest.raises(StoppedError):
            balancer.drain(SCOPE, 3600, lambda _line: None)
    finally:
        stopping.STOP.clear()


def test_strangers_and_missing_servers_are_sick() -> None:
    """What the group holds and the fleet does not is told, and what the fleet should have."""
    balancer = make_balancer()
    own, stranger = f"web-{SCOPE.generation}-0", "web-somebody"
    balancer.groups[SCOPE.generation] = {own: Member(up=True), stranger: Member(up=True)}
    fleets = ToyFleets(balancer, [Health(own, ok=True, detail="200 OK")], wanted=2)
    first, strange, missing = fleets.find_health(SCOPE)
    assert (first.server, first.ok, first.serving) == (own, True, True)
    assert (strange.server, strange.ok) == (stranger, False)
    assert not missing.ok
    assert missing.detail == "1 of 2 servers exist: no room"


def test_a_server_outside_of_the_group_does_not_serve() -> None:
    """It may be healthy: no request reaches it."""
    balancer = ToyBalancer()
    fleets = ToyFleets(balancer, [Health("web-0", ok=True, detail="200 OK")])
    assert [one.serving for one in fleets.find_health(SCOPE)] == [False]


def test_a_server_that_the_balancer_refuses_is_sick() -> None:
    """Whatever it answers to us, no request reaches it; its line is the balancer's."""
    balancer = make_balancer()
    balancer.groups[SCOPE.generation] = {"web-0": Member(up=False, detail="DOWN: L7STS 400")}
    fleets = ToyFleets(balancer, [Health("web-0", ok=True, detail="200 OK")])
    (health,) = fleets.find_health(SCOPE)
    assert (health.ok, health.serving) == (False, False)
    assert health.detail == "the balancer says DOWN: L7STS 400"


def test_a_launch_ends_when_a_server_will_never_serve() -> None:
    """Its deadline is not waited out, and the reason is said in place of what it looks like."""
    fleets = ToyFleets(ToyBalancer(), [Health("web-0", ok=False, detail="boots")])
    said: list[str] = []
    fleets.given_up = {"web-0": "the quota is used up"}
    assert fleets.wait_until_launched(SCOPE, 3600, said.append) == 0
    assert said == ["web-0 does not serve: the quota is used up", "0 servers serve"]


def test_what_serves_is_not_deleted() -> None:
    """The balancer is asked before each deletion."""
    fleets = ToyFleets(make_balancer())
    fleets.balancer.weights = {SCOPE.generation: 10, OTHER: 90}
    with pytest.raises(RetirementError, match="still serves"):
        fleets.delete(SCOPE)
    fleets.balancer.weights = {OTHER: 100}
    fleets.delete(SCOPE)
    assert fleets.deleted == [SCOPE.generation]


def test_an_image_that_is_used_is_not_deleted() -> None:
    """Neither a parent of another one, nor one that a server runs, is revoked or unproven."""
    base = Artifact("base", "1" * 12, "base-1", digest="1" * 64)
    app = Artifact("app", "2" * 12, "app-2", {"base": base.version}, digest="2" * 64)
    images = ToyImages([base, app])
    with pytest.raises(ImageError) as raised:
        images.delete(base)
    assert raised.value.facts == ("app-2 was baked from it",)
    images.users = ["the server web-0 runs it"]
    with pytest.raises(ImageError):
        images.delete(app)
    images.users = []
    for held, why in (
        (replace(app, facts={"marks": {"revoked": "CVE"}}), "its mark has to be remembered"),
        (replace(app, digest=""), "does not say what it was baked from"),
    ):
        with pytest.raises(ImageError) as raised:
            images.delete(held)
        assert why in raised.value.facts[0]
    images.delete(app)
    images.delete(base)
    assert images.held == []


def test_a_bake_that_leaves_nothing_in_the_catalog_has_failed() -> None:
    """Whatever Packer said: an artifact is what is found by its version afterwards."""
    request = make_request("2" * 64)
    with pytest.raises(ImageError, match="left no whole artifact"):
        ToyImages().bake(request, cast("Packer", None))


def make_request(digest: str) -> BakeRequest:
    """Return what a role needs to know of a bake."""
    lineage = {"digest": digest}
    plain = SimpleNamespace(image="app", version=shorten(digest), lineage=lineage)
    return cast("BakeRequest", plain)


def make_old(image: str, **inputs: object) -> Artifact:
    """Return an artifact of an early program: it keeps its inputs, and no digest."""
    plain = {"image": image, "sources": {}, **inputs}
    version = shorten(digest_inputs(plain))
    return Artifact(image, version, f"{image}/{version}", facts={"manifest": plain})


def test_an_artifact_of_another_digest_is_refused() -> None:
    """Twelve digits are no identity: both digests are named, and the ways out."""
    wanted, other = "2" * 64, "2" * 12 + "3" * 52
    images = ToyImages([Artifact("app", "2" * 12, "app-2", digest=other)])
    with pytest.raises(ImageError, match="another than this run wants") as raised:
        images.find("app", "2" * 12, wanted)
    assert raised.value.facts[:2] == (f"Wanted: digest {wanted}", f"app-2: digest {other}")
    assert "see who baked app-2" in raised.value.todo
    assert "`./immutable update app --rebuild`" in raised.value.todo
    with pytest.raises(ImageError, match="another than this run wants"):
        images.bake(make_request(wanted), cast("Packer", None))
    found = images.find("app", "2" * 12, other)
    assert found is not None
    assert found.digest == other
    assert images.find("app", "2" * 12, "") == images.held[0]
    assert images.find("app", "0" * 12, wanted) is None


def test_an_early_program_s_artifact_proves_its_digest_by_its_inputs() -> None:
    """Its own and its parent's are computed again: two parents of one version are told apart."""
    base = make_old("base", lock={"suite": "trixie"})
    app = make_old("app", parent="base", parent_version=base.version)
    own = digest_inputs(app.facts["manifest"])
    digest = join_digests(own, digest_inputs(base.facts["manifest"]))
    found = ToyImages([base, app]).find("app", app.version, digest)
    assert found is not None
    assert (found.id, found.digest) == (app.id, digest)
    meets = replace(base, digest=base.version + "0" * 52)
    with pytest.raises(ImageError, match="another than this run wants"):
        ToyImages([meets, app]).find("app", app.version, digest)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"manifest": {"image": "app", "sources": {"app": "of another version"}}},
        {"manifest": {"image": "app", "size": float("nan")}},
    ],
)
def test_what_does_not_say_what_it_is_is_neither_used_nor_baked_over(facts: dict[str, Any]) -> None:
    """It counts as missing; a bake, which would take its name, names it and the way out."""
    stranger = Artifact("app", "2" * 12, "app-2", facts=facts)
    images = ToyImages([stranger])
    assert images.find("app", "2" * 12, "2" * 64) is None
    for refused in (
        lambda: images.bake(make_request("2" * 64), cast("Packer", None)),
        lambda: images.refuse_unproven("app", "2" * 12),
    ):
        with pytest.raises(ImageError, match="does not say what it was baked from") as raised:
            refused()
        assert "app-2 has kept neither" in raised.value.facts[0]
        assert "--rebuild" in raised.value.todo
    orphan = make_old("app", parent="base", parent_version="1" * 12)
    assert ToyImages([orphan]).find_digest(orphan) == ""


def test_nothing_is_removed_without_a_second_look() -> None:
    """What is gone, or is nobody's leftover any more, stays; an unknown kind does too."""
    ownership = ToyOwnership(["one"])
    found = Leftover("thing", "one", "")
    assert not ownership.remove_leftover(found, lambda _owner: Holdings())
    assert not ownership.remove_leftover(Leftover("other", "one", ""), lambda _o: Holdings())
    alive = Holdings(exists=True)
    assert [one.name for one in ownership.find_leftovers(lambda _owner: alive)] == ["one"]
    assert ownership.remove_leftover(found, lambda _owner: alive)
    assert not ownership.remove_leftover(found, lambda _owner: alive)


def test_an_owner_is_written_when_it_differs() -> None:
    """A run of the same checkout writes nothing."""
    ownership = ToyOwnership()
    owner = Owner("s3://bucket", "0123456789ab", "organization", "project", "stack", "/checkout")
    ownership.begin_update(owner, ())
    ownership.begin_update(owner, ())
    assert ownership.written == 1
