"""What the tests of all clouds share: warm Python, and a cloud and a project for each test.

Which cloud that is, `conftest.py` of its folder says, by a fixture `under_test`.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.checkout import ROOT, Checkout
from harness.cloud_project import AnyProject, UnderTest
from harness.emulated_cloud import EmulatedCloud
from harness.left_processes import leaves_no_process  # noqa: F401 - a fixture that each test uses
from harness.warm import start_warm

pytest.register_assert_rewrite("clouds.shared_tests")

CLOUDS = ROOT / "tests/clouds"
FOLDERS = (
    ROOT / "tests",
    *(
        CLOUDS / name
        for name in ("stand_in", "aws/stand_in", "gcp/stand_in", "digitalocean/stand_in")
    ),
)
MODULES = (
    "aws_plugin",
    "boto3",
    "clouds.aws.emulation.cloud_server",
    "clouds.digitalocean.emulation.server",
    "clouds.gcp.emulation.server",
    "do_plugin",
    "gcp_plugin",
    "google.oauth2.credentials",
    "googleapiclient.discovery",
    "immutable_servers.targets.aws.generation",
    "immutable_servers.targets.digitalocean.generation",
    "immutable_servers.targets.gcp.generation",
    "pydo",
)
"""What runs, stand-ins and emulated clouds import; nothing of them starts a thread."""
COLD = ("test_bakes",)
"""Modules whose processes import all of it themselves, as a user's do."""
OTHER_PROGRAMS = ("test_plugin",)
"""Modules whose program is not ours: it uses what ours leaves alone."""
MANNERED = ("test_answers", "test_changes", "test_hosts", "test_life", "test_load", "test_time")
"""Modules whose cloud has the real one's manners; that of others is quick, even and in order."""


@pytest.fixture(scope="session", autouse=True)
def _warm() -> Iterator[None]:
    """Have programs, providers, stand-ins and clouds be forks of one warm interpreter."""
    with (
        tempfile.TemporaryDirectory(prefix="warm-") as folder,
        start_warm(Path(folder), MODULES, FOLDERS) as Checkout.warm,
    ):
        yield
    Checkout.warm = None


@pytest.fixture(autouse=True)
def _cold(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a cold interpreter run all that the tests of some modules start."""
    if request.path.stem in COLD:
        monkeypatch.setattr(Checkout, "warm", None)


@pytest.fixture
def cloud(
    tmp_path: Path, request: pytest.FixtureRequest, under_test: UnderTest
) -> Iterator[EmulatedCloud]:
    """Return an empty cloud of the test's own; the target's policies allow all that is done there.

    That is asked for our code, the plugin and Packer; what a test does by itself is a user's.
    """
    with under_test.start(tmp_path / "cloud") as cloud:
        if request.path.stem not in MANNERED:
            cloud.set_manners(**under_test.polite)
        yield cloud
        if request.path.stem not in OTHER_PROGRAMS:
            assert under_test.project.find_refused(cloud.read_all()) == set()


@pytest.fixture
def project(tmp_path: Path, cloud: EmulatedCloud, under_test: UnderTest) -> AnyProject:
    """Return a copy of the sample with a stack, on the cloud."""
    return under_test.project.create(tmp_path, cloud)
