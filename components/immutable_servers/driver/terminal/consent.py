"""Asks before a run on a target whose servers cost money."""

from immutable_servers.driver.terminal import console
from immutable_servers.errors import SettingsError
from immutable_servers.targets import find_target_class


def require_yes(target: str, stack: str, command: str, *, yes: bool) -> None:
    """Return when the run may begin: on a target without a bill at once.

    Args:
        target: The name in the stack's settings; one that is no target costs nothing, and its
            mistake is reported with the others.
        stack: The stack's name.
        command: As it is typed, such as `up prod`.
        yes: Somebody said yes beforehand.

    Raises:
        SettingsError: Nobody can be asked, or the answer was no.
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
    """Tell whether a target's servers are paid for; False for what is no target."""
    try:
        return find_target_class(target).costs_money
    except SettingsError:
        return False
