"""Refuses servers that Google would refuse, before anything is baked for them."""

from collections.abc import Iterator

from immutable_servers.contract.values import Launch, Scope
from immutable_servers.errors import ImmutableError, SettingsError
from immutable_servers.targets.cloud.faults import find_denied
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.names import last_part
from immutable_servers.targets.gcp.network import find_zones, refuse_cut_off
from immutable_servers.targets.gcp.template import render_shape


def refuse_launch(api: Api, scope: Scope, launch: Launch) -> None:
    """Refuse servers that are cut off, or whose boot disk or service account does not exist.

    A group of machines tells the latter only when it makes them: late, and again and again.

    Raises:
        SettingsError: They would not reach what they need, a zone of theirs lacks the type of disk,
            or the account is not there.
    """
    api = api.raising(SettingsError)
    refuse_cut_off(api, bakes=False)
    account = api.settings.service_accounts.get(scope.service)
    faults = [*_find_disk_faults(api, launch)]
    if account and not _has_account(api, account):
        faults.append(f"service_accounts: {scope.service}: there is no account {account}")
    if faults:
        raise SettingsError(
            f"Servers of {scope.service} could not be made on Google Cloud",
            facts=faults,
            todo="Correct disk_type, zones or service_accounts under immutable-servers:gcp;"
            " `gcloud compute disk-types list` and `gcloud iam service-accounts list` show what"
            " there is.",
        )


def _find_disk_faults(api: Api, launch: Launch) -> Iterator[str]:
    """Yield the zones of the servers that lack the type of their boot disk."""
    shape = render_shape(api.settings, launch)
    disk = shape["disks"][0]["disk_type"]
    zones = find_zones(api, str({**shape, **launch.overrides}["machine_type"]))
    found = api.list("diskTypes", "aggregatedList", filter=f'name = "{disk}"')
    there = {last_part(one["zone"]) for one in found if one["name"] == disk}
    if lacking := ", ".join(zone for zone in zones if zone not in there):
        yield f"disk_type: there is no {disk} in {lacking}"


def _has_account(api: Api, account: str) -> bool:
    """Return whether an account is there; one of a project that we may not see is taken for it."""
    try:
        name = f"projects/-/serviceAccounts/{account}"
        return bool(api.find("serviceAccounts", service="iam", name=name))
    except ImmutableError as error:
        if not find_denied(error):
            raise
        return True
