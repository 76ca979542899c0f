"""Reads which release of Debian an image starts from; clouds have images of each."""

from collections.abc import Mapping

from immutable_servers.errors import ImageError

SUITES: Mapping[str, str] = {"bookworm": "12", "trixie": "13", "forky": "14", "duke": "15"}
STABLE = "trixie"
"""Debian's names for its releases, and the stable one: https://wiki.debian.org/DebianReleases."""


def find_release(target: str, wanted: Mapping[str, str]) -> str:
    """Return the number of a release.

    Args:
        target: The target's name.
        wanted: `suite`, such as `trixie`; `stable` without it.

    Raises:
        ImageError: Debian has no such suite at a cloud, or something else than Debian is wanted.
    """
    suite = wanted.get("suite", STABLE)
    release = SUITES.get(STABLE if suite == "stable" else suite, suite)
    if not release.isdigit() or wanted.keys() - {"suite"}:
        raise ImageError(
            f"There is no such upstream on {target}",
            facts=[
                *(f"{key}: {value}" for key, value in wanted.items()),
                f"Known are the suites stable ({STABLE}), {', '.join(SUITES)}.",
            ],
            todo="Correct `upstream` of the image in the stack file, such as {suite: trixie}.",
        )
    return release


def make_without_upstream(what: str, fact: str) -> ImageError:
    """Return the error of a cloud that has no image of a release."""
    todo = "Correct `upstream` of the image in the stack file."
    return ImageError(what, facts=[fact], todo=todo)


def make_dead_lock(what: str, fact: str, then: str = "") -> ImageError:
    """Return the error of a lock whose image a bake cannot start from.

    Args:
        what: What failed.
        fact: What the lock has.
        then: What else the reader has to know of the way out.
    """
    todo = "Run ./immutable update --stack STACK, with the name of this stack, and commit the lock."
    return ImageError(what, facts=[fact], todo=f"{todo} {then}".rstrip())
