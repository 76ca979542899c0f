"""Questions over fresh connections, to real servers."""

import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from harness.nodes import NAME, lead_to, start_nodes
from immutable_servers.contract import asking
from immutable_servers.contract.asking import ask_every_node
from immutable_servers.contract.front import Reply
from immutable_servers.errors import StoppedError
from immutable_servers.system import stopping

NEW, OLD = (200, ["web-bbbbbbbb"]), (200, ["web-aaaaaaaa"])


def test_each_node_is_asked_over_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address that the name leads to, each time, by the service's host and path."""
    with start_nodes(monkeypatch, [NEW], [OLD, NEW]) as nodes:
        url = f"http://{NAME}:{nodes.port}"
        first, second = (ask_every_node(url, "api.example.com", "/up") for _ in range(2))
    assert [reply.names for reply in first] == [("web-bbbbbbbb",), ("web-aaaaaaaa",)]
    assert [reply.names for reply in second] == [("web-bbbbbbbb",), ("web-bbbbbbbb",)]
    for node in (nodes[0], nodes[1]):
        assert [asked[1:] for asked in node.asked] == [("api.example.com", "/up")] * 2
        assert node.asked[0][0] != node.asked[1][0]


def test_a_question_has_what_headers_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside its own: a load balancer may lead by them."""
    with start_nodes(monkeypatch, [NEW]) as nodes:
        ask_every_node(f"http://{NAME}:{nodes.port}", "api.example.com", "/", {"X-Way": "there"})
    (heard,) = nodes[0].headers
    assert (heard["X-Way"], heard["Host"], heard["Connection"]) == (
        "there",
        "api.example.com",
        "close",
    )


def test_what_is_no_answer_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the server, a closed connection and a refusal fail; other statuses do not."""
    with start_nodes(monkeypatch, [(503, [])], [(0, [])], [(404, ["x", "y"])]) as nodes:
        addresses = [*nodes.nodes, "127.0.7.9"]
        lead_to(monkeypatch, *addresses)
        found = ask_every_node(f"http://{NAME}:{nodes.port}", NAME, "/")
    assert [reply.node for reply in found] == addresses
    assert found[0].failure == "503"
    assert found[1].failure
    assert (found[2].failure, found[2].names) == ("", ("x", "y"))
    assert "refused" in found[3].failure
    assert not any(reply.silent for reply in found)


def test_a_name_that_leads_nowhere_is_a_failure() -> None:
    """A new balancer's name takes a while to be known."""
    (found,) = ask_every_node("http://nothing.invalid", "nothing.invalid", "/")
    assert (found.status, found.silent) == (0, False)
    assert "nothing.invalid" in found.failure


def test_an_address_without_a_way_from_here_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As each IPv6 address where there is IPv4 alone; where all are so, nobody can ask."""
    nowhere = "255.255.255.255"
    with start_nodes(monkeypatch, [NEW]) as nodes:
        lead_to(monkeypatch, nowhere, *nodes.nodes)
        url = f"http://{NAME}:{nodes.port}"
        assert [one.node for one in ask_every_node(url, NAME, "/")] == [*nodes.nodes]
        lead_to(monkeypatch, nowhere)
        (found,) = ask_every_node(url, NAME, "/")
    assert found == Reply(nowhere, fault=asking.NO_ROUTE, silent=True)


def test_any_certificate_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A balancer's own name is in no certificate, and nothing is sent that is secret."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    words = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=other"]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with start_nodes(monkeypatch, [NEW], tls=tls) as nodes:
        (found,) = ask_every_node(f"https://{NAME}:{nodes.port}", "api.example.com", "/")
    assert (found.status, found.names) == (200, ("web-bbbbbbbb",))


def test_a_node_that_never_answers_holds_up_neither_the_others_nor_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its time is over at some point; a stop is heard at once."""
    monkeypatch.setattr(asking, "NODE_SECONDS", 0.5)
    with start_nodes(monkeypatch, [NEW], [NEW]) as nodes:
        nodes[1].held = threading.Event()
        url = f"http://{NAME}:{nodes.port}"
        answered, hanging = ask_every_node(url, NAME, "/")
        assert (answered.failure, bool(hanging.failure)) == ("", True)
        monkeypatch.setattr(asking, "NODE_SECONDS", 3600.0)
        stopping.STOP.set()
        try:
            with pytest.raises(StoppedError):
                ask_every_node(url, NAME, "/")
        finally:
            stopping.STOP.clear()
            nodes[1].held.set()
