"""A service with one server and no balancer, through the real engine: a reserved IP moves."""

from harness.digitalocean.do_project import DoProject

LOST = "when its reserved IP moves to the new server, open connections end"


def find_server(project: DoProject) -> str:
    """Return the generation of the droplet that has the stack's only reserved IP."""
    (address,) = project.find_all("reserved_ips")
    assert project.find_address() == f"http://{address['ip']}:{project.services['web']['port']}"
    return str(address["droplet"]["name"].split("-")[-2])


def greet(project: DoProject, text: str) -> None:
    """Have the settings ask for servers that greet otherwise."""
    project.services["web"]["env"] = {"GREETING": text}
    project.write_settings()


def test_a_single_server_is_replaced_without_a_balancer(project: DoProject) -> None:
    """It says what is lost; the way back needs no new server, and in the end nothing is left."""
    route = {"route": {"reserved_ip": True}, "servers": 1, "settle": "1s", "keep": 1}
    project.services["web"] |= route
    greet(project, "hello")
    done = project.run()
    assert done.code == 0, done.text
    first = find_server(project)
    assert project.find_all("load_balancers") == []
    assert project.run().changes == {}

    greet(project, "good morning")
    planned = project.run(preview=True)
    assert LOST in " ".join(planned.text.split()), planned.text
    assert find_server(project) == first
    done = project.run()
    assert done.code == 0, done.text
    second = find_server(project)
    assert second != first
    assert {*project.groups()} == {first, second}

    project.break_app()
    greet(project, "good evening")
    assert project.run().code != 0
    assert find_server(project) == second
    project.mend_app()

    greet(project, "hello")
    done = project.run()
    assert done.code == 0, done.text
    assert find_server(project) == first
    assert LOST not in " ".join(done.text.split())

    done = project.destroy()
    assert done.code == 0, done.text
    assert (project.find_all("reserved_ips"), project.list_left()) == ([], [])
