"""docs/how-to/your-application.md: what it shows is a checkout whose application can be served."""

import re
import runpy
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import testinfra  # type: ignore[import-untyped]
import yaml

from harness.checkout import ROOT, copy_checkout
from harness.command_lines import find_command_lines, parse
from harness.how_to import Section, read_sections
from immutable_bench.application import check_application
from immutable_servers.settings import load_settings
from immutable_servers.settings.stack_files import read_stack_values

pytestmark = pytest.mark.sample
PAGE = ROOT / "docs/how-to/your-application.md"
SECTIONS = read_sections(PAGE)
PYTHON, BETWEEN = "Python, with packages from PyPI", "An image between base and application"
needs_packer = pytest.mark.skipif(not shutil.which("packer"), reason="Packer is not on the PATH")
WHOLE = (PYTHON, "Node", "Go", "A Debian package, as a second service")
NAMESPACE = "immutable-servers:"
DRIVER = "./immutable "
ASKING = "curl "


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a fresh clone of what is in this checkout."""
    root = tmp_path / "clone"
    copy_checkout(root, "Pulumi", "app/", "packer/", "tests/servers/", ".gitignore")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "me")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "me@example.com")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for line in ("git init --quiet", "git add --all", "git commit --quiet --message one"):
        subprocess.run(line.split(), cwd=root, check=True)
    return root


def follow(root: Path, section: Section) -> None:
    """Write the files of a section and type its commands, but those that need machines."""
    for step in section.steps:
        if isinstance(step, tuple):
            path, content = step
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)
        elif not step.startswith((DRIVER, ASKING)):
            done = subprocess.run(
                ["bash", "-c", step], cwd=root, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"


def assert_good(root: Path) -> None:
    """Assert what `./immutable test --fast` checks of an application, and the scripts' syntax."""
    results = {one.name: (one.passed > 0, one.failed) for one in check_application(root)}
    assert set(results.values()) == {(True, 0)}, results
    for script in root.glob("packer/*/*.sh"):
        subprocess.run(["sh", "-n", script], check=True)


@needs_packer
@pytest.mark.parametrize("name", WHOLE)
def test_a_section_makes_a_checkout_that_is_good(checkout: Path, name: str) -> None:
    """Its files and commands, in their order, leave settings, templates and checks good."""
    if name == "Go" and not shutil.which("go"):
        pytest.skip("go is missing")
    follow(checkout, SECTIONS[name])
    assert_good(checkout)


class Greeter(BaseHTTPRequestHandler):
    """Answers as the page's application does."""

    def do_GET(self) -> None:
        """Greet, whatever the path."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"greeting": "hello"}')


@pytest.fixture
def greeter() -> Iterator[int]:
    """Run it in a thread; return its port."""
    with HTTPServer(("127.0.0.1", 0), Greeter) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_the_page_s_check_sees_what_a_server_answers(checkout: Path, greeter: int) -> None:
    """Its own way to ask passes with the greeting of the settings, and fails with another."""
    follow(checkout, SECTIONS[PYTHON])
    check = runpy.run_path(str(checkout / "tests/servers/test_app.py"))["test_it_greets"]
    host = testinfra.get_host("local://")
    check(host, {"port": greeter, "env": {"GREETING": "hello"}})
    with pytest.raises(AssertionError):
        check(host, {"port": greeter, "env": {"GREETING": "welcome"}})


def test_the_location_for_health_fits_the_shipped_site() -> None:
    """Its path is the one of `health`, and it hands over to the group of the sample's nginx."""
    (location,) = (text for kind, text in SECTIONS[PYTHON].parts if kind == "nginx")
    defaults = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]["defaults"]["value"]
    assert f"location = {defaults['services']['web']['health']} {{" in location
    (group,) = re.findall(r"proxy_pass http://(\w+);", location)
    assert f"upstream {group} {{" in (
        ROOT / "packer/app/files/etc/nginx/conf.d/site.conf"
    ).read_text(encoding="utf-8")


@needs_packer
def test_an_image_between_is_put_under_the_python_application(checkout: Path) -> None:
    """The section goes on from the one on Python, and installs the same packages."""
    follow(checkout, SECTIONS[PYTHON])
    wanted = (checkout / "app/requirements.txt").read_text().split()
    follow(checkout, SECTIONS[BETWEEN])
    assert_good(checkout)
    assert " ".join(wanted) in (checkout / "packer/runtime/provision.sh").read_text()


@needs_packer
def test_variables_and_secrets_reach_a_script(checkout: Path) -> None:
    """With the declarations and the line as shown, the template is one that Packer accepts."""
    section = "Values for a script, and secrets of a bake"
    parts = dict(SECTIONS[section].parts)
    (line,) = re.findall(r"^    (environment_vars = .*)$", PAGE.read_text(), re.MULTILINE)
    with (checkout / "packer/app/variables.pkr.hcl").open("a") as file:
        file.write(parts["hcl"])
    for template in checkout.glob("packer/app/*.pkr.hcl"):
        text = re.sub(r"environment_vars *= .*", line, template.read_text())
        template.write_text(text)
    stack = checkout / "Pulumi.dev.yaml"
    content = yaml.safe_load(stack.read_text())
    shown = yaml.safe_load(parts["yaml"])[f"{NAMESPACE}images"]
    content["config"][f"{NAMESPACE}images"] = shown
    content["config"][f"{NAMESPACE}token"] = {"secure": "v1:x"}
    stack.write_text(yaml.safe_dump(content))
    assert_good(checkout)


def test_the_settings_of_a_bake_are_taken(checkout: Path) -> None:
    """What is shown of `bake` is a setting, beside those that a stack has."""
    (shown,) = (
        text for kind, text in SECTIONS["Behind a proxy, a mirror, a company's certificates"].parts
    )
    with (checkout / "Pulumi.dev.yaml").open("a") as file:
        file.write(shown.removeprefix("config:\n"))
    bake = load_settings(read_stack_values(checkout, "dev"), checkout).bake
    assert bake.proxy
    assert bake.ca
    assert bake.env.keys() == {"PIP_INDEX_URL", "npm_config_registry", "no_proxy"}


def test_every_command_is_one_of_the_driver_s() -> None:
    """Each `./immutable` line names a command that there is."""
    steps = [step for section in SECTIONS.values() for step in section.steps]
    lines = [step for step in steps if isinstance(step, str) and step.startswith(DRIVER)]
    assert len(lines) > 5
    for line in lines:
        (words,) = find_command_lines(line, {})
        assert parse(words) == line.split()[1]
