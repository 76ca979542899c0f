"""The Pulumi CLI, and the language host that runs Python programs for it."""

import hashlib
import os
import shutil
from pathlib import Path

from immutable_servers.contract.values import Say
from immutable_servers.driver.project.files import CHECKOUT
from immutable_servers.driver.setup import go, releases, versions
from immutable_servers.driver.setup.cache import start_folder, toolchain_dir
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
HOST = "pulumi-language-python"
HOST_SOURCE = CHECKOUT / "toolchain" / "language_host.py"
SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")


def find_pulumi() -> Found | None:
    """Return the machine's own CLI where it is new enough, else the one in the cache."""
    # The language host's folder holds the CLI too: the engine warns about plugins elsewhere.
    return CLI.find([_host_folder()])


def find_host() -> Found | None:
    """Return the language host that the CLI will start: its own, else ours."""
    pulumi = find_pulumi()
    if pulumi is None:
        return None
    beside = Path(pulumi.place).with_name(HOST)
    if beside.exists():
        ours = beside.is_relative_to(_host_folder())
        return Found("ours" if ours else "official", str(beside))
    own = shutil.which(HOST)
    if own and not Path(own).is_relative_to(toolchain_dir()):
        return Found("on the PATH", own)
    ours_alone = _host_folder() / HOST
    return Found("ours", str(ours_alone)) if ours_alone.exists() else None


def install_host(say: Say) -> None:
    """Put our language host, the scripts of the Go module, and our CLI into one folder.

    Raises:
        SetupError: There is no CLI yet.
    """
    pulumi = find_pulumi()
    if pulumi is None:
        raise SetupError("The language host needs the Pulumi CLI", todo="Install that first.")
    say("the CLI brings no Python language host: taking ours, on the SDK's stubs")
    sdk = go.find_module_folder("pulumi", SDK, say)
    with start_folder(_host_folder()) as folder:
        shutil.copy(HOST_SOURCE, folder / HOST)
        for script in SCRIPTS:
            shutil.copy(sdk / script, folder)
        if Path(pulumi.place).is_relative_to(toolchain_dir()):
            _link(Path(pulumi.place), folder / "pulumi")
        for file in folder.iterdir():
            file.chmod(0o755)


def _link(source: Path, place: Path) -> None:
    """Give a file a second name; no symbolic link, as the engine looks next to the real file."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)


def _host_folder() -> Path:
    """Return the folder of our host, keyed by its content: checkouts may differ in it."""
    content = HOST_SOURCE.read_bytes() if HOST_SOURCE.exists() else b""
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
