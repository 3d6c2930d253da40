"""Late rows, duplicates, corrections and withdrawals: the tables are those of a rebuild of everything.

Whatever the order of arrival, only the days that a drop touches are made again.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from sinet_pipelines.applications.turbofan.features.daily import daily_statistics, reaches_further
from sinet_pipelines.applications.turbofan.features.inputs import day_inputs
from sinet_pipelines.applications.turbofan.features.regimes import find_regimes, setting_cells
from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.features import FIRST_CYCLES, REACH_DAYS
from sinet_pipelines.applications.turbofan.schemas.telemetry import (
    DROP,
    RAW_TELEMETRY,
    SENSORS,
    SETTINGS,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import content_hash
from sinet_pipelines.validation.doubt import doubt_of_days, keeps_its_rules, rows_in_doubt
from sinet_pipelines.validation.judge import judge_days
from tests.sinet_pipelines.applications.turbofan.features.engines import engines
from tests.zones import landing_zone

FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(5)]
REGIMES = find_regimes(setting_cells(engines(60, 60)))
KEY = VALIDATED_TELEMETRY.key
#: No share of bad rows fails a day here: a day that fails keeps its former rows, which depend on what landed before.
CONTRACT = replace(VALIDATED_TELEMETRY, max_quarantined_share=1.0)


@dataclass
class Tables:
    """The tables of one region by day, and what each day of a table was made from."""

    rows: dict[str, dict[date, pl.DataFrame]] = field(default_factory=lambda: {name: {} for name in LAYERS})
    made_from: dict[str, dict[date, str]] = field(default_factory=lambda: {name: {} for name in LAYERS})

    def stale(self, layer: str, inputs: dict[date, str]) -> list[date]:
        """The days whose inputs changed; a day without inputs leaves the table."""
        found = [day for day, one in sorted(inputs.items()) if self.made_from[layer].get(day) != one]
        gone = self.rows[layer].keys() - inputs.keys()
        for day in gone:
            del self.rows[layer][day]
        self.made_from[layer] = dict(inputs)
        return found + sorted(gone)

    def all(self, layer: str) -> pl.DataFrame:
        """The rows of all days."""
        return pl.concat(self.rows[layer][day] for day in sorted(self.rows[layer]))


LAYERS = ("raw", "validated", "features")


def make(zone, tables) -> dict[str, list[date]]:
    """Makes the stale days of each table with the library's functions, as the assets do; returns the days made."""
    made = {}
    made["raw"] = tables.stale("raw", {day: content for day, (content, _) in zone.contents("EAST").items()})
    landed = [day for day in made["raw"] if day in tables.made_from["raw"]]
    tables.rows["raw"] |= {day: zone.read_day("EAST", day).rows for day in landed}
    if not tables.rows["raw"]:
        return made | {layer: tables.stale(layer, {}) for layer in LAYERS[1:]}
    sound = tables.all("raw").filter(keeps_its_rules(VALIDATED_TELEMETRY))
    doubted = rows_in_doubt(sound, key=KEY)
    doubt = doubt_of_days(doubted)
    inputs = {day: fingerprint(_content(rows), doubt.get(day, "")) for day, rows in tables.rows["raw"].items()}
    made["validated"] = tables.stale("validated", inputs)
    for day in (day for day in made["validated"] if day in inputs):
        tables.rows["validated"][day] = judge_days(tables.rows["raw"][day], CONTRACT, doubted=doubted).good
    rows = tables.all("validated")
    early = rows.filter(pl.col("cycle") <= FIRST_CYCLES)
    inputs = day_inputs(rows, early, regimes_version=REGIMES.version, reach_days=REACH_DAYS, code_version="1")
    made["features"] = tables.stale("features", inputs)
    days = [day for day in made["features"] if day in inputs]
    for first, last in _ranges(days):
        history = rows.filter(pl.col("event_date").is_between(first - timedelta(days=REACH_DAYS), last))
        chunk = [day for day in days if first <= day <= last]
        features = daily_statistics(settled(history), days=chunk, first_cycles=settled(early), regimes=REGIMES)
        tables.rows["features"] |= {day: features.filter(event_date=day) for day in chunk}
    return made


def _content(rows):
    return content_hash(rows.with_columns(ingested_at=pl.lit(datetime(2026, 4, 1, tzinfo=UTC))), RAW_TELEMETRY)


