"""The role that logs in to servers while their window is open, and closes it for good."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from immutable_servers.contract.values import FleetSpec, Login, Say, Scope

LOGIN_WINDOW = 30 * 60
"""Seconds for which a login window is open, from the launch of the servers."""


class Access(ABC):
    """Login keys, login windows and probes of a target."""

    @abstractmethod
    def make_key(self, scope: Scope) -> str:
        """Make or find the generation's login key, kept by the target; return the public key.

        The private key never enters Pulumi's state.
        """

    @abstractmethod
    def delete_key(self, scope: Scope) -> None:
        """Delete the generation's login key; a missing one is no error."""

    @abstractmethod
    def open_logins(self, scope: Scope) -> Sequence[Login]:
        """Open the way to each server of a generation, and wait until all take a login.

        Raises:
            LaunchError: The window is closed, or a server takes no login before the deadline.
        """

    def describe_logins(self, scope: Scope) -> Sequence[Login]:
        """Return how to log in to a generation's servers, whether they answer or not.

        Empty once the window is closed. Not abstract: a target that has nothing to write down
        beforehand returns nothing.
        """
        del scope
        return ()

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
            LaunchError: A server still takes logins.
        """
