"""What guests reach of this machine, tried from within: while a run's own servers listen too."""

import json
import secrets
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from harness import reach
from harness.local_stack import LocalStack

NOTHING = {"reached": [], "resolves": False}
NETWORK = {"reached": [], "resolves": True}
FIXTURE = "\n\n@pytest.fixture"
SOURCES = 'sources = ["source.qemu.local"]\n'
BAKE = """
  provisioner "shell-local" {{
    inline = [{listing}]
  }}
  provisioner "file" {{
    sources     = ["{reach}", "{ends}"]
    destination = "/var/tmp/"
  }}
  provisioner "shell" {{
    inline = ["python3 /var/tmp/reach.py try \\"$(cat /var/tmp/ends.json)\\" | tee /opt/reached"]
  }}
  provisioner "file" {{
    direction   = "download"
    source      = "/opt/reached"
    destination = "{baked}"
  }}
"""
CHECK = '''

def test_what_is_reached(host: Host) -> None:
    """Try from here what listens on the machine that runs this check now."""
    import shlex, subprocess, sys
    listing = subprocess.run([sys.executable, {reach!r}, "list"], capture_output=True, check=True)
    program = open({reach!r}).read()
    words = ["python3", "-c", program, "try", listing.stdout.decode()]
    with open({reached!r}, "w") as file:
        file.write(host.check_output(shlex.join(words)))
'''


@contextmanager
def start_listeners() -> Iterator[list[int]]:
    """Yield ports on which this process listens: on the loopback, and on all addresses."""
    with ExitStack() as stack:
        hosts = ("127.0.0.1", "0.0.0.0")  # noqa: S104 - the point
        made = [stack.enter_context(socket.create_server((host, 0))) for host in hosts]
        yield [one.getsockname()[1] for one in made]
        for one in made:
            with socket.create_connection(("127.0.0.1", one.getsockname()[1]), 5):
                pass  # from this machine they are reached


def read(file: Path) -> dict[str, Any]:
    """Return what was written to a file, and forget it."""
    found: dict[str, Any] = json.loads(file.read_text())
    file.unlink()
    return found


def test_guests_reach_nothing_of_this_machine(serving: LocalStack) -> None:
    """A bake's guest, a server, and a server that reaches the network connect to none of it.

    They try each port that listens, among them those of the engine, of the process that bakes and
    verifies, of the balancer and of other guests, at each address of this machine, of QEMU's user
    network and of a cloud's metadata. Beside that the first and the last have a network.
    """
    files = {name: serving.root.parent / f"{name}.json" for name in ("ends", "baked", "served")}
    files["ends"].write_text("{}")  # Packer wants it there before the bake
    program = str(reach.__file__)
    listing = shlex.join([sys.executable, program, "list"]) + f" >{files['ends']}"
    bake = BAKE.format(listing=json.dumps(listing), reach=program, **files)
    check = CHECK.format(reach=program, reached=str(files["served"]))
    with start_listeners() as ports:
        serving.change("packer/app/local.pkr.hcl", SOURCES, SOURCES + bake)
        serving.change("servers/test_sample.py", FIXTURE, check + FIXTURE)
        serving.edit("app/server.py", f"# {secrets.token_hex()}: no earlier session has baked this")
        serving.services["web"]["keep"] = 2  # what served before has to come back
        serving.write_settings()
        serving.update()
        assert read(files["baked"]) == NETWORK
        assert read(files["served"]) == NOTHING
        serving.servers_reach = "network"
        serving.write_settings()
        serving.update()
        assert read(files["served"]) == NETWORK
    tried = read(files["ends"])
    assert set(ports) < set(tried["ports"])
    assert len(tried["ports"]) > len(ports) + 3  # engine, language host, providers, a guest's


def test_machines_run_sandboxed_and_without_secrets(serving: LocalStack) -> None:
    """QEMU filters the calls of its process, whose environment names nothing of a run's."""
    (pid,) = serving.find_machine_processes(serving.live())
    assert "\nSeccomp:\t2\n" in Path(f"/proc/{pid}/status").read_text()
    assert psutil.Process(pid).environ().keys() <= {"PATH", "LANG", "LC_CTYPE"}
