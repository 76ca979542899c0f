"""Calls AWS with the rights of this server's instance profile.

Only the standard library is at hand here, so the signature is made by hand: Signature Version 4,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

# ruff: noqa: INP001 - a folder on the server, not a package

import hmac
import json
import time
from collections.abc import Mapping
from hashlib import sha256
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from launch_data import ask_ec2

CREDENTIALS = "/latest/meta-data/iam/security-credentials/"
DOMAIN = "/latest/meta-data/services/domain"
SECONDS = 20.0
"""How long a call may take."""


def find_credentials() -> Mapping[str, str]:
    """Return the instance profile's credentials, as EC2's metadata has them now.

    Raises:
        OSError: It has none: there is no profile, or its role is gone.
    """
    role, *_ = [*ask_ec2(CREDENTIALS)[0].split(), ""]
    found = json.loads(ask_ec2(f"{CREDENTIALS}{role}")[0] or "{}") if role else {}
    if "AccessKeyId" not in found:
        message = "this server has no instance profile with credentials"
        raise OSError(message)
    return dict(found)


def find_endpoint(service: str, region: str) -> str:
    """Return where a service of a region answers."""
    return f"https://{service}.{region}.{ask_ec2(DOMAIN)[0] or 'amazonaws.com'}"


def call(
    endpoint: str, region: str, target: str, body: bytes, credentials: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    """Call an operation of a JSON service; return status and answer.

    Args:
        endpoint: A URL without a path.
        region: The service's.
        target: Such as `Logs_20140328.PutLogEvents`.
        body: The operation's arguments, as JSON.
        credentials: As EC2's metadata gives them.

    Raises:
        OSError: The service cannot be reached.
    """
    url = urlsplit(endpoint)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(url.netloc, timeout=SECONDS)
    try:
        headers = sign(url.netloc, region, target, body, credentials, time.time())
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else {}
    except (HTTPException, ValueError) as error:
        raise OSError(str(error) or type(error).__name__) from error
    finally:
        connection.close()


def sign(
    host: str,
    region: str,
    target: str,
    body: bytes,
    credentials: Mapping[str, str],
    now: float,
) -> dict[str, str]:
    """Return the headers of a call of CloudWatch Logs, the signature among them."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    signed = {
        "content-type": "application/x-amz-json-1.1",
        "host": host,
        "x-amz-date": moment,
        "x-amz-security-token": credentials["Token"],
        "x-amz-target": target,
    }
    names = ";".join(signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    request = f"POST\n/\n\n{lines}\n{names}\n{sha256(body).hexdigest()}"
    scope = f"{moment[:8]}/{region}/logs/aws4_request"
    digest = sha256(request.encode()).hexdigest()
    key = f"AWS4{credentials['SecretAccessKey']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{credentials['AccessKeyId']}/{scope}"
    return {
        **signed,
        "authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, "
        f"Signature={signature}",
    }
