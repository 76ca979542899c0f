"""What `up` says at its end."""

from pathlib import Path

from immutable_servers.driver.commands.up import find_host_hints
from immutable_servers.driver.engine.results import Serving
from immutable_servers.driver.opened import Opened

CONFIG = """config:
  shop:target: local
  shop:images: {base: {}}
  shop:local: {shared_port: 8095}
  shop:services:
    web: {image: base, servers: 1, port: 80, route: {port: 8080}}
    api: {image: base, servers: 1, port: 80, route: {host: api.example.com}}
"""


def test_a_host_that_leads_nowhere_yet_comes_with_a_way_to_ask(tmp_path: Path) -> None:
    """The address that is printed need not resolve; a service on a port of its own needs none."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(CONFIG)
    (tmp_path / "packer/base").mkdir(parents=True)
    (tmp_path / "tests/servers").mkdir(parents=True)
    services = [Serving(name, "", "3f2a9c41", 1, {}) for name in ("web", "api", "gone")]
    (line,) = find_host_hints(Opened(tmp_path, "dev"), services)
    assert line.startswith("api: ")
    assert line.endswith("curl --header 'Host: api.example.com' http://127.0.0.1:8095")
