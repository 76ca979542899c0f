"""What Google refuses: each run says why and what to do, and leaves who serves alone.

One deployed stack is asked; each refusal begins where the one before has ended.
"""

from pathlib import Path

from harness.client import keep_asking
from harness.gcp.cloud import Cloud
from harness.gcp.gcp_project import GcpProject

FULL = {
    "europe-west3-a": "QUOTA_EXCEEDED",
    "europe-west3-b": "ZONE_RESOURCE_POOL_EXHAUSTED",
    "europe-west3-c": "ZONE_RESOURCE_POOL_EXHAUSTED",
}


def test_what_google_refuses(tmp_path: Path, cloud: Cloud) -> None:
    """Credentials, APIs, permissions, quota, zones without room, throttling: said, and survived."""
    project = GcpProject.create(tmp_path, cloud)
    project.services["web"]["keep"] = 0
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text
    live = project.live()
    project.services["web"]["env"] = {"GREETING": "two"}
    project.write_settings()
    with keep_asking(project.find_address()) as client:
        _have_no_credentials(project)
        _have_an_api_off(project)
        _lack_a_permission(project)
        _name_what_is_not_there(project)
        _have_no_room(project)
        assert project.live() == live
        _be_throttled(project, live)
    assert client.answers
    assert client.failures == []


def _refuse(project: GcpProject, *said: str) -> None:
    """Update, which fails with what is said; nothing has moved or ended."""
    done = project.run()
    done.assert_failed(*said)
    assert (project.count_moves(done), done.count("end")) == (0, 0), done.text


def _have_no_credentials(project: GcpProject) -> None:
    """A token that has ended is known before anything is begun."""
    project.cloud.end_credentials()
    done = project.up()
    done.assert_failed("SetupError", "credentials")
    assert project.count_changes(done) == []
    project.cloud.clear_faults()


def _have_an_api_off(project: GcpProject) -> None:
    """The API's name and the page that turns it on are said."""
    project.cloud.disable("compute")
    done = project.up()
    done.assert_failed("compute.googleapis.com", "console.developers.google.com")
    project.cloud.disable()


def _lack_a_permission(project: GcpProject) -> None:
    """The permission is named."""
    project.cloud.deny("compute.urlMaps.update")
    _refuse(project, "compute.urlMaps.update")
    project.cloud.deny()


def _name_what_is_not_there(project: GcpProject) -> None:
    """A disk and an account that do not exist are known to preview and update before any bake."""
    images = project.count_images()
    account = "web@emulated-project.iam.gserviceaccount.com"
    project.own |= {"disk_type": "pd-sdd", "service_accounts": {"web": account}}
    project.edit("app/server.txt", "not baked")
    project.write_settings()
    for done in (project.preview(), project.up()):
        done.assert_failed("there is no pd-sdd in europe-west3-a", f"no account {account}")
        assert project.count_changes(done) == []
    assert project.count_images() == images
    project.own.clear()
    project.put_back("app/server.txt")
    project.write_settings()


def _have_no_room(project: GcpProject) -> None:
    """A group that gets no instances says Google's own reasons; the next run begins again.

    No deadline is waited out: the run ends as soon as it is certain. The candidate of the refusal
    before has its servers already: this is another one.
    """
    project.own = {"boot_deadline": 7200}
    project.services["web"]["env"] = {"GREETING": "nobody"}
    project.write_settings()
    project.cloud.set_manners(no_room=FULL)
    _refuse(project, *{*FULL.values()})
    project.cloud.set_manners(no_room={})
    project.own = {}
    project.services["web"]["env"] = {"GREETING": "three"}
    project.write_settings()


def _be_throttled(project: GcpProject, live: str) -> None:
    """Calls that are refused for their number are made again, and the run ends well."""
    project.cloud.set_manners(throttled=0.1)
    done = project.run()
    assert done.code == 0, done.text
    assert project.live() != live
    project.cloud.set_manners(throttled=0.0)
    project.assert_serving()
