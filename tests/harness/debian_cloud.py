"""A disk as the images have one that clouds offer of Debian.

It is the local target's upstream disk with what a cloud's image has besides. nginx is in it, so
that a bake has nothing to fetch.
"""

import platform
from pathlib import Path

from immutable_servers.targets.local.upstream import (
    DISK_HOOK,
    INITRD_HOOK,
    PACKAGES,
    run_mmdebstrap,
)

SUITE = "trixie"
SECONDS = 600
_SETTINGS = """\
set -eu
: >"$1/etc/machine-id"
echo localhost >"$1/etc/hostname"
printf '[Match]\\nType=ether\\n\\n[Network]\\nDHCP=yes\\n' >"$1/etc/systemd/network/80-dhcp.network"
mkdir -p "$1/etc/cloud" "$1/etc/netplan" "$1/etc/network/interfaces.d"
chroot "$1" systemctl --quiet enable systemd-networkd.service
chroot "$1" systemctl --quiet mask getty.target systemd-logind.service
chroot "$1" dpkg-query --show --showformat='${Package}\\n' 'linux-image-*' \
    | xargs chroot "$1" apt-mark hold >/dev/null
"""


def make_disk(folder: Path, settings: str) -> None:
    """Write the disk, and the kernel that starts it, into a folder, by mmdebstrap.

    Args:
        folder: Is made.
        settings: Lines of a shell script that do to the root, `$1`, what the cloud does.
    """
    folder.mkdir(parents=True)
    wanted = [*PACKAGES, "sudo", "nginx-light"]
    options = [
        "--variant=minbase",
        f"--include={','.join(wanted).format(architecture='amd64')}",
        "--skip=cleanup/apt/lists",
        '--aptopt=Apt::Install-Recommends "false"',
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")),
        f"--essential-hook={INITRD_HOOK}",
        f"--customize-hook={_SETTINGS}{settings}",
        f"--customize-hook={DISK_HOOK}",
        f"--customize-hook=sync-out /artifact {folder}",
    ]
    run_mmdebstrap(options, SUITE, platform.machine(), folder.parent / "mmdebstrap.log", SECONDS)
