"""Makes what the base image starts from: a minimal Debian disk, by mmdebstrap, once for each lock.

No mirror is named: mmdebstrap's and apt's own defaults choose it, and apt verifies what it gives.
"""

import hashlib
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import Say
from immutable_servers.errors import ImageError
from immutable_servers.system.environment import NETWORK, make_environment
from immutable_servers.system.half_folders import start_half
from immutable_servers.system.supervised import run_supervised
from immutable_servers.targets.local.checksums import verify_checksums, write_checksums
from immutable_servers.targets.local.debian_archive import Archives, read_archives

DEFAULT_SUITE = "stable"
ALIASES = ("stable", "oldstable", "testing")
"""Names that move from one codename to the next; a lock holds codenames alone."""
DEBIAN_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PACKAGES = (
    *("systemd-sysv", "udev", "iproute2", "openssh-server", "ca-certificates", "python3"),
    *("tiny-initramfs", "linux-image-cloud-{architecture}"),
)
"""What a guest needs to boot, to be logged in to, and to install the rest itself."""
DISK_SIZE = "4G"
"""The file system's size; a disk takes no more room than what is in it."""
FILES = ("disk.qcow2", "vmlinuz", "initrd.img", "archives.json")

INITRD_HOOK = """\
mkdir -p "$1/etc/tiny-initramfs"
printf 'AUTO_MODULES=no\\nMICROCODE=no\\nINCLUDE_MODULES=virtio_blk,virtio_net\\n' \
    >"$1/etc/tiny-initramfs/tiny-initramfs.conf"
"""
_SETTINGS = """\
: >"$1/etc/machine-id"
echo localhost >"$1/etc/hostname"
echo 'nameserver 10.0.2.3' >"$1/etc/resolv.conf"
printf '[Match]\\nType=ether\\n\\n[Network]\\nDHCP=ipv4\\n' \
    >"$1/etc/systemd/network/80-ether.network"
chroot "$1" systemctl --quiet enable systemd-networkd.service
chroot "$1" systemctl --quiet mask systemd-networkd-wait-online.service \
    getty.target getty-static.service systemd-logind.service systemd-binfmt.service \
    proc-sys-fs-binfmt_misc.automount systemd-update-done.service ldconfig.service \
    systemd-journal-catalog-update.service systemd-hwdb-update.service systemd-sysusers.service
chroot "$1" dpkg-query --show --showformat='${Package}\\n' 'linux-image-*' \
    | xargs chroot "$1" apt-mark hold >/dev/null
rm -f "$1"/var/cache/apt/archives/*.deb
chroot "$1" apt-cache gencaches
"""
"""The name server is the one of QEMU's user-mode network. The kernel beside the disk is the one
that is booted, so it is held; apt's caches are made here, where no processor is emulated."""
DISK_HOOK = f"""\
set -eu
mkdir "$1.root"
trap 'umount "$1.root"; rmdir "$1.root"; rm -f "$1.raw"' EXIT
# Seen through a bind mount, the root has no /proc, /sys and /dev mounted in it.
mount --bind "$1" "$1.root"
truncate -s {DISK_SIZE} "$1.raw"
mkfs.ext4 -q -L root -E lazy_itable_init=0,lazy_journal_init=0 -d "$1.root" "$1.raw"
mkdir "$1/artifact" "$1/artifact/archives"
qemu-img convert -O qcow2 "$1.raw" "$1/artifact/disk.qcow2"
cp "$1"/boot/vmlinuz-* "$1/artifact/vmlinuz"
cp "$1"/boot/initrd.img-* "$1/artifact/initrd.img"
cp "$1"/var/lib/apt/lists/*_InRelease "$1/artifact/archives/"
chmod 0644 "$1"/artifact/*.* "$1/artifact/vmlinuz" "$1"/artifact/archives/*
"""
"""Runs outside the root: as root, or in mmdebstrap's user namespace when a user runs it."""


@dataclass(frozen=True)
class Upstream:
    """What a base image is baked from.

    Attributes:
        archives: Digest by part of the archive that it was made from.
        newer: The archive was newer than the lock when it was made.
    """

    folder: Path
    archives: Mapping[str, str]
    newer: bool

    @property
    def disk(self) -> Path:
        """The disk: an ext4 file system without a partition table."""
        return self.folder / "disk.qcow2"


def find_upstream(
    suite: str, architecture: str, known: Mapping[str, Any], say: Say
) -> dict[str, Any]:
    """Look at the Debian archive and return the lock's new entry: codename, digests and dates.

    The entry that is known is returned when the archive was only signed anew.

    Raises:
        ImageError: The archive cannot be reached, what it gives is not signed as it should be, or
            it is older than the entry that is known.
    """
    say(f"looks at the Debian archive for {suite}")
    codename = suite
    if suite in ALIASES:
        # Only the name is taken; a mirror may keep an alias's files longer than they are valid.
        lenient = '--aptopt=Acquire::Check-Valid-Until "false"'
        codename = _look(suite, architecture, [lenient]).suite
        say(f"{suite} is {codename} now")
    archives = _look(codename, architecture)
    if suite in ALIASES:
        archives.refuse_other_name(suite)
    if (archives.suite, archives.release) == (known.get("suite"), known.get("release")):
        return dict(known)
    archives.refuse_older(known)
    return archives.to_lock()


