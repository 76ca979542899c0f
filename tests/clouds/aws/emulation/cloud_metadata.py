"""Answers one request to an instance's metadata service (IMDSv2): on stdin and stdout.

QEMU starts it for each connection of the guest to 169.254.169.254, with the file that says what the
instance was launched with. Without a token nothing is said, as the project's instances want it:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

import json
import sys
from pathlib import Path

TOKEN = "a-token-of-this-instance"  # noqa: S105 - not a secret
LIFETIME, GIVEN = "x-aws-ec2-metadata-token-ttl-seconds", "x-aws-ec2-metadata-token"


def answer(method: str, path: str, headers: dict[str, str], metadata: dict[str, str]) -> str:
    """Return the HTTP answer to a request; `metadata` is by path."""
    if (method, path) == ("PUT", "/latest/api/token"):
        return render("200 OK", TOKEN) if LIFETIME in headers else render("400 Bad Request", "")
    if headers.get(GIVEN) != TOKEN:
        return render("401 Unauthorized", "")
    found = metadata.get(path.removeprefix("/latest/"), "")
    return render("200 OK", found) if found else render("404 Not Found", "")


def render(status: str, body: str) -> str:
    """Return an answer; the connection ends with it."""
    size = len(body.encode())
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n{body}"


def main(file: str) -> None:
    """Read a request's head, and answer it."""
    method, path, _ = sys.stdin.readline().split(" ", 2)
    headers = {}
    while line := sys.stdin.readline().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    sys.stdout.write(answer(method, path, headers, json.loads(Path(file).read_text())))


if __name__ == "__main__":
    main(sys.argv[1])
