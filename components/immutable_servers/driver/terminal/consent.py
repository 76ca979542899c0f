"""Asks for a yes before a run on a target whose servers cost money."""

from immutable_servers.driver.terminal import console
from immutable_servers.errors import SettingsError
from immutable_servers.targets import find_target_class


def require_yes(target: str, stack: str, command: str, *, yes: bool) -> None:
    """Ask for a yes where servers cost money.

    Args:
        target: The name in the stack's settings; a name that is no target's costs nothing, and
            is reported later, with the other mistakes.
        stack: The stack's name.
        command: As it is typed, such as `up prod`.
        yes: The answer was given beforehand.

    Raises:
        SettingsError: No person can be asked, or the answer was no.
    """
    if yes or not costs_money(target):
        return
    if not console.is_interactive():
        raise SettingsError(
            f"`{command}` on {target} costs money, so it needs a yes",
            todo=f"See `./immutable preview {stack}`; when you mean it, type:"
            f" ./immutable {command} --yes",
        )
    if not console.ask(f"`{command}` changes servers on {target}, which cost money. Go on?"):
        raise SettingsError(
            "Nothing was done: the answer was no",
            todo=f"`./immutable preview {stack}` shows what it would do.",
        )


def costs_money(target: str) -> bool:
    """Return whether a target's servers are paid for; False for a name that is no target's."""
    try:
        return find_target_class(target).costs_money
    except SettingsError:
        return False
