"""A stack's settings, place and target, and the service that a user means."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Scope
from immutable_servers.driver.project.files import read_project, read_values
from immutable_servers.errors import SettingsError
from immutable_servers.settings import Settings, load_settings
from immutable_servers.targets.place import Place


@dataclass(frozen=True)
class Chosen:
    """One service of a stack.

    Attributes:
        place: Its target and scope.
    """

    name: str
    settings: Settings
    place: Place
    target: Target


def choose_service(root: Path, stack: str, name: str) -> Chosen:
    """Return a service; without a name the only one that there is.

    Raises:
        SettingsError: There is no such service, or several and none is named.
    """
    settings = load_settings(read_values(root, stack), root)
    known = list(settings.services)
    if not name and len(known) == 1:
        (name,) = known
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise SettingsError(
            f"There is no service {name!r} in {stack}" if name else "No service is named",
            facts=[f"Services: {', '.join(known)}"],
            todo=f"Did you mean {near[0]}?" if near else "Name one of them.",
        )
    scope = Scope(str(read_project(root).get("name", "")), stack, name)
    place = Place(settings.target, settings.target_settings, scope)
    return Chosen(name, settings, place, place.load())
