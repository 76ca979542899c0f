"""Refuses servers that DigitalOcean would refuse, before anything is baked for them."""

from collections.abc import Iterator

from immutable_servers.contract.values import Launch, Scope
from immutable_servers.errors import SettingsError
from immutable_servers.targets.cloud.tags import of_service
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.names import make_name, tag_service
from immutable_servers.targets.digitalocean.template import render_shape
from immutable_servers.targets.digitalocean.verifier import find_vpc


def refuse_launch(api: Api, scope: Scope, launch: Launch) -> None:
    """Refuse servers that the account, the region, or the service's load balancer could not have.

    Raises:
        SettingsError: The region lacks their size, VPC or certificate, their disk is smaller than
            a bake's, the droplet limit is reached, or the load balancer checks others otherwise.
    """
    api = api.raising(SettingsError)
    _refuse_another_way(api, scope, launch)
    faults = [*find_size_faults(api, launch), *find_place_faults(api), *_find_limit_faults(api)]
    if faults:
        raise SettingsError(
            f"Servers of {scope.service} could not be made on DigitalOcean",
            facts=faults,
            todo="Correct it under immutable-servers:digitalocean or the service's size;"
            " ./immutable doctor shows what fits, and the account's page takes a request for a"
            " higher droplet limit.",
        )


def find_size_faults(api: Api, launch: Launch) -> Iterator[str]:
    """Yield why a size cannot be launched: a snapshot needs a disk as large as its bake's."""
    sizes, region = {one["slug"]: one for one in api.list("sizes")}, api.settings.region
    wanted = str({**render_shape(api.settings, launch), **launch.overrides}["size"])
    size, bake = sizes.get(wanted), sizes.get(api.settings.bake_type)
    if size is None or region not in size["regions"]:
        yield f"size {wanted}: {region} does not have it"
    elif bake and size["disk"] < bake["disk"]:
        least = f"images are baked on {bake['disk']} GB (build_size {bake['slug']})"
        yield f"size {wanted}: its disk has {size['disk']} GB, and {least}"


def find_place_faults(api: Api) -> Iterator[str]:
    """Yield what of the network is not there."""
    settings = api.settings
    if settings.vpc and not find_vpc(api):
        yield f"vpc: there is no {settings.vpc} in {settings.region}"
    wanted = settings.certificate
    if wanted and wanted not in [one["name"] for one in api.list("certificates", name=wanted)]:
        yield f"certificate: the account has none with the name {wanted}"


def _find_limit_faults(api: Api) -> Iterator[str]:
    """Yield that there is no room for a single droplet more; `doctor` counts all of a stack."""
    limit, there = (api.find("account") or {})["droplet_limit"], len(api.list("droplets"))
    if there >= limit:
        yield f"droplet limit: the account has {there} of {limit} droplets"


def _refuse_another_way(api: Api, scope: Scope, launch: Launch) -> None:
    """Refuse what would change the load balancer under the servers that it leads to."""
    name, service = make_name(of_service(scope)), scope.service
    found = api.find_named("load_balancers", name)
    if found is None or not api.list("droplets", tag_name=tag_service(scope)):
        return
    check = found["health_check"]
    refuse_another_check(service, (launch.port, launch.health), (check["port"], check["path"]))
    there = find_vpc(api)
    wanted = api.settings.vpc or (there and str(there["id"]))
    if wanted and wanted != found["vpc_uuid"]:
        raise SettingsError(
            f"The load balancer of {service} cannot move to another VPC",
            facts=[f"it is in {found['vpc_uuid']}", f"wanted: {wanted}"],
            todo="Keep the VPC: another load balancer would have another address, and would lead"
            " to nobody at first. Or declare a service with another name in a stack there.",
        )


def refuse_another_check(service: str, wanted: tuple[int, str], there: tuple[int, str]) -> None:
    """Refuse a port or a health path that another generation of the service does not have.

    Raises:
        SettingsError: They differ.
    """
    (port, path), (new_port, new_path) = there, wanted
    if wanted != there:
        raise SettingsError(
            f"The servers of {service} cannot have another port or health path",
            facts=[f"{port}{path}: the generation now", f"{new_port}{new_path}: wanted"],
            todo="DigitalOcean's load balancer asks all servers of a service on one port and one"
            " path: keep them, or declare a service with another name beside this one.",
        )
