"""gRPC servers that answer their own user alone."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import own_user
import pytest

from harness.strangers import NOBODY, call_as_nobody, call_from_elsewhere, call_here

OWN = os.geteuid()
ROW = (
    "  0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 {uid:5} 0 {inode} 1 0 20"
)
V4 = "0100007F"
MAPPED = f"0000000000000000FFFF0000{V4}"
CLOSED = re.compile("closed|no socket|no such socket|no such connection")
METHOD = "ResourceProvider/GetPluginInfo"


@pytest.fixture
def server() -> Iterator[tuple[int, own_user.OwnUser]]:
    """A server that answers all that Pulumi's providers are asked, with its guard."""
    from pulumi.runtime.proto import provider_pb2_grpc  # noqa: PLC0415 - as the plugin does
    from pulumi.runtime.proto.plugin_pb2 import PluginInfo  # noqa: PLC0415 - the same

    class Provider(provider_pb2_grpc.ResourceProviderServicer):
        def GetPluginInfo(self, request: object, context: object) -> PluginInfo:  # noqa: N802
            return PluginInfo(version="1")

    guard = own_user.OwnUser()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_user, "OwnUser", lambda: guard)
        made = own_user.make_server(ThreadPoolExecutor(1))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), made)
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    yield port, guard
    made.stop(0).wait()


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, int, int]]:
    """A client's end of a connection, its port, and the server's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, address = listener.accept()
        with accepted:
            yield client, address[1], listener.getsockname()[1]
        client.close()


def write_table(folder: Path, *rows: str) -> tuple[Path, Path]:
    """Write rows into a table of IPv4; that of IPv6 is empty."""
    tables = folder / "tcp", folder / "tcp6"
    for table in tables:
        table.write_text("  sl  local_address rem_address st\n")
    with tables[0].open("a") as out:
        out.writelines(f"{row}\n" for row in rows)
    return tables


def render_row(
    *, uid: int, state: int = 1, inode: int = 7, address: str = V4, port: int = 0x9C40
) -> str:
    """Return the row of a client on `port`, whose server is on port 80."""
    ends = {"local": f"{address}:{port:04X}", "remote": f"{address}:0050"}
    return ROW.format(**ends, state=f"{state:02X}", uid=uid, inode=inode)


def test_our_own_user_is_answered(server: tuple[int, own_user.OwnUser]) -> None:
    """A call of this user's gets its answer."""
    assert call_here(server[0], METHOD, Path()) == "answered"


def test_another_user_is_refused(server: tuple[int, own_user.OwnUser], tmp_path: Path) -> None:
    """The user nobody gets none.

    Only root can be nobody; elsewhere the kernel's table is copied with another user in our row.
    """
    port, guard = server
    if OWN == 0:
        assert call_as_nobody(port, METHOD, Path()) == "PERMISSION_DENIED"
        return

    def find(client: int, listening: int) -> int:
        row = render_row(uid=NOBODY, port=client).replace(":0050", f":{listening:04X}")
        return own_user.read_tables(client, listening, write_table(tmp_path, row))

    guard.find = find
    assert call_here(port, METHOD, Path()) == "PERMISSION_DENIED"


def test_a_caller_whose_user_is_not_known_is_refused(server: tuple[int, own_user.OwnUser]) -> None:
    """From another address, and where the kernel says nothing, nobody is answered."""
    port, guard = server
    assert call_from_elsewhere(port, METHOD, Path()) == "PERMISSION_DENIED"

    def fail(_client: int, _server: int) -> int:
        raise OSError("no such table")

    guard.find = fail
    assert call_here(port, METHOD, Path()) == "PERMISSION_DENIED"


def test_a_call_may_stream(server: tuple[int, own_user.OwnUser]) -> None:
    """A method of any kind keeps its kind, and has the guard in front."""
    _, guard = server
    for kind in own_user.KINDS:
        made = getattr(grpc, f"{kind}_rpc_method_handler")(print)
        handler = guard.intercept_service({None: made}.get, None)
        assert [name for name in own_user.KINDS if getattr(handler, name)] == [kind]
    assert guard.intercept_service(lambda _details: None, None) is None