def _look(suite: str, architecture: str, options: Sequence[str] = ()) -> Archives:
    with tempfile.TemporaryDirectory(prefix="immutable-archive-") as name:
        folder = Path(name)
        hook = f"--customize-hook=sync-out /var/lib/apt/lists {shlex.quote(name)}"
        log = folder / "mmdebstrap.log"
        words = ["--variant=custom", *options, hook]
        run_mmdebstrap(words, suite, architecture, log, 300, keeps_log=False)
        return read_archives(folder)


def provide_upstream(
    root: Path,
    lock: Mapping[str, Any],
    architecture: str,
    *,
    log: Path,
    deadline: float,
    say: Say,
) -> Upstream:
    """Return the upstream disk of a lock's entry, made when it is not there yet.

    An archive that is newer than the lock is used, said and recorded: Debian's mirrors keep no
    older ones. An older one is refused.

    Args:
        root: The folder of all upstream disks.
        lock: The lock's entry, with `suite` and `release`.
        architecture: As the lock names it.
        log: Where mmdebstrap's output goes.
        deadline: Seconds that making it may take.
        say: Takes progress.

    Raises:
        ImageError: mmdebstrap failed, the archive is older than the lock, or a file of the folder
            is damaged.
    """
    folder = root / compute_key(lock, architecture)
    if not all((folder / name).is_file() for name in FILES):
        say(f"makes a minimal Debian {lock['suite']} by mmdebstrap")
        _make_upstream(folder, lock, architecture, log, deadline)
    verify_checksums(folder)
    found = Archives(**json.loads((folder / "archives.json").read_text(encoding="utf-8")))
    newer = found.release != lock["release"]
    if newer:
        say(
            "the Debian archive is newer than the lock, which is no fault: image.json names the one"
            " that is used, and `./immutable update` writes it into the lock"
        )
    return Upstream(folder, found.parts, newer)


def compute_key(lock: Mapping[str, Any], architecture: str) -> str:
    """Return the folder's name: 12 hex digits over the lock's entry and over how it is made."""
    recipe = [PACKAGES, DISK_SIZE, INITRD_HOOK, _SETTINGS, DISK_HOOK]
    rebuild = lock.get("rebuild", 0)
    parts = [lock["suite"], lock["release"], rebuild, architecture, recipe]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _make_upstream(
    folder: Path, lock: Mapping[str, Any], architecture: str, log: Path, deadline: float
) -> None:
    debian = _debian_architecture(architecture)
    packages = ",".join(PACKAGES).format(architecture=debian)
    with start_half(folder) as half:
        options = [
            "--variant=minbase",
            f"--include={packages}",
            "--skip=cleanup/apt/lists",
            '--aptopt=Apt::Install-Recommends "false"',
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")),
            f"--essential-hook={INITRD_HOOK}",
            f"--customize-hook={_SETTINGS}",
            f"--customize-hook={DISK_HOOK}",
            f"--customize-hook=sync-out /artifact {shlex.quote(str(half))}",
        ]
        run_mmdebstrap(options, str(lock["suite"]), architecture, log, deadline)
        archives = read_archives(half / "archives")
        archives.refuse_older(lock)
        shutil.rmtree(half / "archives")
        (half / "archives.json").write_text(json.dumps(asdict(archives), indent=2) + "\n")
        write_checksums(half, FILES)


def run_mmdebstrap(
    options: Sequence[str],
    suite: str,
    architecture: str,
    log: Path,
    deadline: float,
    *,
    keeps_log: bool = True,
) -> None:
    """Run mmdebstrap for its hooks alone: nothing is written but what they take out.

    An error names the log only where it is kept.
    """
    lines: list[str] = []
    debian = _debian_architecture(architecture)
    command = ["mmdebstrap", f"--architectures={debian}", *options, suite, "/dev/null"]
    code = run_supervised(
        command,
        cwd=log.parent,
        env=_make_environment(),
        deadline=deadline,
        on_line=lines.append,
        log=log,
        what="mmdebstrap",
        less=True,
    )
    if code:
        failed = [line for line in lines if line.startswith(("E:", "W:"))]
        raise ImageError(
            f"mmdebstrap could not make a Debian {suite} for {debian}",
            facts=[*(failed or lines)[-5:], *([f"Log: {log}"] if keeps_log else [])],
            todo="See that a Debian mirror can be reached and that the suite exists, then again.",
        )


def _make_environment() -> dict[str, str]:
    """Return mmdebstrap's environment, with the folders of system programs on the PATH."""
    path = os.environ.get("PATH", os.defpath)
    return {
        **make_environment(*NETWORK, "APT_CONFIG"),
        "PATH": f"{path}:/usr/sbin:/sbin",
        "LC_ALL": "C.UTF-8",
    }


def _debian_architecture(architecture: str) -> str:
    found = DEBIAN_ARCHITECTURES.get(architecture)
    if found is None:
        raise ImageError(
            f"No Debian image can be made for {architecture}",
            facts=[f"Known are {', '.join(DEBIAN_ARCHITECTURES)}."],
            todo="Use a machine of one of these architectures, or a cloud target.",
        )
    return found
