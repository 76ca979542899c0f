"""The role that logs in to servers while their window is open, and closes it for good."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from immutable_servers.contract.values import FleetSpec, Login, Say, Scope
from immutable_servers.errors import LaunchError

LOGIN_WINDOW = 30 * 60
"""Seconds for which a login window is open, from the launch of the servers."""


class Access(ABC):
    """Login keys, login windows and probes of a target."""

    @abstractmethod
    def make_key(self, scope: Scope) -> str:
        """Make or find the verifier's key, kept by the target; return the public key.

        The private key never enters Pulumi's state, and nothing prints where it is: nobody but the
        verifier uses it.
        """

    def make_inspection_key(self, scope: Scope) -> str:
        """Make or find the key that people are given to look at servers; return the public key.

        Servers remember its logins. Not abstract: a target without one lets nobody in.
        """
        del scope
        return ""

    def has_keys(self, scope: Scope) -> bool:
        """Return whether this machine has a key of the generation, the verifier's or people's.

        Not abstract: a target without keys has none.
        """
        del scope
        return False

    @abstractmethod
    def delete_key(self, scope: Scope) -> None:
        """Delete the generation's login keys; a missing one is no error."""

    @abstractmethod
    def open_logins(self, scope: Scope) -> Sequence[Login]:
        """Open the way to each server of a generation, and wait until all take a login.

        Raises:
            LaunchError: The window is closed, or a server takes no login before the deadline.
        """

    def describe_logins(self, scope: Scope) -> Sequence[Login]:
        """Return how people log in to a generation's servers, whether these answer or not.

        Only with the inspection key: the servers remember it, and `find_inspection` knows of it
        before the login works. Empty once the window is closed. Not abstract: a target that has
        nothing to write down beforehand returns nothing.
        """
        del scope
        return ()

    def find_inspection(self, scope: Scope) -> str:
        """Return how a login that was given out was used, as far as this machine knows.

        No server is asked. Empty when none was used. Not abstract: a target may know of none.
        """
        del scope
        return ""

    def find_used(self, scope: Scope) -> Sequence[str]:
        """Ask each open server of a generation; return who logged in to it, a line for each.

        Raises:
            LaunchError: A server did not answer.
        """
        del scope
        return ()

    def refuse_used(self, scope: Scope, used: Sequence[str]) -> None:
        """Hold back a verified generation that somebody logged in to before it was sealed.

        Args:
            scope: The generation's.
            used: What its servers said of it at their seal, a line for each.

        Raises:
            LaunchError: Its servers or this machine know of a login.
        """
        noted = self.find_inspection(scope)
        if used or noted:
            raise LaunchError(
                f"{scope.service}-{scope.generation} does not serve: somebody logged in to it after"
                " it was verified",
                facts=used or [noted],
                todo="Run ./immutable up: it makes a fresh round.",
            )

    @abstractmethod
    def start_probe(self, spec: FleetSpec, say: Say) -> AbstractContextManager[Login]:
        """Boot one open server of an artifact that serves nobody; remove it at the end.

        It has a login key of its own, and its window opens now, whatever `spec` says. With an empty
        `spec.launch.health` it may be sick: only its login is waited for.
        """

    @abstractmethod
    def close_window(self, scope: Scope, say: Say) -> None:
        """Seal every server: logins closed, keys removed, no route left; checked from outside.

        Raises:
            LaunchError: A server still takes logins, or could not be asked while its window is
                open; or somebody logged in to one before it was sealed.
        """
