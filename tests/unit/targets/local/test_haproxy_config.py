"""HAProxy's configuration and the map of its pointers, as text."""

import subprocess
import tempfile
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.haproxy_world import start_server
from immutable_servers.contract.values import Route
from immutable_servers.settings.fields import HEALTH_PATTERN, HOST_PATTERN, NAME_PATTERN
from immutable_servers.settings.models import RouteSettings, ServiceSettings
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local.haproxy_config import (
    LIMITS,
    MAP,
    NO_STATES,
    STATES,
    Backend,
    digest_of,
    is_whole_map,
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
    return render_config(routes, backends, LIMITS, Path("/run/with space/stats"))


def test_haproxy_accepts_the_configuration(tmp_path: Path) -> None:
    """The real HAProxy finds no fault, with services and generations and without any."""
    (tmp_path / MAP).write_text(render_map({"web": {"web-aaaaaaaa": 100}}))
    (tmp_path / STATES).write_text(NO_STATES)
    for routes, backends in ((ROUTES, BACKENDS), (ROUTES, []), ([], [])):
        (tmp_path / "haproxy.cfg").write_text(_render(routes, backends))
        command = ["haproxy", "-c", "-f", "haproxy.cfg"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "WARNING" not in done.stdout + done.stderr


HEALTH = st.from_regex(HEALTH_PATTERN, fullmatch=True).filter(lambda path: len(path) <= 1024)
NAMES = st.from_regex(NAME_PATTERN, fullmatch=True)
HOSTS = st.from_regex(HOST_PATTERN, fullmatch=True).filter(lambda host: len(host) <= 253)


def _accept(name: str, health: str, host: str) -> None:
    """See that these are settings which a stack may have."""
    route = RouteSettings(host=host)
    ServiceSettings(image=name, servers=1, port=80, route=route, health=health)


@settings(max_examples=25)
@given(data=st.data(), names=st.lists(NAMES, unique=True, min_size=1, max_size=5))
def test_haproxy_accepts_whatever_the_settings_accept(
    data: st.DataObject, names: list[str]
) -> None:
    """No name, host or path that a stack file may hold leaves its place in the configuration."""
    routes, backends = [], []
    for name in names:
        host, health = data.draw(HOSTS), data.draw(HEALTH)
        _accept(name, health, host)
        routes.append(Route(name, 18080, host))
        backends.append(Backend(f"{name}-aaaaaaaa", health, {f"{name}-aaaaaaaa-0": 20001}))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, STATES).write_text(NO_STATES)
        Path(folder, MAP).write_text(
            render_map({name: {f"{name}-aaaaaaaa": 100} for name in names})
        )
        Path(folder, "haproxy.cfg").write_text(_render(routes, backends))
        command = ["haproxy", "-c", "-f", "haproxy.cfg"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout + done.stderr


@settings(max_examples=3, phases=[Phase.generate])
@given(paths=st.lists(HEALTH, unique=True, min_size=30, max_size=30))
def test_a_server_is_asked_the_health_path_as_it_is_written(paths: list[str]) -> None:
    """HAProxy makes nothing else of what the settings accept: no variable, escape or comment."""
    seen: set[str] = set()
    paths = [*paths, "/a%41?b=%%&c=~!()*+,;:@/", "/" + "a" * 1023]
    with tempfile.TemporaryDirectory() as folder, start_server("ok", seen=seen) as port:
        backends = [Backend(f"b-{at}", path, {f"s-{at}": port}) for at, path in enumerate(paths)]
        text = render_config([], backends, LIMITS, Path(folder, "stats"))
        Path(folder, "haproxy.cfg").write_text(text)
        command = ["haproxy", "-db", "-f", "haproxy.cfg"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
            try:
                wait_until("the checks", 30, lambda: len(seen) == len(paths), every=0.05)
            finally:
                process.terminate()
    assert seen == set(paths)


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


@given(first=WEIGHTS, second=WEIGHTS, cut=st.integers(0, 201))
def test_a_map_of_two_versions_is_not_whole(
    first: dict[str, int], second: dict[str, int], cut: int
) -> None:
    """The first lines of one version and the rest of another, of as many lines, are refused."""
    before, after = (
        render_map({"api": {"api-c": 100}, "web": weights}).splitlines(keepends=True)
        for weights in (first, second)
    )
    mixed = [*before[:cut], *after[cut:]]
    assert is_whole_map("".join(mixed)) == (mixed in (before, after))
    assert is_whole_map("".join(before))
