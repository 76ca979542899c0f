"""Which images can go: a table of what keeps one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from immutable_servers.contract.images import Images
from immutable_servers.contract.values import Artifact
from immutable_servers.images.pruning import Policy, References, choose

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOTHING = Policy(keep=0, age=0)


@dataclass
class Catalog(Images):
    """Images in memory, and who runs them by id."""

    held: list[Artifact]
    servers: dict[str, str] = field(default_factory=dict)
    strangers: dict[str, str] = field(default_factory=dict)

    def list(self) -> Sequence[Artifact]:
        return self.held

    def find_servers(self, artifact: Artifact) -> Sequence[str]:
        return [self.servers[artifact.id]] if artifact.id in self.servers else []

    def _find_stranger(self, artifact: Artifact) -> str:
        return self.strangers.get(artifact.id, "")

    def _find(self, image: str, version: str) -> Artifact | None:
        return next((a for a in self.held if (a.image, a.version) == (image, version)), None)

    def _unused(self, *_: object) -> None:
        raise NotImplementedError

    mark = find_upstream = _bake = _delete = _unused  # type: ignore[assignment]


def make(image: str, number: int, **changes: object) -> Artifact:
    """Return an artifact that was baked on that day of February, on a base of that day."""
    version = f"{number:012}"
    artifact = Artifact(
        image=image,
        version=version,
        id=f"{image}/{number}",
        parents={"base": version} if image == "app" else {},
        facts={"baked_at": f"2026-02-{number:02}T12:00:00Z"},
        digest=version + "0" * 52,
    )
    return replace(artifact, **changes)  # type: ignore[arg-type]


PAIRS = [make(image, number) for number in (1, 2, 3) for image in ("base", "app")]
BOTH = ("base", "app")


def prune(catalog: Catalog, policy: Policy = NOTHING, **users: str) -> tuple[list[str], list[str]]:
    """Return the ids of what goes, and of what stays, sorted."""
    keys = {(name.split("_")[0], f"{int(name[-1]):012}"): why for name, why in users.items()}
    going, staying = choose(catalog, References(BOTH, keys), policy, NOW)
    return [one.id for one in going], sorted(staying)


def test_what_nothing_refers_to_goes_before_what_it_was_baked_from() -> None:
    """Without anything that keeps them all go, each app before its base."""
    going, staying = prune(Catalog(PAIRS))
    assert (len(going), staying) == (6, [])
    for number in (1, 2, 3):
        assert going.index(f"app/{number}") < going.index(f"base/{number}")


def test_the_newest_of_each_image_stay() -> None:
    """They are counted by image; the base of one that stays stays."""
    assert prune(Catalog(PAIRS), Policy(1, 0)) == (
        ["app/1", "app/2", "base/1", "base/2"],
        ["app/3", "base/3"],
    )
    assert prune(Catalog(PAIRS), Policy(9, 0))[0] == []


def test_what_is_young_stays() -> None:
    """It may be what another checkout is about to launch; so may one of an unknown age."""
    assert prune(Catalog(PAIRS), Policy(0, 27.5 * 86400))[1] == [
        "app/2",
        "app/3",
        "base/2",
        "base/3",
    ]
    ageless = [replace(one, facts={}) for one in PAIRS]
    assert prune(Catalog(ageless))[0] == []


@pytest.mark.parametrize(
    "catalog",
    [
        Catalog(PAIRS, servers={"app/1": "the server web-0 runs it"}),
        Catalog(PAIRS, strangers={"app/1": "belongs to account 2"}),
        Catalog([make("app", 1, digest=""), *(one for one in PAIRS if one.id != "app/1")]),
        Catalog(
            [
                make("app", 1, facts={**make("app", 1).facts, "marks": {"revoked": "CVE"}}),
                *(one for one in PAIRS if one.id != "app/1"),
            ]
        ),
    ],
)
def test_what_is_used_unproven_foreign_or_revoked_stays_with_its_base(catalog: Catalog) -> None:
    """The mark of a revoked image lies with it, and without it the version would be used again."""
    going, staying = prune(catalog)
    assert staying == ["app/1", "base/1"]
    assert len(going) == 4


def test_what_a_ledger_needs_stays_with_its_base() -> None:
    """The reason is the ledger's."""
    assert prune(Catalog(PAIRS), app_2="dev: web-aaaaaaaa is made of it")[1] == ["app/2", "base/2"]


def test_an_image_of_another_checkout_is_not_touched() -> None:
    """Nobody here knows who wants it."""
    other = make("metrics", 1)
    assert prune(Catalog([*PAIRS, other]))[1] == ["metrics/1"]
