"""`sinet doctor` on online stores: each server answers with the credentials of its region."""

from collections.abc import Sequence

from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.errors import SinetError
from sinet_pipelines.features.online_access import OnlineAccess, server_errors
from sinet_pipelines.inventory.regions import Region


def online_findings(regions: Sequence[Region]) -> list[Finding]:
    """Whether the Redis server of each region answers; nothing is written.

    Args:
        regions: of the inventory; one whose online store is a file has no finding.
    """
    return [_finding(region) for region in regions if region.online_store.is_server]


def _finding(region: Region) -> Finding:
    store, name = region.online_store, f"online store of {region.name}"
    access = OnlineAccess(region.name, store.url, store.user)
    try:
        with access.connect() as client, server_errors(access):
            client.ping()
    except SinetError as error:
        return Finding(name, False, str(error))
    return Finding(name, True, f"{store.url} answers", "")
