"""Renders the setting `bake`, by which a bake reaches the outside; no server gets it."""

import base64
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from immutable_servers.errors import ImageError
from immutable_servers.settings.models import BakeSettings

MEMORY = "/run/immutable-bake"
"""Folder in the guest's memory: what lies there is never on the disk that becomes the image."""
SYSTEM_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""Of Debian's package `ca-certificates`, in the guest."""
PROXY = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
DIRECT = dict.fromkeys(("no_proxy", "NO_PROXY"), "localhost,127.0.0.1")
TRUST = (
    *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE"),
    *("NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO"),
)
"""Variables that name the file of certificates that a program trusts."""
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
MOST_CERTIFICATES = 64 * 1024
"""Bytes: in base64 they are in one argument, and Linux takes 128 KiB in one (execve(2))."""
TAKEN = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
LEAST_MASKED = 6
"""Shorter values would make a log unreadable, and are no secrets."""


@dataclass(frozen=True)
class Outside:
    """What one bake is handed.

    Attributes:
        script: The value of the sensitive variable `bake`; empty without settings.
        masked: Values that a log must not show.
        notes: What was left out, a sentence each.
    """

    script: str
    masked: Sequence[str] = ()
    notes: Sequence[str] = ()


def render_outside(
    settings: BakeSettings, root: Path, environment: Mapping[str, str], memory: str = MEMORY
) -> Outside:
    """Return the script for a bake; none without settings.

    A value that is `$NAME` is taken from `environment`; where it is not set there, it is left out.

    Raises:
        ImageError: The file with certificates cannot be used.
    """
    masked: list[str] = []
    notes: list[str] = []

    def take(text: str | None, *, private: bool = True) -> str:
        taken = TAKEN.fullmatch(text or "")
        value = environment.get(taken[1]) if taken else text
        if taken and not value:
            notes.append(f"${taken[1]} is not set here: the bake does without")
        if value and private:
            masked.extend(_find_secrets(value, whole=bool(taken)))
        return value or ""

    proxy, file = take(settings.proxy), take(settings.ca, private=False)
    own = {name: take(text) for name, text in settings.env.items()}
    env = {**dict.fromkeys(PROXY, proxy), **DIRECT} if proxy else {}
    certificates = _read_certificates(root / file) if file else ""
    if certificates:
        env |= {**dict.fromkeys(TRUST, f"{memory}/ca.pem"), "APT_CONFIG": f"{memory}/apt.conf"}
    env |= {name: text for name, text in own.items() if text}
    lines = [_render_files(certificates, memory)] if certificates else []
    lines += [f"export {name}={shlex.quote(text)}" for name, text in env.items()]
    if not lines:
        return Outside("", masked, notes)
    script = "\n".join([*lines, 'exec env "$@"'])
    # Neither HCL, Packer's own templates nor a shell finds anything to read in it.
    return Outside(base64.b64encode(script.encode()).decode(), masked, notes)


def _find_secrets(value: str, *, whole: bool) -> list[str]:
    """Return what must not be shown of a value: a login in a URL, or `whole` of it.

    A user without a password is a token.
    """
    try:
        parts = urlsplit(value)
    except ValueError:
        return [value]
    login = parts.password or parts.username or ""
    found = [value] if whole or login else []
    found += [login, unquote(login)]
    least = 1 if parts.password else LEAST_MASKED
    return [text for text in found if len(text) >= least]


def _read_certificates(file: Path) -> str:
    """Return the certificates in a file, and nothing else of it."""
    todo = "Name the file with your company's own certificates, in PEM form, as `bake.ca`."
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ImageError(
            "The certificates for a bake cannot be read",
            facts=[f"{file}: {error.strerror or error}"],
            todo=todo,
        ) from error
    found = CERTIFICATE.findall(text)
    whole = "\n".join(found)
    if not found or len(whole) > MOST_CERTIFICATES:
        size = f"{len(whole)} bytes, at most {MOST_CERTIFICATES}"
        raise ImageError(
            "The certificates for a bake cannot be handed over",
            facts=[f"{file}: {len(found)} certificates{f', {size}' if found else ''}"],
            todo=f"{todo} Those that the image's own system trusts are trusted beside them.",
        )
    return whole


def _render_files(certificates: str, memory: str) -> str:
    apt = f'Acquire::https::CAInfo "{memory}/ca.pem";'
    return (
        f"mkdir -p {memory}\n"
        f"{{ cat {SYSTEM_CERTIFICATES} 2>/dev/null; echo {shlex.quote(certificates)}; }}"
        f" >{memory}/ca.pem\n"
        f"echo {shlex.quote(apt)} >{memory}/apt.conf"
    )
