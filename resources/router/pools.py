"""Pools of steps, made before anybody asks for a place in one.

Dagster makes a pool when a step first asks for a place, and where two runs do that at once on PostgreSQL the later one
fails: its INSERT violates the key, and the transaction that it then goes on in is aborted. For the same reason a pool
keeps the default limit that it was made with. Here both are seen to before, each pool in a transaction of its own.
"""

from collections.abc import Iterable

from dagster import DagsterInstance
from dagster._core.storage.event_log.base import EventLogStorage
from sqlalchemy.exc import DBAPIError

TRIES = 5  # several processes may give a pool another default at once, and each takes away what the others made


def make_pools(instance: DagsterInstance, pools: Iterable[str]) -> None:
    """Each of the pools has a limit after this: the one that a person gave it, else the instance's default of now.

    Args:
        instance: whose pools they are.
        pools: names; those that are right cost one query for all.

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
                if name in _right(storage, default):  # another process has made it in between
                    break
                if not left:
                    raise
                storage.delete_concurrency_limit(name)  # it has an earlier default; who holds a place in it keeps that


def _right(storage: EventLogStorage, default: int) -> set[str]:
    """The pools whose limit is a person's, or the default of now."""
    return {pool.name for pool in storage.get_pool_limits() if not pool.from_default or pool.limit == default}
