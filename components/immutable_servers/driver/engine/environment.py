"""Computes the environment in which `pulumi` and `packer` work, for the driver and by hand."""

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from immutable_servers.contract.ownership import FILES
from immutable_servers.driver.setup.debian import SYSTEM_FOLDERS
from immutable_servers.driver.setup.packer import TOOL, plugins_dir
from immutable_servers.driver.setup.pulumi import find_host, find_pulumi
from immutable_servers.state.backend import (
    BACKEND,
    find_backend,
    find_login,
    find_named,
    find_whole_url,
    make_file_url,
    normalize,
)
from immutable_servers.system import places

PASSPHRASES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
STATE_SECRETS = "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER"
"""Has the CLI take the stack's salt from its state where no file has it."""
FIXED: Mapping[str, str] = {
    "CHECKPOINT_DISABLE": "1",
    "PULUMI_SKIP_UPDATE_CHECK": "true",
}


def compute_environment(root: Path) -> dict[str, str]:
    """Return the variables to add to the present ones; make the backend when it is ours."""
    made = {"PATH": find_path(), "PACKER_PLUGIN_PATH": str(plugins_dir()), **FIXED}
    if has_own_backend(root):
        state = state_dir(root)
        state.mkdir(parents=True, exist_ok=True)
        made[BACKEND] = make_file_url(state)
        # The stack's salt is kept in the state, so that no stack file has to carry it.
        made[STATE_SECRETS] = "true"
        if not any(name in os.environ for name in PASSPHRASES):
            made["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(find_passphrase_file(root))
    elif (whole := find_whole_url(chosen := find_backend(root), root)) != chosen:
        made[BACKEND] = whole
    return made


def find_path() -> str:
    """Return the PATH with the virtual environment and the chosen tools in front."""
    path = os.environ.get("PATH", "").split(os.pathsep)
    wanted = [str(Path(sys.prefix, "bin"))]
    for command, find in (
        ("pulumi", find_pulumi),
        ("pulumi-language-python", find_host),
        ("packer", TOOL.find),
    ):
        found = find()
        if found and shutil.which(command) != found.place:
            wanted.append(str(Path(found.place).parent))
    front = [folder for folder in dict.fromkeys(wanted) if folder not in path[:1]]
    rest = [folder for folder in path if folder not in front]
    back = [folder for folder in SYSTEM_FOLDERS[:1] if folder not in path]
    return os.pathsep.join([*front, *rest, *back])


def has_own_backend(root: Path) -> bool:
    """Return whether state goes to our file backend: no other is chosen, and there is no login."""
    chosen = os.environ.get(BACKEND)
    if chosen:
        return normalize(chosen, root) == f"{FILES}{state_dir(root)}"
    if os.environ.get("PULUMI_ACCESS_TOKEN"):
        return False
    return not (find_named(root) or find_login())


def state_dir(root: Path) -> Path:
    """Return the folder of our own file backend."""
    return root / places.PROJECT_FOLDER / "state"


def find_passphrase_file(root: Path) -> Path:
    """Return the passphrase file, which only this user reads; generate it where it is missing."""
    file = root / places.PROJECT_FOLDER / "passphrase"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".passphrase-{os.getpid()}")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write(secrets.token_urlsafe(32))
        try:
            os.link(beside, file)  # unlike a rename, this never replaces another run's
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    return file


def render_exports(values: Mapping[str, str]) -> str:
    """Return the variables as lines for a shell."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())
