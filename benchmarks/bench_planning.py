"""Plans a deployment that is up to date: applications x regions x days, from a synthetic event log and digests.

    python -m benchmarks.bench_planning --applications 5 --regions 3 --days 400

The graph has for each application and region raw rows, validated rows, features and their monitoring, each with days,
and for each application a training set, a model and its evaluation. The published digests are made together with the
log, so the figure is that of a planner outside of the regions; it prints CPU and wall seconds of several plans.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any


def main() -> None:
    """Prints the seconds of each plan as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("applications", 5), ("regions", 3), ("days", 400), ("plans", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"SINET_HOME": f"{folder}/home", "SINET_EXECUTOR": "regions", "SINET_OBSERVE_SECONDS": "60"}
        found = measure(Path(folder), chosen)
    print(json.dumps(found, indent=1))


def measure(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """The seconds of each plan of a deployment in a folder."""
    import dagster as dg

    from resources.deployment import this_deployment
    from schedules.backfills import plan_repair
    from sinet_pipelines import applications as listed

    home = folder / "home"
    home.mkdir()
    first = datetime.now(UTC).date() - timedelta(days=chosen.days)
    days = [first + timedelta(days=n) for n in range(chosen.days)]
    regions = ("EAST", "WEST", "NULL_ISLAND")[: chosen.regions]
    apps = [_application(f"plant_{n}") for n in range(chosen.applications)]
    vars(listed)["load_applications"] = lambda: tuple(apps)
    graph = dg.Definitions(
        [asset for app in apps for asset in _assets(app, regions, first)],
        resources={region.lower(): None for region in regions},
    ).resolve_asset_graph()
    for app in apps:
        for region in regions:
            _publish(home, app, region, days)
    custom = {"module": "sinet_pipelines.cli.event_store", "class": "OpenSqliteStorage"}
    storage = {"storage": {"custom": {**custom, "config": {"base_dir": str(folder)}}}}
    with dg.DagsterInstance.local_temp(str(folder), overrides=storage) as instance:
        events = _record(instance, graph, home, days)
        plans = [_timed(lambda: plan_repair(instance, graph, this_deployment(home))) for _ in range(chosen.plans)]
    planned, seconds = [plan for plan, _ in plans], [one for _, one in plans]
    if any(planned):
        raise SystemExit(f"the deployment is not up to date: {planned[0]}")
    return {
        "applications": chosen.applications,
        "regions": chosen.regions,
        "days": chosen.days,
        "events": events,
        "plans": seconds,
    }


def _timed(call: Any) -> tuple[Any, dict[str, float]]:
    cpu, wall = time.process_time(), time.perf_counter()
    found = call()
    return found, {"cpu_s": round(time.process_time() - cpu, 3), "wall_s": round(time.perf_counter() - wall, 3)}


def _application(name: str) -> Any:
    import pyarrow as pa

    from sinet_pipelines.applications.application import Application
    from sinet_pipelines.ingestion.landed import landed_rows
    from sinet_pipelines.schemas.contract import Column, Contract, DataClass

    day = Column("event_date", pa.date32(), "day of the rows; the partition")
    value = Column("value", pa.float64(), "what is made of the day")
    landed = landed_rows(name, f"rows_of_{name}", (Column("unit", pa.string(), "unit"),), key=("unit",))
    made = tuple(
        Contract(one, f"{one} of {name}.", DataClass.FEATURE, (day, value), key=("event_date",))
        for one in ("features", "watch")
    )
    return Application(
        name=name,
        title=name,
        owner="team:benchmarks",
        output="value",
        landed=landed,
        tables=(landed.raw, *landed.tables.written, *made),
    )


def _assets(app: Any, regions: tuple[str, ...], first: date) -> Iterator[Any]:
    import dagster as dg

    from resources.keys import CADENCE_TAG, CONTRACT_CHECK, INPUTS_TAG, Cadence
    from resources.placement import CLASS_TAG, REGION_TAG
    from resources.residency import TABLE

    days = dg.DailyPartitionsDefinition(first.isoformat(), end_offset=1)

    def asset(key: Any, deps: list[Any], *, tags: dict[str, str], table: str = "", checks: bool = False) -> Any:
        @dg.asset(
            key=key,
            deps=deps,
            tags=tags,
            code_version="1",
            partitions_def=days if table else None,
            metadata={TABLE: table} if table else {},
            check_specs=[dg.AssetCheckSpec(CONTRACT_CHECK, asset=key)] if checks else [],
        )
        def made(): ...  # type: ignore[no-untyped-def]  # noqa: ANN202 - of no output, or of those of checks

        return made

    features = []
    for region in regions:
        before = None
        raw, validated = app.data.raw.name, app.data.validated.name
        for name, rule, cadence, data_class in (
            (raw, "landed_rows", Cadence.LANDING, "raw"),
            (validated, "validated_rows", Cadence.LANDING, "raw"),
            ("features", "same_day", Cadence.FOLLOW, "feature"),
            ("watch", "same_day", Cadence.FOLLOW, "feature"),
        ):
            key = dg.AssetKey(app.key(name, region=region))
            tags = {REGION_TAG: region, CADENCE_TAG: cadence, INPUTS_TAG: rule, CLASS_TAG: data_class}
            deps = [before] if before is not None else []
            yield asset(key, deps, tags=tags, table=name, checks=name == validated)
            before = key
            features += [key] if name == "features" else []
    before = features
    for name in ("training_set", "model", "evaluation"):
        key = dg.AssetKey(app.key(name))
        yield asset(key, before, tags={CADENCE_TAG: Cadence.FOLLOW})
        before = [key]


def _publish(home: Path, app: Any, region: str, days: list[date]) -> None:
    """Writes tables of features, and the region's digests of raw and validated rows, with one row per day."""
    import polars as pl

    from sinet_pipelines.monitoring.published import Publication, publication_to_frame
    from sinet_pipelines.monitoring.row_account import DayCounts, DayDigest
    from sinet_pipelines.schemas.publication import REGION_DIGESTS
    from sinet_pipelines.storage.health import TableHealth
    from sinet_pipelines.storage.tables import tables_of

    tables = tables_of(home, region, app.name)
    rows = {day.isoformat(): 1 for day in days}
    found = Publication(
        days={day: DayDigest(f"drops of {day}", 1, "", DayCounts(1, 1, 1, 0)) for day in days},
        tables={one.name: TableHealth(Path(tables.uri(one)), 0, rows) for one in (app.data.raw, app.data.validated)},
    )
    tables.replace(REGION_DIGESTS, publication_to_frame(found, tables))
    for name in ("features", "watch"):
        tables.replace_days(app.table(name), pl.DataFrame({"event_date": days, "value": [0.0] * len(days)}), days=days)


def _record(instance: Any, graph: Any, home: Path, days: list[date]) -> int:
    """Records each day of each asset as made from present inputs, upstream first; returns the number of events."""
    import dagster as dg

    from resources.deployment import this_deployment
    from resources.keys import name_of
    from resources.materializations.staleness import Staleness
    from resources.materializations.versions import INPUTS_TAG, VERSION_TAG

    events = 0
    for key in graph.toposorted_asset_keys:
        staleness = Staleness(instance, graph, this_deployment(home))
        is_partitioned = graph.get(key).is_partitioned
        inputs = staleness.inputs_by_day(key) if is_partitioned else {}
        for day in days if is_partitioned else [None]:
            made_from = inputs[day] if day else staleness.inputs_of(key)
            tags = {VERSION_TAG: f"{name_of(key).name} of {day}", INPUTS_TAG: made_from}
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    key,
                    partition=day.isoformat() if day else None,
                    metadata={"dagster/row_count": 1, "table_version": 0} if day else {},
                    tags=tags,
                )
            )
            events += 1
    return events


if __name__ == "__main__":
    main()
