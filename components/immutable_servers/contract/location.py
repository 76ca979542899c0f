"""Says where a stack's servers are, in each target's own words: a stack has one place."""

from dataclasses import dataclass, field, replace

from immutable_servers.contract.plain import PlainForm
from immutable_servers.contract.values import Scope
from immutable_servers.errors import SettingsError

MACHINE = "machine"
"""The word for the id of a machine, on a target whose servers run on the one in front of you."""
PROJECT, STACK = "project", "stack"
"""The words for what a target's things are named after: no target can give them another name."""


@dataclass(frozen=True)
class Location(PlainForm):
    """A place at a target.

    Attributes:
        target: The target's name.
        words: What distinguishes two places there, such as `account` and `region`. A word that
            nobody asked for is left out.
        host: Name of the machine, for a reader; empty where `words` have none.
    """

    target: str
    words: dict[str, str] = field(default_factory=dict)
    host: str = ""

    def of_stack(self, scope: Scope) -> "Location":
        """Return where a stack's servers are at this place: under its name."""
        return replace(self, words={**self.words, PROJECT: scope.project, STACK: scope.stack})

    def find_scope(self, scope: Scope) -> Scope:
        """Return a scope under the names that the servers here carry."""
        project, stack = (self.words.get(word) for word in (PROJECT, STACK))
        return replace(scope, project=project or scope.project, stack=stack or scope.stack)

    def find_difference(self, other: "Location") -> frozenset[str]:
        """Return the words, `target` among them, in which two places differ as far as both say."""
        known = self.words.keys() & other.words.keys()
        differ = {word for word in known if self.words[word] != other.words[word]}
        return frozenset(differ if self.target == other.target else {"target", *differ})

    def is_same(self, other: "Location") -> bool:
        """Return whether both are one place, as far as both say."""
        return not self.find_difference(other)

    def __str__(self) -> str:
        """Return such as `aws (account 123456789012, region eu-central-1)`."""
        words = [("host", self.host)] if self.host else []
        listed = ", ".join(
            f"{word} {value}" for word, value in [*words, *sorted(self.words.items())]
        )
        return f"{self.target} ({listed})" if listed else self.target


def make_moved(stack: str, there: Location, here: Location, holders: str) -> SettingsError:
    """Return the error of a run whose settings or machine lead away from a stack's servers.

    Args:
        stack: The stack's name.
        there: Where its servers are.
        here: Where this run would act.
        holders: Whose servers they are, such as `web`.
    """
    if there.find_difference(here) <= {PROJECT, STACK}:
        return _make_renamed(stack, there, here, holders)
    other_machine = there.host and MACHINE in there.find_difference(here)
    back = f"Run it on {there.host}" if other_machine else "Put the settings back"
    return SettingsError(
        f"The servers of {stack} are at another place than this run's",
        facts=[
            f"There: {there}, with servers of {holders}",
            f"Here: {here}",
            "Nothing was changed: a stack has one place",
        ],
        todo=f"{back}, and it goes on at once. To move the stack, first delete what is there, with"
        f" the old settings: ./immutable destroy {stack}. To have both, make another stack: copy"
        f" Pulumi.{stack}.yaml, and name the copy.",
    )


def _make_renamed(stack: str, there: Location, here: Location, holders: str) -> SettingsError:
    old = there.words[STACK]
    if PROJECT in there.find_difference(here):
        old = f"organization/{there.words[PROJECT]}/{old}"
    return SettingsError(
        f"The stack {stack} was renamed while it has servers",
        facts=[
            f"Servers of {holders}, and the balancer, carry the name {old}, and serve on under it",
            "Nothing was changed: a server is never renamed, only replaced",
        ],
        todo=f'Name it back, and it goes on at once: eval "$(./immutable env)"; pulumi stack rename'
        f" {old} --stack {stack}. To have the new name, first delete what is there: ./immutable"
        f" destroy {stack}.",
    )
