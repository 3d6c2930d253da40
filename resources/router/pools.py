"""Creates pools of steps before a step requests a slot in one.

Dagster creates a pool when a step first requests a slot. Where two runs do so at once on PostgreSQL, the later one
fails: its INSERT violates the key, and it continues in the aborted transaction. Also, a pool keeps the default limit
with which it was created. This module prevents both, with a transaction for each pool.
"""

from collections.abc import Iterable

from dagster import DagsterInstance
from sqlalchemy.exc import DBAPIError

from resources.dagster_private import EventLogStorage

TRIES = 5  # several processes may change a pool's default at once, and each overwrites the change of the others


def make_pools(instance: DagsterInstance, pools: Iterable[str]) -> None:
    """Makes sure that each pool has a limit: the one that a person set, else the current default of the instance.

    Args:
        instance: the instance with the pools.
        pools: names of pools; one query reads all whose limit is right.

    Raises:
        sqlalchemy.exc.DBAPIError: the database failed.
    """
    storage = instance.event_log_storage
    default = storage.get_pool_config().default_pool_limit
    if not storage.supports_global_concurrency_limits or default is None:
        return
    for name in sorted(set(pools) - _right(storage, default)):
        for left in reversed(range(TRIES)):
            try:
                storage.initialize_concurrency_limit_to_default(name)
                break
            except DBAPIError:
                if name in _right(storage, default):  # another process has created it meanwhile
                    break
                if not left:
                    raise
                storage.delete_concurrency_limit(name)  # it has an earlier default; holders of its slots keep them


def _right(storage: EventLogStorage, default: int) -> set[str]:
    """The pools whose limit a person set or is the current default."""
    return {pool.name for pool in storage.get_pool_limits() if not pool.from_default or pool.limit == default}
