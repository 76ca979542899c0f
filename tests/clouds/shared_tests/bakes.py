"""Bakes by the real Packer with a cloud's real plugin and the project's own templates.

What Packer asks of the API, writes and cleans up is real; the instance only notes what it is told
to do. What that does to a disk is shown by `test_machines.py`.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Generic

import pytest

from harness.checkout import ROOT
from harness.cloud_project import AnyProject, ProjectT, UnderTest
from harness.emulated_cloud import EmulatedCloud, find_calls
from harness.packer_plugins import needs_plugin
from harness.stops import stop_when


class Bakes(Generic[ProjectT]):
    """Both images are baked, and servers launched from the second.

    Attributes:
        identity: The field of an image by which instances name it.
        deletes_image: The call that takes an image away.
        crowded: Manners of the cloud while two runners bake.
    """

    identity: ClassVar[str]
    deletes_image: ClassVar[str]
    crowded: ClassVar[Mapping[str, Any]] = {}

    def see_the_image(self, found: Mapping[str, Any], lineage: Mapping[str, Any]) -> None:
        """Assert that an image says what it was made of."""
        raise NotImplementedError

    def see_the_bakes(
        self,
        project: ProjectT,
        sources: Sequence[str],
        app: str,
        events: Sequence[Mapping[str, Any]],
    ) -> None:
        """Assert what each bake asked for, and that nothing is left of it but the images.

        Args:
            project: What was baked.
            sources: What each bake had to start from, in order.
            app: The image of servers.
            events: Of the run that ended well; one before it was stopped.
        """
        raise NotImplementedError

    def find_servers(self, project: ProjectT) -> list[tuple[str, str, str]]:
        """Return stack, service and image of each instance that runs."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _needs_the_plugin(self, under_test: UnderTest) -> None:
        """Skip where it is missing."""
        needs_plugin(under_test.project.packer_plugin)

    @pytest.mark.sample
    def test_what_packer_bakes_serves(
        self, tmp_path: Path, cloud: EmulatedCloud, under_test: UnderTest
    ) -> None:
        """One run bakes both images, named and alone, and launches servers from the second.

        One before it was stopped while it baked: what Packer had no time to remove is removed. Of
        the bakes nothing is left but the images.
        """
        project: Any = under_test.project.create(tmp_path, cloud, packer=ROOT / "packer")
        upstream = project.prepare_bakes()
        versions = project.compute_versions()
        stop_a_bake(project)
        done = project.up()
        assert done.code == 0, done.text

        images = project.list_images()
        baked = {one: project.name_image(one, version) for one, version in versions.items()}
        assert {*images} == {*baked.values()}
        for image, version in versions.items():
            parents = {"base": versions["base"]} if image == "app" else {}
            lineage = {"image": image, "version": version, "parents": parents}
            self.see_the_image(images[baked[image]], lineage)
        base, app = (images[baked[image]][self.identity] for image in ("base", "app"))
        self.see_the_bakes(project, [upstream, base], app, done.events)
        assert self.find_servers(project) == [("dev", "web", app)] * 2
        project.ask_three_questions()

    @pytest.mark.sample
    def test_two_runners_that_want_one_version_end_with_one_image(
        self, tmp_path: Path, cloud: EmulatedCloud, under_test: UnderTest
    ) -> None:
        """They know nothing of each other, and whoever comes later finds the name taken.

        Both launch the same image, and nothing of either is deleted.
        """
        cloud.set_manners(**self.crowded)
        make = under_test.project.create
        runners: list[Any] = [
            make(tmp_path / stack, cloud, packer=ROOT / "packer", stack=stack)
            for stack in ("dev", "prod")
        ]
        for one in runners:
            one.prepare_bakes()
        with ThreadPoolExecutor() as pool:
            done = [*pool.map(under_test.project.up, runners)]
        assert [one.code for one in done] == [0, 0], "\n".join(one.text for one in done)
        versions, images = runners[0].compute_versions(), runners[0].list_images()
        assert {*images} == {runners[0].name_image(*one) for one in versions.items()}
        assert find_calls(cloud.read_all(), self.deletes_image) == []
        app = images[runners[0].name_image("app", versions["app"])][self.identity]
        wanted = [(stack, "web", app) for stack in ("dev", "dev", "prod", "prod")]
        assert sorted(self.find_servers(runners[0])) == wanted


def stop_a_bake(project: AnyProject) -> None:
    """Stop an `up` once the machine of its first bake takes a login."""
    cloud = project.cloud
    stop_when(project, lambda: any(one["event"] == "login" for one in cloud.read_new()), "--yes")
    assert project.list_images() == {}
    cloud.read_new()