def _ranges(days):
    """First and last of each range of days without another one in between."""
    found = []
    for day in days:
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def flown(unit, day, *, cycles, shift=0.0):
    """Rows of one engine on a day; another shift is a correction of the same cycles."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    level = {one.name: (one.minimum + one.maximum) / 2 * (1 + shift / 100) for one in (*SETTINGS, *SENSORS)}
    return pl.DataFrame(
        {
            "unit": unit,
            "role": "history",
            "cycle": pl.Series(cycles, dtype=pl.Int32),
            "recorded_at": [midnight + timedelta(minutes=one) for one in range(len(cycles))],
        }
    ).with_columns(**{name: pl.lit(value) + pl.col("cycle") * value * 1e-5 for name, value in level.items()})


@st.composite
def drops(draw):
    """A drop: engine, day, the cycles that it usually flies then or one of another day, and a correction."""
    number, cycles_per_day = draw(st.integers(0, len(DAYS) - 1)), draw(st.sampled_from([4, 12]))
    first = number * cycles_per_day + 1
    cycles = list(range(first, first + draw(st.integers(1, cycles_per_day))))
    odd = draw(st.sampled_from([None, None, 1, 5]))  # also flown on another day: both are set aside
    unit = draw(st.sampled_from(["A-0001", "A-0002"]))
    return unit, DAYS[number], sorted({*cycles, *([odd] if odd else [])}), draw(st.sampled_from([0.0, 0.0, 0.1]))


KINDS = st.sampled_from(["land", "land", "land", "copy", "withdraw"])
EVENTS = st.lists(st.tuples(drops(), KINDS, st.booleans()), max_size=7)


@pytest.mark.slow
@settings(max_examples=16, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(EVENTS, drops())
@example(
    events=[
        (("A-0001", DAYS[0], [*range(1, 5), *range(6, 13)], 0.0), "land", True),
        (("A-0001", DAYS[1], [5], 0.0), "land", False),  # its clock was wrong: a row of the next day
    ],
    last=("A-0001", DAYS[3], [37], 0.0),
)
def test_tables_of_any_order_of_arrival_are_those_of_a_rebuild_of_everything(tmp_path_factory, events, last):
    # the last bit of a slope may depend on how many rows are multiplied at once: features are equal but for rounding
    zone = landing_zone(tmp_path_factory.mktemp("home"), TELEMETRY)
    tables, files = Tables(), []
    for number, (drop, kind, is_made) in enumerate(events):
        if kind == "withdraw" and files:
            files.pop(number % len(files)).unlink(missing_ok=True)
        else:
            files.append(land(zone, *drop, name=f"drop{number}", is_copied=kind == "copy"))
        if is_made:
            make(zone, tables)
    make(zone, tables)
    before = dict(tables.rows["validated"])
    land(zone, *last, name="last")
    made = make(zone, tables)
    whole = Tables()
    make(zone, whole)
    for layer in LAYERS:
        assert sorted(tables.rows[layer]) == sorted(whole.rows[layer])
        for day, rows in whole.rows[layer].items():
            assert_frame_equal(
                tables.rows[layer][day], rows, check_exact=layer != "features", rel_tol=1e-5, abs_tol=2e-6
            )
    assert set(made["raw"]) <= {last[1]}
    assert set(made["features"]) <= touched(before, tables.rows["validated"])
    assert make(zone, tables) == {layer: [] for layer in LAYERS}


def land(zone, unit, day, cycles, shift, *, name, is_copied=False):
    rows = flown(unit, day, cycles=cycles, shift=shift).select(column.name for column in DROP.columns)
    return zone.land("EAST", day, name=name, rows=pl.concat([rows, rows.head(1)]) if is_copied else rows)


def touched(before, after):
    """The days whose windows reach a row that came or went, and the days of engines whose first cycles changed."""
    rows = [(day, *row) for day in DAYS for row in _changed(before.get(day), after.get(day))]
    near = {day + timedelta(days=ahead) for day, *_ in rows for ahead in range(REACH_DAYS + 1)}
    renewed = {unit for _, unit, cycle in rows if cycle <= FIRST_CYCLES}
    return near | {day for day, found in after.items() if renewed & set(found["unit"])}


def _changed(one, other):
    """Engine and cycle of the rows of a day that only one of two tables has."""
    here, there = (
        {} if rows is None else {name: row for name, *row in rows.select("row_hash", "unit", "cycle").iter_rows()}
        for rows in (one, other)
    )
    return [(here | there)[name] for name in sorted(here.keys() ^ there.keys())]


@pytest.fixture
def region(tmp_path):
    """A zone of five days on which engine A flies twelve cycles, B from the second day on, and its tables."""
    zone, tables = landing_zone(tmp_path, TELEMETRY), Tables()
    for number, day in enumerate(DAYS):
        land(zone, "A-0001", day, range(12 * number + 1, 12 * number + 13), 0.0, name="A")
        if number:
            land(zone, "A-0002", day, range(12 * number - 11, 12 * number), 0.0, name="B")
    make(zone, tables)
    return zone, tables


@pytest.mark.parametrize(
    ("unit", "number", "cycles", "validated", "features"),
    [
        ("A-0002", 2, [24], [2], [2, 3]),  # a cycle that was absent: windows of its day and the day after have it
        ("A-0002", 4, [48], [4], [4]),  # the newest day
        ("A-0003", 1, [1], [1], [1, 2]),  # the first cycle of an engine without other rows
        ("A-0002", 0, [12], [0], [0, 1]),
        ("A-0001", 3, [2], [0, 3], [0, 1, 2, 3, 4]),  # a first cycle of another day: both go, and A's baseline changes
        ("A-0001", 3, [14], [1, 3], [1, 2]),  # a cycle of another day: both go, and day 3 keeps the rows that it had
    ],
)
def test_a_late_row_rewrites_the_days_that_it_touches_and_its_withdrawal_the_same(
    region, unit, number, cycles, validated, features
):
    zone, tables = region
    before = {layer: dict(days) for layer, days in tables.rows.items()}
    expected = {"raw": [number], "validated": validated, "features": features}
    file = land(zone, unit, DAYS[number], cycles, 0.3, name="late")
    assert make(zone, tables) == {layer: [DAYS[one] for one in days] for layer, days in expected.items()}
    file.unlink()
    assert make(zone, tables) == {layer: [DAYS[one] for one in days] for layer, days in expected.items()}
    for layer in LAYERS:
        for day, rows in before[layer].items():
            assert_frame_equal(tables.rows[layer][day], rows)


def test_windows_of_few_cycles_a_day_end_at_the_day_before_whatever_is_made_with_them():
    rows = pl.concat([_validated("A-0001", number, cycles=4) for number in range(5)])
    assert reaches_further(rows)
    many = {"first_cycles": rows.filter(pl.col("cycle") <= FIRST_CYCLES), "regimes": REGIMES}
    together = daily_statistics(rows, days=DAYS, **many)
    alone = [
        daily_statistics(rows.filter(pl.col("event_date").is_between(day - timedelta(days=1), day)), days=[day], **many)
        for day in DAYS
    ]
    assert_frame_equal(together, pl.concat(alone), check_exact=True)
    assert together.group_by("event_date").agg(pl.col("window_cycles_present").max()).sort("event_date")[
        "window_cycles_present"
    ].to_list() == [4, 8, 8, 8, 8]


def test_windows_of_thirty_cycles_a_day_reach_no_further():
    assert not reaches_further(pl.concat([_validated("A-0001", number, cycles=30) for number in range(4)]))


def test_windows_have_no_row_of_a_later_day_whatever_is_made_with_them():
    rows = pl.concat([_on("A-0001", 0, range(13, 25)), _on("A-0001", 1, [5])])  # the clock of cycle 5 was wrong
    many = {"first_cycles": rows.filter(pl.col("cycle") <= FIRST_CYCLES), "regimes": REGIMES}
    together = daily_statistics(rows, days=DAYS[:2], **many)
    first = daily_statistics(rows.filter(pl.col("event_date") == DAYS[0]), days=DAYS[:1], **many)
    assert first["window_cycles_present"].to_list() == list(range(1, 13))
    assert_frame_equal(together.filter(pl.col("event_date") == DAYS[0]), first, check_exact=True)


def _validated(unit, number, *, cycles):
    return _on(unit, number, range(cycles * number + 1, cycles * number + cycles + 1))


def _on(unit, number, cycles):
    rows = flown(unit, DAYS[number], cycles=cycles)
    return rows.with_columns(event_date=pl.lit(DAYS[number]), row_hash=pl.format("{}-{}", "unit", "cycle"))
