"""The load run on DigitalOcean: the one address of all nodes of a balancer is asked."""

from clouds.shared_tests.load import Load, Pace


class TestLoad(Load):
    """A pool follows the tag up to 20 s late; nobody has measured it on an account."""

    scaled = Pace(follow=4.0, settle=2, rate=60)
    real = Pace(follow=20.0, settle=20, rate=100)
