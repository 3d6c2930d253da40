"""The state of every asset without Dagster: from the files of its log and the stored declarations of assets.

The result equals that of `states` in `resources/materializations/state.py`; where it could differ, there is none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from resources.deployment import Deployment
from resources.materializations.asset_state import AssetState, Days, Described, state_as_a_whole, state_by_day
from resources.materializations.held import GAP_TAG, Held, Place
from resources.materializations.log_file import Log, read_log
from resources.materializations.published import Published
from sinet_pipelines.applications.application import parse_key
from sinet_pipelines.escaping import from_markdown
from sinet_pipelines.schemas.contract import DataClass, TableName
from sinet_pipelines.storage.cache import read_cache, write_cache
from sinet_pipelines.storage.health import StorageFault

FILE = "cache/assets.json"  # in a home


class _LeftToDagster(Exception):  # noqa: N818 - no error: the other reader is used
    """The state of an asset depends on Dagster's own API and the definitions."""


def keep_described(home: Path, signature: str, assets: Iterable[Described]) -> None:
    """Stores the declarations of assets under a signature of all their sources."""
    write_cache(home / FILE, {"signature": signature, "assets": [asdict(one) for one in assets]})


def read_described(home: Path, signature: str) -> list[Described]:
    """The declarations stored under this signature; empty where there are none."""
    kept = read_cache(home / FILE)
    if not signature or kept.get("signature") != signature:
        return []
    found: list[dict[str, Any]] = kept["assets"]
    return [Described(**one) for one in found]


def quick_states(deployment: Deployment, assets: Sequence[Described]) -> list[AssetState] | None:
    """The state of every asset, in the order given; None where only Dagster can compute it."""
    log = None
    if deployment.is_one_machine:  # else a region may not have published yet
        log = read_log(deployment.home / "dagster")
    if log is None:
        return None
    held = Held(Published(deployment))
    try:
        return [_state_of(asset, log, held) for asset in assets]
    except _LeftToDagster:
        return None


def _state_of(asset: Described, log: Log, held: Held) -> AssetState:
    newest, place = log.newest.get(asset.key), place_of(asset)
    made_at = newest.at if newest is not None else None
    if asset.days:
        days = asset.landed(held.published.landed(asset.path))
        lost, made = _lost_and_made(asset, log, held, place)
        refused = {name: _refused(log, asset, name, days) for name in asset.checks}
        faults = [fault.message for fault in lost]
        return state_by_day(asset, Days(days, days.intersection(made), refused), made_at=made_at, faults=faults)
    if (newest is None or newest.run_id != log.last_run.get(asset.key)) and asset.key in log.failed_plans:
        raise _LeftToDagster  # whether the failure matters depends on the present inputs
    fault = held.fault(place, newest.recorded) if newest is not None else None
    results = {name: log.outcomes.get((asset.key, name)) for name in asset.checks}
    outcomes = {
        name: (result.passed, from_markdown(result.description))
        for name, result in results.items()
        if result is not None
    }
    state = "missing" if newest is None or fault is not None else "done"
    return state_as_a_whole(asset, state, outcomes, made_at=made_at, faults=[] if fault is None else [fault.message])


def place_of(asset: Described) -> Place:
    """The place of an asset's rows."""
    application = parse_key(asset.path).application if asset.table or asset.store else ""
    table = TableName(asset.table, DataClass(asset.data_class)) if asset.table else None
    return Place(asset.region, table, asset.store, application)


def _lost_and_made(asset: Described, log: Log, held: Held, place: Place) -> tuple[dict[StorageFault, None], set[date]]:
    """The days of an asset that storage has lost, and the days with rows that it holds."""
    lost, made = dict[StorageFault, None](), set[date]()
    events = log.days.get(asset.key)
    if not events:
        return lost, made
    fault_of = held.fault_of_days(place)
    for day, event in sorted(events.items()):
        if fault := fault_of(day, event):
            lost[fault] = None
        elif GAP_TAG not in event.tags:
            made.add(day)
    return lost, made


def _refused(log: Log, asset: Described, check: str, landed: frozenset[date]) -> Mapping[date, str]:
    results = log.results.get((asset.key, check), {})
    return {
        day: from_markdown(result.description) for day, result in results.items() if not result.passed and day in landed
    }
