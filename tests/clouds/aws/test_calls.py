"""How often our code asks Amazon EC2 in a run that changes nothing."""

from clouds.shared_tests.calls import Calls


class TestCalls(Calls):
    """The budget of every cloud."""
