"""What all rings share."""

import signal


def pytest_configure() -> None:
    """Take SIGINT as a terminal's process does, whoever started the tests.

    A shell starts its background jobs with SIGINT ignored (POSIX, "Signals and Error Handling"),
    and what we start would inherit that: then no test could interrupt anything.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
