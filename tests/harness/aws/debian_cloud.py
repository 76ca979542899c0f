"""A disk as Debian's AMIs have one: its user `admin` may do all, with the key of the launch.

It is the local target's upstream disk with what an AMI has besides. cloud-init is left out: where
it would take the launch's key from the instance's metadata, a unit of our own does. nginx is in it,
so that a bake has nothing to fetch.
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
chroot "$1" useradd --create-home --shell /bin/bash admin
echo 'admin ALL=(ALL) NOPASSWD:ALL' >"$1/etc/sudoers.d/admin"
cat >"$1/usr/local/sbin/take-key" <<'PYTHON'
#!/usr/bin/python3 -IS
from http.client import HTTPConnection
from pathlib import Path

def ask(method, path, headers):
    line = HTTPConnection("169.254.169.254", timeout=30)
    line.request(method, path, headers=headers)
    return line.getresponse().read().decode()

token = ask("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
path = "/latest/meta-data/public-keys/0/openssh-key"
keys = Path("/home/admin/.ssh/authorized_keys")
keys.parent.mkdir(exist_ok=True)
keys.write_text(ask("GET", path, {"X-aws-ec2-metadata-token": token}))
PYTHON
chmod 0755 "$1/usr/local/sbin/take-key"
cat >"$1/etc/systemd/system/take-key.service" <<'UNIT'
[Unit]
ConditionPathExists=!/etc/cloud/cloud-init.disabled
Wants=network-online.target
After=network-online.target
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/take-key
[Install]
WantedBy=multi-user.target
UNIT
chroot "$1" systemctl --quiet enable systemd-networkd.service take-key.service
chroot "$1" systemctl --quiet mask getty.target systemd-logind.service
chroot "$1" dpkg-query --show --showformat='${Package}\\n' 'linux-image-*' \
    | xargs chroot "$1" apt-mark hold >/dev/null
"""


def make_disk(folder: Path) -> None:
    """Write the disk, and the kernel that starts it, into a folder, by mmdebstrap."""
    folder.mkdir(parents=True)
    wanted = [*PACKAGES, "sudo", "nginx-light"]
    options = [
        "--variant=minbase",
        f"--include={','.join(wanted).format(architecture='amd64')}",
        "--skip=cleanup/apt/lists",
        '--aptopt=Apt::Install-Recommends "false"',
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")),
        f"--essential-hook={INITRD_HOOK}",
        f"--customize-hook={_SETTINGS}",
        f"--customize-hook={DISK_HOOK}",
        f"--customize-hook=sync-out /artifact {folder}",
    ]
    run_mmdebstrap(options, SUITE, platform.machine(), folder.parent / "mmdebstrap.log", SECONDS)
