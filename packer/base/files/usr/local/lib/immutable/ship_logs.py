"""Ships this server's journal to CloudWatch Logs, where it outlives the server.

It reads the journal as anybody may: whoever logs never waits for it. What cannot be shipped is
tried again while the journal, which is limited, still has it.
"""

# ruff: noqa: INP001 - a folder on the server, not a package

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from signed_calls import call, find_credentials, find_endpoint

LAUNCH = Path("/run/immutable/launch.json")
CURSOR = Path("/run/immutable-logs/cursor")
"""The last line that was shipped; kept while this program is started again."""
FIELDS = "MESSAGE,SYSLOG_IDENTIFIER,_PID"
API = "Logs_20140328"
EXISTS, WRONG = "ResourceAlreadyExistsException", "InvalidParameterException"
MOST_EVENTS, MOST_BYTES, MOST_CHARACTERS = 5000, 500_000, 32_000
"""Of one call; the service takes 10,000 events and 1,048,576 bytes, with 26 more for each event:
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""
BESIDE = 26
MOST_MICROSECONDS = 23 * 3600 * 1_000_000
"""Between the lines of one call; the service refuses what spans more than 24 hours."""
PAUSE, LONGEST_PAUSE = 2.0, 60.0
END = {signal.SIGTERM}
"""How systemd ends a service."""
REFUSED = 300

Line = Mapping[str, Any]


class Shipper:
    """The log stream of this server.

    Attributes:
        refusal: Why the last call did not work; said once.
    """

    def __init__(self, launch: Mapping[str, Any]) -> None:
        logs = launch["logs"]
        self.region, self.stream = logs["region"], launch["server"]
        self.group = logs["group"]
        self.endpoint = logs.get("endpoint") or find_endpoint("logs", self.region)
        self.refusal = ""

    def begin(self) -> bool:
        """Make the stream; return whether it is there."""
        return self._call("CreateLogStream", {}) in {"", EXISTS}

    def ship(self, batch: Sequence[Line]) -> bool:
        """Put lines into the stream; return whether they need not be shipped again.

        What the service calls wrong would be so each time, and hold up all that follows.
        """
        events = [
            {"timestamp": int(line["__REALTIME_TIMESTAMP"]) // 1000, "message": describe(line)}
            for line in batch
        ]
        events.sort(key=lambda event: int(event["timestamp"]))
        return self._call("PutLogEvents", {"logEvents": events}) in {"", WRONG}

    def _call(self, operation: str, more: Mapping[str, Any]) -> str:
        """Call an operation; return what kind of fault it met, empty when it met none."""
        where = {"logGroupName": self.group, "logStreamName": self.stream}
        body = json.dumps({**where, **more}).encode()
        try:
            target = f"{API}.{operation}"
            status, answer = call(self.endpoint, self.region, target, body, find_credentials())
        except OSError as error:
            status, answer = REFUSED, {"message": str(error)}
        if status < REFUSED:
            self.refusal = ""
            return ""
        kind = str(answer.get("__type", "")).rpartition("#")[2] or str(status)
        said = f"{operation} of {self.group} failed: {kind} {answer.get('message', '')}".strip()
        if kind != EXISTS and said != self.refusal:
            sys.stderr.write(f"<4>{said}\n")  # a warning, which the console has (sd-daemon(3))
        self.refusal = "" if kind == EXISTS else said
        return kind


def read_batch() -> Sequence[Line]:
    """Return the next lines of this boot's journal, as many as one call takes."""
    since = f"--after-cursor={CURSOR.read_text()}" if CURSOR.exists() else "--boot"
    # Without `--all` it leaves out what is longer than 4096 bytes: journalctl(1), `--output=json`.
    how = ["--quiet", "--all", "--output=json", f"--output-fields={FIELDS}"]
    command = ["journalctl", *how, since]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as journal:
        batch = list(_take(journal.stdout or ()))
        journal.kill()
    return batch


def _take(lines: Any) -> Iterator[Line]:  # noqa: ANN401 - lines of text
    size, first = 0, 0
    for number, text in enumerate(lines, 1):
        line = json.loads(text)
        moment = int(line["__REALTIME_TIMESTAMP"])
        first = first or moment
        if abs(moment - first) > MOST_MICROSECONDS:
            return
        yield line
        size += len(describe(line).encode()) + BESIDE
        if size > MOST_BYTES or number == MOST_EVENTS:
            return


def describe(line: Line) -> str:
    """Return a line as the console shows it."""
    who, text = line.get("SYSLOG_IDENTIFIER") or "-", _read_text(line.get("MESSAGE"))
    return f"{who}[{line.get('_PID', '-')}]: {text}"[:MOST_CHARACTERS]


def _read_text(said: Any) -> str:  # noqa: ANN401 - a value of JSON
    """Return a field's text: what has colours, or is no UTF-8, comes as a list of bytes."""
    try:
        return said if isinstance(said, str) else bytes(said).decode(errors="replace")
    except (TypeError, ValueError):
        return str(said)


def ship_next(shipper: Shipper) -> None:
    """Ship what is next in the journal."""
    batch = read_batch()
    if batch and shipper.ship(batch):
        CURSOR.write_text(batch[-1]["__CURSOR"], encoding="utf-8")


def main() -> None:
    """Ship until this server ends, and then what it said last."""
    # Asked for between two calls: what a handler raises is lost where it meets a finalizer.
    signal.pthread_sigmask(signal.SIG_BLOCK, END)
    shipper, pause = Shipper(json.loads(LAUNCH.read_text(encoding="utf-8"))), PAUSE
    while not shipper.begin():
        if signal.sigtimedwait(END, pause):
            return
        pause = min(2 * pause, LONGEST_PAUSE)
    pause = 0.0
    while not signal.sigtimedwait(END, pause):
        ship_next(shipper)
        pause = min(max(2 * pause, PAUSE), LONGEST_PAUSE) if shipper.refusal else PAUSE
    ship_next(shipper)


if __name__ == "__main__":
    main()
