"""Answers one request to an instance's metadata service: on stdin and stdout.

QEMU starts it for each connection of the guest to 169.254.169.254, with the cloud whose manners it
has, and the file that says by path what the instance was launched with.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

TOKEN = "a-token-of-this-instance"  # noqa: S105 - not a secret
LIFETIME, GIVEN = "x-aws-ec2-metadata-token-ttl-seconds", "x-aws-ec2-metadata-token"
FLAVOR = "Metadata-Flavor"

Texts = Mapping[str, str]


def answer_amazon(method: str, path: str, headers: Texts, metadata: Texts) -> str:
    """Answer as IMDSv2 does: without a token nothing is said, as the project's instances want it.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    """
    if (method, path) == ("PUT", "/latest/api/token"):
        return render("200 OK", TOKEN) if LIFETIME in headers else render("400 Bad Request", "")
    if headers.get(GIVEN) != TOKEN:
        return render("401 Unauthorized", "")
    return find(path.removeprefix("/latest/"), metadata)


def answer_google(method: str, path: str, headers: Texts, metadata: Texts) -> str:
    """Answer as Google's metadata server does: to nobody who does not name its flavour.

    https://cloud.google.com/compute/docs/metadata/querying-metadata
    """
    if method != "GET":
        return render("405 Method Not Allowed", "")
    if headers.get(FLAVOR.lower()) != "Google" or "x-forwarded-for" in headers:
        return render("403 Forbidden", "", f"{FLAVOR}: Google")
    return find(path.removeprefix("/computeMetadata/v1/"), metadata, f"{FLAVOR}: Google")


def answer_digitalocean(method: str, path: str, headers: Texts, metadata: Texts) -> str:
    """Answer as a droplet's metadata service does: anybody on the machine.

    https://docs.digitalocean.com/reference/api/metadata/
    """
    del headers
    if method != "GET":
        return render("405 Method Not Allowed", "")
    return find(path.removeprefix("/metadata/"), metadata)


ANSWERS = {
    "amazon": answer_amazon,
    "digitalocean": answer_digitalocean,
    "google": answer_google,
}


def find(path: str, metadata: Texts, *headers: str) -> str:
    """Return the answer with what there is at a path; what is empty is not there."""
    found = metadata.get(path, "")
    return render("200 OK", found, *headers) if found else render("404 Not Found", "", *headers)


def render(status: str, body: str, *headers: str) -> str:
    """Return an answer; the connection ends with it."""
    size = f"Content-Length: {len(body.encode())}"
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, size, "Connection: close", "", body])


def main(cloud: str, file: str) -> None:
    """Read a request's head, and answer it."""
    method, path, _ = sys.stdin.readline().split(" ", 2)
    headers = {}
    while line := sys.stdin.readline().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    sys.stdout.write(ANSWERS[cloud](method, path, headers, json.loads(Path(file).read_text())))


if __name__ == "__main__":
    main(*sys.argv[1:])
