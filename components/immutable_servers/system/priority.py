"""Sets how much of the processor a session gets while others want it too.

Linux shares the processor among sessions by the nice value of their groups, not of their processes
(sched(7), "The autogroup feature"). An owner may raise that value and lower it again, which a
process's own nice value allows root alone. Where there are no such groups
(`kernel.sched_autogroup_enabled=0`), and where the cgroup of these processes has a share of its
own, all sessions get the same.
"""

import errno
from pathlib import Path

from immutable_servers.system.processes import PROC
from immutable_servers.system.waiting import wait_until

LESS, FULL = 5, 0
"""Nice values: beside a session with FULL, one with LESS gets a third of its share."""
_SECONDS = 5.0
_EVERY = 0.05


def set_share(pid: int, nice: int) -> None:
    """Give the session of a process this nice value; what cannot be done changes nothing.

    The kernel takes ten changes a second, of all users but root together.
    """
    group = PROC / str(pid) / "autogroup"
    what = f"setting the share of process {pid}"
    wait_until(what, _SECONDS, lambda: _write(group, nice), every=_EVERY, stoppable=False)


def _write(group: Path, nice: int) -> bool:
    """Return whether it is over: set, or impossible."""
    try:
        group.write_text(str(nice), encoding="ascii")
    except OSError as error:
        return error.errno != errno.EAGAIN
    return True
