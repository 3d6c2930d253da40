"""Window features of some engines at a time equal those of all engines at once, wherever they are computed."""

from datetime import timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sinet_pipelines.applications.turbofan.features import of_engines
from sinet_pipelines.applications.turbofan.features.daily import daily_statistics
from sinet_pipelines.applications.turbofan.features.inputs import day_inputs, inputs_of_digests
from sinet_pipelines.applications.turbofan.features.large_days import features_in_batches
from sinet_pipelines.applications.turbofan.features.of_engines import features_of_days, of_engines_in
from sinet_pipelines.applications.turbofan.features.regimes import find_regimes, setting_cells
from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.applications.turbofan.schemas.features import FIRST_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import EARLY_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.features.dask_workers import DaskWorkers
from sinet_pipelines.features.in_parts import InProcess
from sinet_pipelines.inventory.dask import DaskCluster, DaskKind
from sinet_pipelines.storage.tables import TableStore
from tests.sinet_pipelines.applications.turbofan.features.engines import engines

TELEMETRY = engines(70, 12, 95, 41, missing=0.1).sample(fraction=1.0, shuffle=True, seed=3)
EARLY = TELEMETRY.filter(pl.col("cycle") <= FIRST_CYCLES)
DAYS = sorted(TELEMETRY["event_date"].unique())
REGIMES = find_regimes(setting_cells(TELEMETRY))
MANY = {"days": DAYS, "regimes": REGIMES}


class InParts(InProcess):
    """Computes parts as for workers in this process; notes the number of rows of each."""

    def __init__(self, rows):
        self.rows_at_once, self.heights = rows, []

    def map(self, function, parts):
        for frames in parts:
            self.heights.append(frames[0].height)
            yield function(*frames)


@pytest.fixture
def store(tmp_path):
    tables = TableStore(str(tmp_path), "turbofan")
    tables.replace_days(EARLY_TELEMETRY, EARLY.with_columns(drop_id=pl.lit("drop")), days=DAYS)
    tables.replace_days(VALIDATED_TELEMETRY, TELEMETRY.with_columns(drop_id=pl.lit("drop")), days=DAYS)
    return tables


def at_once(telemetry=TELEMETRY):
    return daily_statistics(settled(telemetry), first_cycles=settled(EARLY), **MANY)


@pytest.mark.parametrize("rows", [1, 50, 1_000_000])
def test_features_in_parts_of_engines_equal_those_at_once(rows, monkeypatch):
    monkeypatch.setattr(of_engines, "FEW_ROWS", 0)
    parts = InParts(rows)
    assert_frame_equal(features_of_days(TELEMETRY, EARLY, parts=parts, **MANY), at_once(), check_exact=True)
    assert sum(parts.heights) == TELEMETRY.height
    assert len(parts.heights) == {1: 4, 50: 3, 1_000_000: 1}[rows]


def test_a_conflict_of_one_engine_is_the_same_in_parts(monkeypatch):
    monkeypatch.setattr(of_engines, "FEW_ROWS", 0)
    twice = pl.concat([TELEMETRY, TELEMETRY.filter(pl.col("cycle") == 11).with_columns(row_hash=pl.lit("other"))])
    found = features_of_days(twice, EARLY, parts=InParts(60), **MANY)
    assert_frame_equal(found, at_once(twice), check_exact=True)
    assert 11 not in found["cycle"].to_list()


def test_few_rows_are_computed_in_the_process_of_the_step():
    parts = InParts(1)
    assert_frame_equal(features_of_days(TELEMETRY, EARLY, parts=parts, **MANY), at_once(), check_exact=True)
    assert not parts.heights


def test_no_rows_have_no_features():
    found = features_of_days(TELEMETRY.clear(), EARLY, **MANY)
    assert found.height == 0
    assert found.columns == at_once().columns


@pytest.mark.parametrize("rows", [1, 60, 1_000_000])
def test_the_digests_of_a_large_day_have_the_fingerprint_of_its_inputs(store, rows):
    digests = []
    day, before = DAYS[1], DAYS[1] - timedelta(days=1)
    found = pl.concat(features_in_batches(store, day=day, regimes=REGIMES, digests=digests, rows_at_once=rows))
    made_by = {"regimes_version": REGIMES.version, "reach_days": 1, "code_version": "1"}
    history = TELEMETRY.filter(pl.col("event_date").is_between(before, day))
    assert inputs_of_digests(pl.concat(digests), **made_by)[day] == day_inputs(history, EARLY, **made_by)[day]
    of_engines_of_the_day = of_engines_in(history, EARLY)
    assert day_inputs(history, of_engines_of_the_day, **made_by)[day] == day_inputs(history, EARLY, **made_by)[day]
    assert_frame_equal(found, at_once().filter(pl.col("event_date") == day), check_exact=True)


@pytest.mark.slow
def test_features_of_dask_workers_equal_those_of_the_process(store, monkeypatch):
    monkeypatch.setattr(of_engines, "FEW_ROWS", 0)
    cluster = DaskCluster(DaskKind.LOCAL, min_workers=2, max_workers=2, worker_memory_mib=1024)
    with DaskWorkers(cluster, "EAST", rows_at_once=1) as workers:
        found = features_of_days(TELEMETRY, EARLY, parts=workers, **MANY)
        assert_frame_equal(found, at_once(), check_exact=True)
        large = pl.concat(features_in_batches(store, day=DAYS[1], regimes=REGIMES, parts=workers, rows_at_once=1))
        assert_frame_equal(large, at_once().filter(pl.col("event_date") == DAYS[1]), check_exact=True)
        assert len(workers.peaks) == 2
