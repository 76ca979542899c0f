"""What a running HAProxy knows of its servers and has counted, in all of its workers."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from immutable_servers.contract.values import Answers, Member
from immutable_servers.targets.local.haproxy_config import UNCHECKED, Backend
from immutable_servers.targets.local.haproxy_pointers import find_stale_workers
from immutable_servers.targets.local.haproxy_socket import ask_current, ask_worker, find_workers

Row = dict[str, str]
_ALL, _CLIENTS = "BACKEND", "FRONTEND"
"""The rows of all of a backend, and of a frontend."""
_NEVER = "INI"
"""What the last check of a server was before its first."""


def find_members(master: Path, backend: str) -> dict[str, Member]:
    """Return the servers of a backend as the current worker sees them, with their last check."""
    return {row["svname"]: _describe(row) for row in _find_servers(master, backend)}


def find_unasked(master: Path, backend: str) -> list[str]:
    """Return the servers of a backend that the current worker has not asked for their health."""
    return [row["svname"] for row in _find_servers(master, backend) if _name_check(row) == _NEVER]


def render_states(master: Path, backends: Sequence[Backend]) -> str:
    """Return what the current worker knows of servers which keep their name and port.

    A line of another port would count more than the configuration.
    """
    version, names, *lines = ask_current(master, "show servers state").splitlines()
    kept = {
        (backend.name, name, str(port))
        for backend in backends
        for name, port in backend.servers.items()
    }
    keys = names.removeprefix("# ").split()
    wanted = [keys.index(key) for key in ("be_name", "srv_name", "srv_port")]
    rows = [line for line in lines if line]
    same = [row for row in rows if tuple(row.split()[at] for at in wanted) in kept]
    return "\n".join([version, names, *same, ""])


def count_sessions(master: Path, backend: str, servers: Sequence[str] = ()) -> int:
    """Return how many requests a backend, or servers of it, have now, in all workers."""
    names = {name for server in servers for name in (server, server + UNCHECKED)} or {_ALL}
    return sum(
        int(row["scur"] or 0) + int(row["qcur"] or 0)
        for _, row in _read_all(master)
        if row["pxname"] == backend and row["svname"] in names
    )


def count_clients(master: Path, backend: str) -> int:
    """Return how many connections of clients are held by earlier workers that point to a backend.

    Each may bring one request more.
    """
    stale = find_stale_workers(master, backend)
    return sum(
        int(row["scur"] or 0)
        for pid, row in _read_all(master)
        if pid in stale and row["svname"] == _CLIENTS
    )


def count_answers(master: Path, backend: str) -> dict[str, Answers]:
    """Return by worker how many requests of a backend were answered, and how many with 5xx."""
    return {
        str(pid): Answers(
            requests=sum(int(row[f"hrsp_{digit}xx"] or 0) for digit in range(1, 6)),
            errors=int(row["hrsp_5xx"] or 0),
        )
        for pid, row in _read_all(master)
        if row["pxname"] == backend and row["svname"] == _ALL
    }


def _describe(row: Row) -> Member:
    status, check = row["status"], _name_check(row)
    if check == _NEVER:
        return Member(up=False, detail="not asked yet")
    code = row["check_code"].removeprefix("0")  # 0 is none
    facts = [f"{check} {code}".strip(), row["check_desc"], row["last_chk"]]
    said = ", ".join(filter(None, facts))
    up = status.startswith("UP")
    return Member(up, status if up or not said else f"{status}: {said}")


def _name_check(row: Row) -> str:
    return row["check_status"].removeprefix("* ")  # while the next one is under way


def _find_servers(master: Path, backend: str) -> list[Row]:
    return [
        row
        for row in _parse(ask_current(master, "show stat"))
        if row["pxname"] == backend
        and row["svname"] != _ALL
        and not row["svname"].endswith(UNCHECKED)
    ]


def _read_all(master: Path) -> Iterator[tuple[int, Row]]:
    """Yield each worker's rows; none of one that has ended meanwhile."""
    for pid in find_workers(master).all:
        for row in _parse(ask_worker(master, pid, "show stat")):
            yield pid, row


def _parse(text: str) -> list[Row]:
    return list(csv.DictReader(text.strip().removeprefix("# ").splitlines()))
