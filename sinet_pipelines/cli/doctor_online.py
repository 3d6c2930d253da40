"""`sinet doctor` on online stores: each server answers with the credentials of its region."""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.errors import SinetError
from sinet_pipelines.features.online_access import OnlineAccess, server_errors
from sinet_pipelines.inventory.regions import Region

if TYPE_CHECKING:
    from redis import Redis


def online_findings(regions: Sequence[Region]) -> list[Finding]:
    """Whether the Redis server of each region answers and its user has all commands; no key is left there.

    Args:
        regions: of the inventory; one whose online store is a file has no finding.
    """
    return [_finding(region) for region in regions if region.online_store.is_server]


def _finding(region: Region) -> Finding:
    store, name = region.online_store, f"online store of {region.name}"
    access = OnlineAccess(region.name, store.url, store.user)
    try:
        with access.connect() as client, server_errors(access):
            _run_each_command(client)
    except SinetError as error:
        return Finding(name, False, str(error))
    return Finding(name, True, f"{store.url} answers", "")


def _run_each_command(client: "Redis") -> None:
    """Runs the commands of a write and a read on a key that the same transaction removes."""
    key = f"sinet:doctor:{secrets.token_hex(8)}"
    client.sscan(key)
    client.scan(match=key, count=1)
    with client.pipeline(transaction=True) as batch:
        batch.set(key, "probe")
        batch.get(key)
        batch.delete(key)
        batch.hset(key, mapping={"field": "probe"})
        batch.hmget(key, ["field"])
        batch.delete(key)
        batch.sadd(key, "probe")
        batch.srem(key, "probe")  # a set without members is no key
        batch.execute()
