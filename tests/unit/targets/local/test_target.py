"""The local target as the contract has it, where nothing runs."""

from immutable_servers.contract.values import Launch, Route, Scope
from immutable_servers.targets import load_target

SCOPE = Scope("project", "dev", "api")


def test_a_host_name_is_on_the_shared_port() -> None:
    """A route by host name answers on the port that the settings give, a port on its own."""
    target = load_target("local", {"shared_port": 9090})
    by_host, by_port = Route("api", 0, "api.example.com"), Route("api", 8081)
    assert target.balancer.find_address(by_host, SCOPE) == "http://api.example.com:9090"
    assert target.balancer.find_address(by_port, SCOPE) == "http://127.0.0.1:8081"


def test_the_balancer_itself_is_found_whatever_a_host_name_leads_to() -> None:
    """A move is asked of HAProxy, by the host's name in the question alone."""
    balancer = load_target("local", {"shared_port": 9090}).balancer
    for route, port in ((Route("api", 0, "api.example.com"), 9090), (Route("api", 8081), 8081)):
        assert balancer.find_front(route, SCOPE) == f"http://127.0.0.1:{port}"


def test_what_servers_can_connect_to_shapes_them() -> None:
    """A changed setting makes a new generation; neighbours do where servers have a network."""
    settings: list[dict[str, object]] = [{}, {"neighbours": ["192.0.2.7"]}]
    settings += [{**one, "servers_reach": "network"} for one in settings]
    launch = Launch("small", 80, "/")
    shapes = [load_target("local", one).describe_shape(launch)["reach"] for one in settings]
    assert shapes == [["nothing"], ["nothing"], ["network"], ["network", "192.0.2.7/32"]]
