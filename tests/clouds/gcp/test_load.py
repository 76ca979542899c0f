"""The load run on Google: the one address of all front ends is asked."""

from clouds.shared_tests.load import Load, Pace


class TestLoad(Load):
    """Front ends follow up to 90 s late and unevenly; the target's own `settle` is 60 s."""

    scaled = Pace(follow=4.0, settle=4, rate=60)
    real = Pace(follow=90.0, settle=20, rate=100)
