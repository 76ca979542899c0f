"""Makes the environment of what we start from lists of names, never from all of ours.

Ours holds cloud keys, tokens and the passphrase of the state. A daemon keeps its environment for
months, and a check or a template is a user's code next to what a server answers.
"""

import os
from fnmatch import fnmatchcase

PLAIN = ("PATH", "LD_LIBRARY_PATH", "LANG", "LANGUAGE", "LC_*", "TZ")
"""What any program needs: where programs are, and the language of its messages."""

OWN = ("HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "XDG_*")
"""Where the user's files are."""

NETWORK = (
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
"""How other machines are reached, and whose certificates are trusted."""

INSTALLERS = (
    *("PIP_*", "NETRC", "GOROOT", "GOPATH", "GOCACHE", "GOMODCACHE", "GOTMPDIR", "GOENV"),
    *("GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE", "GOFLAGS"),
    *("GOMAXPROCS", "GOGC", "GOMEMLIMIT", "APT_CONFIG", "DEBIAN_FRONTEND"),
)
"""Settings of pip, Go and apt."""

ELSEWHERE = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_DRY_RUN")
"""Settings with which pip installs into another place, or nothing."""


def make_environment(*more: str) -> dict[str, str]:
    """Return those of our variables that a program of the user's needs.

    Args:
        more: Further names; `*` at the end of one stands for any rest.
    """
    return _pick(*PLAIN, *OWN, *more)


def make_setup_environment(*more: str) -> dict[str, str]:
    """Return the environment of what installs tools: those of our variables that say from where."""
    made = make_environment(*NETWORK, *INSTALLERS, *more)
    return {name: value for name, value in made.items() if name not in ELSEWHERE}


def make_daemon_environment() -> dict[str, str]:
    """Return the environment of a program that outlives us: nothing of the user's."""
    return _pick(*PLAIN)


def _pick(*names: str) -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if any(fnmatchcase(name, pattern) for pattern in names)
    }
