"""Asks what is known of a stack's services: the ledger, completed by what the target says."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from immutable_servers.contract.target import Target
from immutable_servers.driver.opened import Opened, choose_name
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_asking_parts
from immutable_servers.errors import SettingsError
from immutable_servers.planning.known import KnownService, ask_service
from immutable_servers.planning.moved import refuse_moved
from immutable_servers.settings import Settings


@dataclass(frozen=True)
class KnownStack:
    """A stack as settings, ledger and target have it.

    Attributes:
        services: Those that the ledger knows, by name.
    """

    name: str
    settings: Settings
    target: Target
    services: Mapping[str, KnownService]

    def choose(self, service: str) -> KnownService:
        """Return a service; the only one where none is named.

        Raises:
            SettingsError: There is no such service, or several and none is named.
        """
        if not self.services:
            raise SettingsError(
                f"Nothing was launched in {self.name} yet",
                todo=f"Run `./immutable up {self.name}` first.",
            )
        return self.services[choose_name(service, self.services, self.name)]

    def require_all(self) -> None:
        """Refuse a run for one service from a checkout that does not know each one that serves.

        Raises:
            SettingsError: The settings lack one; a run would have to delete it.
        """
        lacking = {
            name: service.live
            for name, service in self.services.items()
            if service.live and name not in self.settings.services
        }
        if lacking:
            raise SettingsError(
                f"This checkout's settings of {self.name} do not name {', '.join(lacking)},"
                " and it serves, so nothing is done from here",
                facts=[
                    f"{name}: generation {live.generation} is live, of commit"
                    f" {live.commit or 'unknown, as it was launched outside of git'}"
                    for name, live in lacking.items()
                ],
                todo=f"Run the same command in a checkout whose Pulumi.{self.name}.yaml names every"
                " service that serves.",
            )


def read_known(stack: Opened) -> KnownStack:
    """Read a stack's settings and ledger, and ask its target.

    Raises:
        ImmutableError: One of them cannot be read, or the servers are at another place.
    """
    install_missing(list_asking_parts(stack.settings.target), yes=False)
    ledgers = stack.read_ledgers()
    asked = stack.place.load()
    asked.ask_once()
    refuse_moved(stack.place, asked, ledgers)
    services = {
        name: ask_service(replace(stack.scope, service=name), asked, ledger)
        for name, ledger in ledgers.items()
    }
    return KnownStack(stack.name, stack.settings, stack.target, services)
