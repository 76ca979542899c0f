"""The local target as the contract has it, where nothing runs."""

from immutable_servers.contract.values import Route, Scope
from immutable_servers.targets import load_target

SCOPE = Scope("project", "dev", "api")


def test_a_host_name_is_on_the_shared_port() -> None:
    """A route by host name answers on the port that the settings give, a port on its own."""
    target = load_target("local", {"shared_port": 9090})
    by_host, by_port = Route("api", 0, "api.example.com"), Route("api", 8081)
    assert target.balancer.find_address(by_host, SCOPE) == "http://api.example.com:9090"
    assert target.balancer.find_address(by_port, SCOPE) == "http://127.0.0.1:8081"
