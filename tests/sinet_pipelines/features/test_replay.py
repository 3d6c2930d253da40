"""A replay of requests: what the offline store finds as known at a moment is what the online store held then."""

import random
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.features.repository import FeatureRepository
from sinet_pipelines.features.versions import Recipe, feature_versions, keep_feature_versions, names_of_rows
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.revisions import Revision, keep_versions
from sinet_pipelines.storage.tables import TableStore
from sinet_pipelines.storage.versions import scan_versions

START = date(2025, 1, 1)
INSTANT = pa.timestamp("us", tz="UTC")
UNITS = [f"engine-{number}" for number in range(6)]
REACH = 3  # days of a feature: its own and the two before
_NAMES = (
    Column("unit", pa.string(), "unit"),
    Column("cycle", pa.int64(), "one for each day"),
    Column("recorded_at", INSTANT, "instant"),
    Column("event_date", pa.date32(), "day"),
    Column("row_hash", pa.string(), "hash"),
)
ROWS = Contract("rows", "A row.", DataClass.RAW, (*_NAMES, Column("value", pa.int64(), "value")), key=("unit", "cycle"))
MEANS = Contract(
    "means", "A mean.", DataClass.FEATURE, (*_NAMES, Column("mean", pa.float64(), "mean")), key=("unit", "cycle")
)


def means(rows):
    """Of each row, the mean over those of its unit in the last `REACH` days."""
    mean = pl.col("value").mean().rolling("event_date", period=f"{REACH}d").over("unit")
    return rows.sort("unit", "cycle").with_columns(mean=mean).select(MEANS.schema.names)


RECIPE = Recipe(MEANS, "unit", "cycle", means)


class Plant:
    """Its rows as they are in the landing zone, and the tables and the online store that follow them."""

    def __init__(self, home, seed):
        self.draw = random.Random(seed)  # noqa: S311 - a seeded case, no secret
        self.rows, self.waiting, self.days = {}, [], 0
        self.store = TableStore(str(home / "EAST"), "turbofan")
        self.repository = FeatureRepository(
            home / "feast", (self.store.uri(MEANS),), {"mean": pa.float64()}, ttl=timedelta(0)
        )
        self.repository.apply()

    def deliver(self, days):
        """Some days pass: rows of them arrive now or later, others are corrected or withdrawn; the day that changed."""
        changed = set()
        for cycle in range(self.days, self.days + days):
            for unit in UNITS:
                if self.draw.random() < 0.1:
                    self.waiting.append((unit, cycle))
                else:
                    self.rows[unit, cycle] = self.draw.randint(0, 99)
                    changed.add(cycle)
        self.days += days
        for key in [key for key in self.waiting if self.draw.random() < 0.3]:
            self.waiting.remove(key)
            self.rows[key] = self.draw.randint(0, 99)
            changed.add(key[1])
        for key in self.draw.sample(sorted(self.rows), 4):
            if self.draw.random() < 0.5:
                self.rows[key] = self.draw.randint(0, 99)
            else:
                del self.rows[key]
            changed.add(key[1])
        return changed

    @property
    def now(self):
        return datetime.combine(START, datetime.min.time(), tzinfo=UTC) + timedelta(days=self.days)

    def table(self, days):
        """The present rows of some days."""
        found = []
        for (unit, cycle), value in sorted(self.rows.items()):
            day = START + timedelta(days=cycle)
            if day in days:
                at = datetime.combine(day, datetime.min.time(), tzinfo=UTC) + timedelta(hours=6)
                found.append((unit, cycle, at, day, f"{unit}/{cycle}={value}", value))
        return pl.DataFrame(found, schema=pl.Schema(ROWS.schema), orient="row")

    def make(self, changed):
        """Makes the changed days, and the features and the online store that follow from them."""
        days = sorted(START + timedelta(days=cycle) for cycle in changed)
        at = pl.lit(self.now).cast(pl.Datetime("us", "UTC"))
        rows = self.table(days)

        def arrivals(_, hashes):
            return pl.DataFrame({"row_hash": hashes}).with_columns(known_from=at)

        keep_versions(self.store, ROWS, Revision(days, rows, arrivals, at=self.now))
        self.store.replace_days(ROWS, rows, days=days)
        reached = sorted({day + timedelta(days=ahead) for day in days for ahead in range(REACH)})
        before = sorted({day - timedelta(days=back) for day in reached for back in range(REACH)})
        versions = scan_versions(self.store, ROWS, where=pl.col("event_date").is_in(before)).collect()
        found = feature_versions(
            versions.select(names_of_rows(RECIPE)),
            lambda units: versions.filter(pl.col("unit").is_in(units.implode())),
            RECIPE,
            days=reached,
        )
        keep_feature_versions(self.store, RECIPE, found, days=reached)
        features = means(self.table(before)).filter(pl.col("event_date").is_in(reached))
        self.store.replace_days(MEANS, features, days=reached)
        self.repository.write_online()


def replay(home, *, steps, days, seed):
    """Requests over some steps: what the online store answered at each, and what the offline store finds afterwards."""
    plant, requests = Plant(home, seed), []
    for _ in range(steps):
        plant.make(plant.deliver(days))
        moment = plant.now + timedelta(hours=plant.draw.randint(1, 23))
        online = plant.repository.read_online(UNITS)
        requests += [(unit, moment, mean) for unit, mean in online.select("unit", "mean").rows()]
    schema = {"unit": pl.String, "event_timestamp": pl.Datetime("us", "UTC"), "online": pl.Float64}
    wanted = pl.DataFrame(requests, schema=schema, orient="row")
    offline = plant.repository.historical(wanted.with_columns(as_known_at=pl.col("event_timestamp")))
    later = plant.repository.historical(wanted)
    return offline["online"].to_list(), offline["mean"].to_list(), later["mean"].to_list()


def test_the_offline_store_finds_what_the_online_store_held_at_each_request(tmp_path):
    online, offline, without_arrivals = replay(tmp_path, steps=5, days=4, seed=1)
    assert offline == online
    assert without_arrivals != online  # by the time of events alone, later corrections would be used


@pytest.mark.slow
def test_over_a_year_of_requests_every_offline_value_is_the_online_one(tmp_path):
    online, offline, _ = replay(tmp_path, steps=37, days=10, seed=2)
    assert len(online) == 37 * len(UNITS)
    assert offline == online
