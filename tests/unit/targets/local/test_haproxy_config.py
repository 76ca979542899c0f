"""HAProxy's configuration and the map of its pointers, as text."""

import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from immutable_servers.contract.values import Route
from immutable_servers.targets.local.haproxy_config import (
    Backend,
    digest_of,
    parse_map,
    render_config,
    render_map,
)

ROUTES = [Route("web", 18080), Route("api", 18080, "api.example.com"), Route("admin", 18081)]
BACKENDS = [
    Backend("web-bbbbbbbb", "/healthz", {"web-bbbbbbbb-0": 20003}),
    Backend("web-aaaaaaaa", "/up?deep=1", {"web-aaaaaaaa-1": 20002, "web-aaaaaaaa-0": 20001}),
]


def _render(routes: list[Route], backends: list[Backend]) -> str:
    return render_config(routes, backends, Path("/run/with space/stats"))


def test_haproxy_accepts_the_configuration(tmp_path: Path) -> None:
    """The real HAProxy finds no fault, with services and generations and without any."""
    (tmp_path / "traffic.map").write_text(render_map({"web": {"web-aaaaaaaa": 100}}))
    for routes, backends in ((ROUTES, BACKENDS), (ROUTES, []), ([], [])):
        (tmp_path / "haproxy.cfg").write_text(_render(routes, backends))
        command = ["haproxy", "-c", "-f", "haproxy.cfg"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "WARNING" not in done.stdout + done.stderr


def test_services_on_one_port_are_told_apart_by_host() -> None:
    """A port is bound once; the service without a host name comes first and hosts refine it."""
    text = _render(ROUTES, BACKENDS)
    assert text.count("bind 127.0.0.1:18080") == 1
    default, refined = text.index("str(web)"), text.index("-i api.example.com")
    assert default < refined


def test_everything_is_on_loopback() -> None:
    """Nothing is reachable from another machine."""
    binds = [line.split()[1] for line in _render(ROUTES, BACKENDS).splitlines() if "bind " in line]
    assert binds
    assert all(bind.startswith("127.0.0.1:") for bind in binds)


def test_the_digest_depends_on_the_content_alone() -> None:
    """The same routes and backends in another order are the same configuration."""
    text = _render(ROUTES, BACKENDS)
    assert _render(ROUTES[::-1], BACKENDS[::-1]) == text
    assert digest_of(_render(ROUTES, BACKENDS[:1])) != digest_of(text)


WEIGHTS = st.integers(0, 100).map(lambda weight: {"web-a": weight, "web-b": 100 - weight})


@given(web=WEIGHTS, api=st.sampled_from([{}, {"api-c": 100}]))
def test_the_map_says_what_was_written(web: dict[str, int], api: dict[str, int]) -> None:
    """Every pointer, weighted ones too, is read back as it was."""
    wanted = {
        service: {backend: weight for backend, weight in weights.items() if weight}
        for service, weights in (("web", web), ("api", api))
        if weights
    }
    assert parse_map(render_map({"web": web, "api": api})) == wanted
