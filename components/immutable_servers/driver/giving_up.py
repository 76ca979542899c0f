"""`destroy --service`: deletes one service that the settings no longer name; its images stay."""

from pathlib import Path

from immutable_servers.driver import console
from immutable_servers.driver.commands import run_up
from immutable_servers.driver.project import read_project, read_values
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.table import ENGINE
from immutable_servers.driver.stack import load_stack
from immutable_servers.errors import SettingsError
from immutable_servers.requests import Request

POINTER = "immutable-servers:index:Service$pulumi-python:dynamic/immutable-servers:Traffic"


def run_give_up(root: Path, name: str, service: str, *, yes: bool) -> int:
    """Ask, lift the protection of the service's pointer, and update without the service.

    Raises:
        SettingsError: The settings still name it, or nobody can be asked and nobody said yes.
    """
    if service in (read_values(root, name).get("services") or {}):
        raise SettingsError(
            f"The settings of {name} name the service {service}, so it is not deleted",
            todo="Take it out of the stack file first; that can be reviewed, and reverted.",
        )
    if not yes:
        if not console.is_interactive():
            raise SettingsError(
                f"Deleting the service {service} needs a yes", todo="Add --yes when you mean it."
            )
        if not console.ask(f"Delete every server of {service} in {name}? Images stay."):
            console.say("Nothing was deleted")
            return 1
    install_missing(ENGINE, yes=yes)
    project = str(read_project(root).get("name", ""))
    urn = f"urn:pulumi:{name}::{project}::{POINTER}::{service}"
    load_stack(root, name).run("state", "unprotect", urn, "--yes")
    request = Request(given_up=[service], others_stay=True)
    return run_up(root, name, yes=True, request=request)
