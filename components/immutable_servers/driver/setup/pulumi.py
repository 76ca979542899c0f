"""The Pulumi CLI, and the language host that runs Python programs for it."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from immutable_servers.contract.values import Say
from immutable_servers.driver.project.files import CHECKOUT
from immutable_servers.driver.setup import go, releases, versions
from immutable_servers.driver.setup.cache import start_folder, toolchain_dir
from immutable_servers.driver.setup.intact import is_intact
from immutable_servers.driver.setup.parts import Found, Part
from immutable_servers.driver.setup.tools import Tool
from immutable_servers.errors import SetupError

SDK = "github.com/pulumi/pulumi/sdk/v3"
CLI = Tool(
    name="pulumi",
    version=versions.PULUMI,
    minimum=versions.PULUMI_MINIMUM,
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    find_release=releases.find_pulumi_release,
    linking=f"-X {SDK}/go/common/version.Version=v{versions.PULUMI}",
)
SOURCES = CHECKOUT / "toolchain"
HOST = "pulumi-language-python"
SCRIPT = "python/cmd/pulumi-language-python-exec"
"""The one file of Pulumi's Go module that our host needs: it runs a program."""
OWN_FILES: Mapping[str, Path] = {
    HOST: SOURCES / "language_host.py",
    "pulumi-resource-pulumi-python": SOURCES / "dynamic_providers.py",
    "own_user.py": SOURCES / "own_user.py",
}
"""What we put beside it, by the names that the engine looks for."""


def find_pulumi() -> Found | None:
    """Return the machine's own CLI where it is new enough, else the one in the cache."""
    # The language host's folder holds the CLI too: the engine warns about plugins elsewhere.
    return CLI.find([_host_folder()])


def find_host() -> Found | None:
    """Return the language host that the CLI will start: its own, else ours."""
    pulumi = find_pulumi()
    if pulumi is None:
        return None
    beside, ours = Path(pulumi.place).with_name(HOST), _host_folder()
    if beside.exists():
        return Found("ours" if beside.is_relative_to(ours) else "official", str(beside))
    own = shutil.which(HOST)
    if own and not Path(own).is_relative_to(toolchain_dir()):
        return Found("on the PATH", own)
    return Found("ours", str(ours / HOST)) if is_intact(ours) else None


def install_host(say: Say) -> None:
    """Put our language host and its like, the SDK's script and our CLI into one folder.

    Raises:
        SetupError: There is no CLI yet.
    """
    pulumi = find_pulumi()
    if pulumi is None:
        raise SetupError("The language host needs the Pulumi CLI", todo="Install that first.")
    say("the CLI brings no Python language host: taking ours, on the SDK's stubs")
    script = _find_script() or go.find_module_folder("pulumi", SDK, say) / SCRIPT
    with start_folder(_host_folder()) as folder:
        shutil.copy(script, folder)
        for name, source in OWN_FILES.items():
            shutil.copy(source, folder / name)
        if Path(pulumi.place).is_relative_to(toolchain_dir()):
            _link(Path(pulumi.place), folder / "pulumi")
        for file in folder.iterdir():
            file.chmod(0o755)


def _find_script() -> Path | None:
    """Return the script of an earlier host of ours, so that a new one needs no Go."""
    found = toolchain_dir().glob(f"pulumi-{versions.PULUMI}-python-*/{Path(SCRIPT).name}")
    wanted = versions.PULUMI_SCRIPT
    return next(
        (file for file in found if hashlib.sha256(file.read_bytes()).hexdigest() == wanted), None
    )


def _link(source: Path, place: Path) -> None:
    """Give a file a second name; no symbolic link, as the engine looks next to the real file."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)


def _host_folder() -> Path:
    """Return the folder of our host, keyed by its content: checkouts may differ in it."""
    content = b"".join(file.read_bytes() for file in OWN_FILES.values() if file.exists())
    digest = hashlib.sha256(content).hexdigest()[:8]
    return toolchain_dir() / f"pulumi-{versions.PULUMI}-python-{digest}"


PULUMI = Part(
    name="pulumi",
    size="115 MB",
    seconds=240,
    find=find_pulumi,
    fix="./immutable --yes up, or https://www.pulumi.com/docs/install/",
    install=CLI.install,
)
HOST_PART = Part(
    name="python language host",
    size="1 MB",
    seconds=10,
    find=find_host,
    fix="./immutable --yes up",
    install=install_host,
)