def test_each_way_finds_the_user_of_a_connection(
    connection: tuple[socket.socket, int, int],
) -> None:
    """The kernel's diagnosis and its tables agree on whose a connection is."""
    _, port, server = connection
    assert own_user.find_user(port, server) == OWN
    if own_user.TABLES[0].exists():
        assert own_user.read_tables(port, server) == OWN


def test_a_caller_who_has_hung_up_is_not_taken_for_root(
    connection: tuple[socket.socket, int, int],
) -> None:
    """A closed socket is shown as user 0's: it counts for nobody, and least of all for root."""
    client, port, server = connection
    client.close()
    for find in (own_user.find_user, own_user.ask_kernel, own_user.read_tables):
        with pytest.raises(OSError, match=CLOSED):
            find(port, server)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([render_row(uid=1000)], 1000),
        ([render_row(uid=7, port=1), render_row(uid=1000)], 1000),
        ([render_row(uid=0, state=6, inode=0)], None),
        ([render_row(uid=0, state=5)], None),
        ([render_row(uid=0, inode=0)], None),
        ([render_row(uid=0, address="0200007F")], None),
        ([], None),
    ],
    ids=["ours", "among others", "waits", "finishing", "nobody's", "another address", "none"],
)
def test_only_an_open_socket_of_this_connection_counts(
    tmp_path: Path, rows: list[str], found: int | None
) -> None:
    """The row must have both ends, be established and have an inode; else there is no user."""
    tables = write_table(tmp_path, *rows)
    if found is not None:
        assert own_user.read_tables(0x9C40, 80, tables) == found
        return
    with pytest.raises(OSError, match=CLOSED):
        own_user.read_tables(0x9C40, 80, tables)


def test_a_client_of_ipv6_is_found_by_its_mapped_address(tmp_path: Path) -> None:
    """A socket of IPv6 that speaks IPv4 is in the other table; one that ends alike is not taken."""
    tables = write_table(tmp_path)
    alike = render_row(uid=5, address=f"B80D012000000000{'0' * 8}{V4}")
    header = tables[1].read_text()
    tables[1].write_text("\n".join((header + alike, render_row(uid=1000, address=MAPPED))))
    assert own_user.read_tables(0x9C40, 80, tables) == 1000


def test_a_kernel_without_the_diagnosis_has_its_tables_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no such netlink socket can be made, the tables say it."""

    def fail(_port: int, _server: int) -> int:
        raise OSError("protocol not supported")

    monkeypatch.setattr(own_user, "ask_kernel", fail)
    tables = write_table(tmp_path, render_row(uid=1000))
    assert own_user.find_user(0x9C40, 80, tables) == 1000


@pytest.mark.parametrize("listed", [True, False])
def test_a_system_without_tables_asks_lsof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, listed: bool
) -> None:
    """It is asked for this user's connections alone, and one that it does not list is refused."""
    tool = tmp_path / "lsof"
    line = "n127.0.0.1:40000->127.0.0.1:80" if listed else "n127.0.0.1:40000->127.0.0.1:8080"
    tool.write_text(f'#!/bin/sh\n[ "$4" = {OWN} ] && printf "p1\\nf5\\n{line}\\n"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    tables = tmp_path / "none", tmp_path / "none6"
    if listed:
        assert own_user.find_user(40000, 80, tables) == OWN
    else:
        with pytest.raises(OSError, match="no such connection"):
            own_user.find_user(40000, 80, tables)


def test_a_provider_runs_in_the_project_s_virtual_environment(tmp_path: Path) -> None:
    """The plugin goes on in the interpreter that `Pulumi.yaml` names, with its words, and once."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "${PULUMI_RUNTIME_VIRTUALENV-gone}"\n')
    python.chmod(0o755)
    plugin = Path(own_user.__file__).with_name("dynamic_providers.py")
    done = subprocess.run(
        [sys.executable, str(plugin), "127.0.0.1:1"],
        env={**os.environ, "PULUMI_RUNTIME_VIRTUALENV": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["-u", str(plugin), "127.0.0.1:1", "gone"]
