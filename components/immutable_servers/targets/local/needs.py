"""What the local target needs on the machine, and how machines run on it."""

from collections.abc import Sequence

from immutable_servers.contract.needs import DebianPackage, Needs, PackerPlugin
from immutable_servers.errors import ImmutableError
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.accelerator import DEVICE, find_accelerator
from immutable_servers.targets.local.artifacts import KERNEL
from immutable_servers.targets.local.qemu import EMULATOR

MMDEBSTRAP = DebianPackage("mmdebstrap", "mmdebstrap", "2 MB", 4)
ARCHIVE_KEYS = DebianPackage(
    "debian-archive-keyring", "/usr/share/keyrings/debian-archive-keyring.gpg", "1 MB", 2
)
UIDMAP = DebianPackage("uidmap", "newuidmap", "1 MB", 2, rootless=True)
"""For mmdebstrap, which maps user ids where it does not run as root."""
NEEDS = Needs(
    acting=(
        DebianPackage("qemu-system-x86", EMULATOR, "110 MB", 20),
        DebianPackage("qemu-utils", "qemu-img", "10 MB", 4),
        MMDEBSTRAP,
        DebianPackage("haproxy", "haproxy", "5 MB", 4),
        DebianPackage("openssh-client", "ssh-keygen", "6 MB", 4),
        ARCHIVE_KEYS,
        UIDMAP,
        PackerPlugin("qemu", "1.0.9"),
    ),
    upstream=(MMDEBSTRAP, ARCHIVE_KEYS, UIDMAP),
    platform="linux",
)
EMULATED, KVM = "software emulation", "KVM"
CONSOLES_HINT = "Consoles are kept for 7 days after a server is gone."


def describe_machine() -> Sequence[tuple[str, str, str]]:
    """Return the line of `doctor` on how machines run."""
    return (("machines run in", describe_accelerator(), str(DEVICE)),)


def describe_accelerator() -> str:
    """Return whether machines run in KVM, proven with the kernel of an artifact that is there."""
    if not DEVICE.exists():
        return EMULATED
    kernels = sorted(layout.images_dir().glob(f"*/*/{KERNEL}"))
    if not kernels:
        return "not known before the first bake"
    try:
        kind = find_accelerator(kernels[-1])
    except ImmutableError:
        return "not known without QEMU"
    return KVM if kind == "kvm" else EMULATED
