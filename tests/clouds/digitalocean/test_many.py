"""More servers than DigitalOcean makes at once."""

from harness.digitalocean.do_project import DoProject

SERVERS = 12
"""https://docs.digitalocean.com/products/droplets/details/limits/: 10 may be new at a time."""


def test_a_generation_is_larger_than_what_is_made_at_once(project: DoProject) -> None:
    """The engine would make all droplets side by side; some wait until others run."""
    project.cloud.set_manners(boot=1.0)
    project.services["web"]["servers"] = SERVERS
    project.write_settings()
    done = project.run("--parallel", "16")
    assert done.code == 0, done.text
    project.assert_serving(servers=SERVERS)
