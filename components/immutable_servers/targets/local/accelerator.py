"""Finds whether KVM works here, by running a guest in it.

`/dev/kvm` can exist and not work: the guest hangs, or QEMU aborts. So KVM counts only after a Linux
guest got as far as its first program within a few seconds. The answer is kept until the host boots
again, or QEMU or the kernel changes.
"""

import hashlib
import os
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

from immutable_servers.errors import SetupError
from immutable_servers.system import places
from immutable_servers.system.environment import make_daemon_environment
from immutable_servers.system.files import read_json, write_json
from immutable_servers.system.processes import find_boot_id
from immutable_servers.targets.local.qemu import EMULATOR

Accelerator = Literal["kvm", "tcg"]

DEVICE = Path("/dev/kvm")
WORD = "immutable-servers-guest-ran"
_PROOF_SECONDS = 5.0
"""Where KVM works the guest needs less than 1 s."""


def find_accelerator(kernel: Path) -> Accelerator:
    """Return `kvm` where a guest with this kernel has really run in it, else `tcg`.

    Raises:
        SetupError: There is no QEMU.
    """
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return "tcg"
    cache = places.cache_dir() / "accelerator.json"
    key = f"{find_boot_id()} {_find_version()} {hashlib.sha256(kernel.read_bytes()).hexdigest()}"
    answers = read_json(cache) or {}
    if key not in answers:
        works = run_guest(kernel, "kvm", _PROOF_SECONDS)
        # Answers of earlier boots go: the file does not grow.
        kept = {old: answer for old, answer in answers.items() if old.startswith(find_boot_id())}
        answers = {**kept, key: "kvm" if works else "tcg"}
        write_json(cache, answers)
    return "kvm" if answers[key] == "kvm" else "tcg"


def run_guest(kernel: Path, accelerator: str, seconds: float) -> bool:
    """Return whether a guest whose only program prints a word ran within `seconds`."""
    with tempfile.TemporaryDirectory(prefix="immutable-guest-") as folder:
        initrd = Path(folder) / "initrd"
        initrd.write_bytes(render_initrd())
        command = [
            *(EMULATOR, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
            *("-machine", "q35", "-accel", accelerator, "-m", "256", "-serial", "stdio"),
            *("-kernel", str(kernel), "-initrd", str(initrd)),
            *("-append", "console=ttyS0 quiet panic=-1"),
        ]
        try:
            done = subprocess.run(
                command,
                env=make_daemon_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return WORD.encode() in done.stdout


def render_initrd() -> bytes:
    """Return an initrd (cpio, newc) whose /init prints the word and restarts the machine."""
    return (
        _render_entry("init", _render_program(), 0o100755)
        + _render_entry("TRAILER!!!", b"", 0)
        + bytes(512)
    )


def _render_program() -> bytes:
    """Return an x86-64 ELF program: write(1, word), then reboot(RESTART). No compiler is needed."""
    text = f"{WORD}\n".encode()
    finish = bytes.fromhex(
        "0f05"  # syscall
        "b8a9000000"  # mov eax, 169 (reboot)
        "bfaddee1fe"  # mov edi, LINUX_REBOOT_MAGIC1
        "be69191228"  # mov esi, LINUX_REBOOT_MAGIC2
        "ba67452301"  # mov edx, LINUX_REBOOT_CMD_RESTART
        "0f05"  # syscall
        "ebfe"  # jmp to itself
    )
    length = b"\xba" + struct.pack("<I", len(text))  # mov edx, length
    code = (
        bytes.fromhex("b801000000bf01000000")  # mov eax, 1 (write); mov edi, 1
        + bytes.fromhex("488d35")  # lea rsi, [rip + distance to the text]
        + struct.pack("<i", len(length) + len(finish))
        + length
        + finish
        + text
    )
    base, headers = 0x400000, 64 + 56
    size = headers + len(code)
    elf = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 2, 62, 1, base + headers, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return elf + segment + code


def _render_entry(name: str, content: bytes, mode: int) -> bytes:
    """Return one entry of a cpio archive in the `newc` form (the kernel's buffer-format.rst)."""
    fields = [1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + "".join(f"{value:08x}" for value in fields).encode() + name.encode() + b"\0"
    return _pad(head) + _pad(content)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _find_version() -> str:
    try:
        done = subprocess.run(
            [EMULATOR, "--version"],
            env=make_daemon_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise SetupError(
            f"{EMULATOR} is missing or does not start",
            facts=[str(error)],
            todo="Run ./immutable doctor, or install qemu-system-x86.",
        ) from error
    return done.stdout.splitlines()[0]
