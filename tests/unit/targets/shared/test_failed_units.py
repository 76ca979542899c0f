"""Which units of a server have failed for good, by its console."""

from collections.abc import Sequence

import pytest

from immutable_servers.targets.shared.failed_units import UnitWatch

FAILS = "app.service: Failed with result 'exit-code'."
AGAIN = "app.service: Scheduled restart job, restart counter is at 1."
GIVES_UP = "app.service: Start request repeated too quickly."
STARTED = "Started app.service - The application."
NOT_STARTED = "Failed to start app.service - The application."


def watch(own: str, *said: str) -> str:
    """Return what is known after systemd's words."""
    units = UnitWatch()
    units.take(f"[    8.434195] immutable-seal[139]: own units: {own}")
    for text in said:
        units.take(f"[   18.100000] systemd[1]: \x1b[0;1;39m{text}\x1b[0m")
    return units.trouble


@pytest.mark.parametrize(
    ("own", "said", "failed"),
    [
        ("app.service=always", [STARTED, FAILS], False),  # it is started again
        ("app.service=always", [STARTED, FAILS, AGAIN] * 40, False),  # and may come up
        ("app.service=always", [STARTED, FAILS, AGAIN, NOT_STARTED], False),  # a notify service
        ("app.service=always", [STARTED, FAILS, AGAIN, GIVES_UP, FAILS, NOT_STARTED], True),
        ("app.service=always", [FAILS, GIVES_UP, NOT_STARTED, STARTED], False),  # by a timer, say
        ("app.service=no", [STARTED, FAILS], True),
        ("app.service=no", [STARTED, FAILS, STARTED], False),
        ("app.service=no", [STARTED, AGAIN, STARTED, FAILS], False),  # a drop-in elsewhere says so
        ("", [STARTED, FAILS, GIVES_UP], False),  # the base's own, or nobody says whose
        ("other.service=always", [STARTED, FAILS, GIVES_UP], False),
        ("app.service=no other.service=no", [FAILS], False),  # the other may be what serves
        ("app.service=no other.service=no", [FAILS, "Finished other.service - Once."], True),
        ("app.service=no b.service=no", [FAILS, "b.service: Deactivated successfully."], True),
        ("app.service=no", ["app.service: Deactivated successfully."], False),
    ],
)
def test_only_what_is_for_good_counts(own: str, said: Sequence[str], *, failed: bool) -> None:
    """While any unit of the image may still come up, there is hope."""
    assert bool(watch(own, *said)) is failed


def test_the_trouble_names_unit_and_reason() -> None:
    """Both ends are told in words."""
    assert watch("app.service=no", FAILS) == "app.service failed with result 'exit-code'"
    assert watch("app.service=always", GIVES_UP) == (
        "app.service failed again and again, so systemd starts it no more"
    )


def test_a_reboot_begins_anew() -> None:
    """What failed in the boot before says nothing of this one."""
    units = UnitWatch()
    for line in ("immutable-seal[1]: own units: app.service=no", f"] systemd[1]: {FAILS}") * 2:
        units.take(line)
    assert units.trouble
    units.take("[    8.4] immutable-seal[139]: own units: app.service=no")
    assert units.trouble == ""


def test_no_program_but_systemd_fails_a_unit() -> None:
    """The words of an application that resemble systemd's are not taken for them."""
    units = UnitWatch()
    units.take("[    8.4] immutable-seal[139]: own units: app.service=no")
    units.take(f"[    9.4] app[200]: {FAILS}")
    assert units.trouble == ""
