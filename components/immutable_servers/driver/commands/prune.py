"""`prune`: deletes the images that nothing refers to, when a person agrees."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from immutable_servers.contract.ownership import Leftover
from immutable_servers.contract.values import Artifact
from immutable_servers.driver.commands.references import find_references
from immutable_servers.driver.commands.sweep import confirm, remove_all, render
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_asking_parts
from immutable_servers.driver.terminal import console
from immutable_servers.images.pruning import Policy, choose, find_bake_time


@dataclass(frozen=True)
class Pruning:
    """Finds the images of a target that nothing refers to, and deletes them."""

    stack: Opened
    policy: Policy

    def find(self) -> tuple[list[Artifact], Mapping[str, str]]:
        """Return what can go, children first, and why each other image stays."""
        catalog = self.stack.target.images
        return choose(catalog, find_references(self.stack), self.policy, datetime.now(UTC))

    def remove_all(self, chosen: Sequence[Artifact], rows: Sequence[Leftover]) -> None:
        """Look again at what refers to them, then delete one after the other.

        Raises:
            ImmutableError: Something cannot be asked or deleted.
        """
        still = {one.id for one in self.find()[0]}
        by_id = {one.id: one for one in chosen}

        def remove(row: Leftover) -> bool:
            if row.name in still:
                self.stack.target.images.delete(by_id[row.name])
            return row.name in still

        remove_all(remove, rows)


def run_prune(stack: Opened, policy: Policy, *, dry_run: bool, yes: bool) -> int:
    """List the images that nothing refers to; after a yes delete them, and nothing else.

    Raises:
        SettingsError: No person can be asked for a yes.
        ImmutableError: A ledger or the target cannot be asked, or an image could not be deleted.
    """
    install_missing(list_asking_parts(stack.settings.target), yes=yes)
    os.environ.update(stack.engine.environment)
    pruning = Pruning(stack, policy)
    going, staying = pruning.find()
    if staying:
        console.say(_describe_staying(staying))
    if not going:
        console.say("There is no image that can go")
        return 0
    rows = [_make_row(stack, one) for one in going]
    console.show_table("", ("kind", "name", "size", "why"), [render(row) for row in rows])
    if dry_run:
        return 0
    if not confirm(rows, yes=yes):
        return 1
    pruning.remove_all(going, rows)
    return 0


def _make_row(stack: Opened, artifact: Artifact) -> Leftover:
    baked = find_bake_time(artifact)
    why = f"{artifact.image} {artifact.version}, baked {baked:%Y-%m-%d}; nothing refers to it"
    return Leftover("image", artifact.id, why, stack.target.images.measure(artifact))


def _describe_staying(staying: Mapping[str, str]) -> str:
    """Return how many images stay, and why; whoever needs one is named in full."""
    reasons = Counter(staying.values())
    lines = [f"  {count} x {why}" for why, count in sorted(reasons.items())]
    return "\n".join([f"{len(staying)} images stay:", *lines])
