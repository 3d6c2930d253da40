"""A day that is revised one range of its key at a time gets the versions of a day that is revised at once."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.schemas.arrival import arrivals_of, history_of
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.aside import set_aside
from sinet_pipelines.storage.commits import CommitRefusedError, commits_checked
from sinet_pipelines.storage.revisions import Revision, keep_versions, withhold
from sinet_pipelines.storage.tables import TableStore
from sinet_pipelines.storage.versions import known_at, scan_versions

DAYS = [date(2026, 3, 1), date(2026, 3, 2)]
START = datetime(2026, 3, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
ROWS = Contract(
    "rows",
    "A row.",
    DataClass.RAW,
    (
        Column("unit", pa.string(), "unit"),
        Column("cycle", pa.int32(), "cycle"),
        Column("value", pa.int64(), "value"),
        Column("event_date", pa.date32(), "day"),
        Column("row_hash", pa.string(), "hash"),
    ),
    key=("unit", "cycle"),
)
ASIDE = replace(
    ROWS, name="aside", columns=tuple(replace(one, nullable=one.name in ROWS.key) for one in ROWS.columns), key=()
)
WIDER = replace(ROWS, columns=(*ROWS.columns, Column("weight", pa.float64(), "of a later contract", nullable=True)))
TEXTS = replace(ROWS, columns=tuple(replace(c, dtype=pa.string()) if c.name == "value" else c for c in ROWS.columns))
AT_ONCE, IN_PARTS = {}, {"rows_at_once": 2}


def at(hour):
    return START + timedelta(hours=hour)


def rows_of(values, contract=ROWS):
    """One row for each day and key; its hash is its content."""
    rows = [
        {"unit": unit, "cycle": cycle, "value": value, "event_date": day, "row_hash": f"{day} {unit} {cycle}={value}"}
        for (day, unit, cycle), value in values.items()
    ]
    types = pl.Schema(contract.schema)
    wanted = [pl.lit(None, types[c]).alias(c) if c == "weight" else pl.col(c).cast(types[c]) for c in types]
    return pl.DataFrame(rows, schema=pl.Schema(ROWS.schema)).select(wanted)


def arrivals(instants):
    """Arrivals by hash; any other row's is unknown."""

    def of(_, hashes):
        known = [instants.get(one) for one in hashes]
        return pl.DataFrame({"row_hash": hashes, "known_from": pl.Series(known, dtype=INSTANT)})

    return of


def drawn(draw):
    """Rows of both days in any order of their keys, which are on one day each; sometimes none of a day."""
    units = {DAYS[0]: ("a", "b", "d"), DAYS[1]: ("c", "e")}
    keys = [(day, unit, cycle) for day in DAYS if draw.random() < 0.9 for unit in units[day] for cycle in (1, 10)]
    values = draw.choice([1, 1, 2, 3])
    return {key: draw.randint(1, values) for key in draw.sample(keys, len(keys)) if draw.random() < 0.7}


def beside(store, contract):
    """The rows of the tables beside."""
    tables = [arrivals_of(contract), history_of(contract)]
    return [store.read(one).sort(pl.all()).rows() if store.exists(one) else None for one in tables]


def frames_of(rows, draw):
    """The rows sorted by their key, in frames of a few rows, as a large day has them."""
    ordered, size = rows.sort("event_date", *ROWS.key), draw.randint(1, 4)
    return [ordered[start : start + size] for start in range(0, ordered.height, size)]


def drawn_instants(values, draw):
    """Arrivals of some of the rows; few different ones, so that some rows keep theirs under another hash."""
    if draw.random() < 0.3:
        return {}
    hashes = rows_of(values)["row_hash"]
    return {one: at(draw.choice([2, 30])) for one in hashes if draw.random() < 0.8}


KEYS = [(DAYS[0], unit, cycle) for unit in "ab" for cycle in (1, 2, 10)]
FIRST = {key: at(2) for key in rows_of(dict.fromkeys(KEYS, 1))["row_hash"]}
SECOND = {key: at(49) for key in rows_of(dict.fromkeys(KEYS, 2))["row_hash"]}
WITHOUT_KEY = rows_of({(DAYS[0], None, None): 1})


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 8))])
def test_parts_of_a_few_rows_give_the_versions_of_the_whole(tmp_path, seed):
    draw = random.Random(seed)  # noqa: S311 - a seeded case, no secret
    whole, parts = (TableStore(str(tmp_path / name), "mill") for name in ("whole", "parts"))
    contract, instants = ROWS, {}
    for hour in range(25, 85, 10):
        contract = draw.choice([contract, contract, ROWS, WIDER, TEXTS])
        values = drawn(draw)
        rows, aside = rows_of(values, contract), rows_of(drawn(draw)).sample(fraction=0.2, seed=seed)
        instants |= drawn_instants(values, draw)
        event, is_killed = draw.random(), draw.random() < 0.3
        for store, options in ((whole, AT_ONCE), (parts, IN_PARTS)):
            frames = rows if store is whole else frames_of(rows, draw)
            store.replace_days(ASIDE, pl.concat([aside, WITHOUT_KEY]), days=DAYS)
            if event < 0.2:
                withhold(store, contract, [rows] if store is whole else frames, arrivals=arrivals({}), **options)
                continue
            revision = Revision(DAYS, frames, arrivals(instants), at=at(hour), withheld=ASIDE)
            keep_versions(store, contract, revision, **options)
            if not is_killed:
                store.replace_days(contract, rows, days=DAYS)
        assert beside(parts, contract) == beside(whole, contract), hour


@pytest.fixture
def store(tmp_path):
    return TableStore(str(tmp_path), "mill")


def revise(store, values, *, hour, instants, **options):
    rows = rows_of(values)
    revision = Revision(DAYS[:1], rows.sort(ROWS.key), arrivals(instants), at=at(hour))
    keep_versions(store, ROWS, revision, **options)
    store.replace_days(ROWS, rows, days=DAYS[:1])


def known(store, hour):
    rows = known_at(scan_versions(store, ROWS), at(hour)).collect()
    return {
        (day, unit, cycle): value for day, unit, cycle, value in rows.select("event_date", *ROWS.key, "value").rows()
    }


@pytest.mark.parametrize("commits", [0, 1, 2])
def test_a_revision_that_is_killed_after_any_commit_is_made_whole_by_the_next(store, commits):
    before, after = dict.fromkeys(KEYS, 1), {key: 1 + (key[2] == 2) for key in KEYS[1:]}
    revise(store, before, hour=3, instants=FIRST, **IN_PARTS)
    left = [commits]

    def refuse():
        left[0] -= 1
        if left[0] < 0:
            raise CommitRefusedError

    with commits_checked(refuse), pytest.raises(CommitRefusedError):
        revise(store, after, hour=50, instants={**FIRST, **SECOND}, **IN_PARTS)
    assert known(store, 10) == before
    revise(store, after, hour=51, instants={**FIRST, **SECOND}, **IN_PARTS)
    assert (known(store, 10), known(store, 52)) == (before, after)


def test_each_table_beside_is_written_in_one_commit(store):
    revise(store, dict.fromkeys(KEYS, 1), hour=3, instants=FIRST, **IN_PARTS)
    revise(store, dict.fromkeys(KEYS, 2), hour=50, instants=SECOND, **IN_PARTS)
    assert (store.version(arrivals_of(ROWS)), store.version(history_of(ROWS))) == (1, 0)
    assert store.read(history_of(ROWS)).height == len(KEYS)


def test_a_part_that_changes_nothing_commits_nothing(store):
    values = dict.fromkeys(KEYS, 1)
    for hour in (3, 50):
        revise(store, values, hour=hour, instants=FIRST, **IN_PARTS)
    assert store.version(arrivals_of(ROWS)) == 0
    assert not store.exists(history_of(ROWS))


def test_damaged_arrivals_are_filled_in_parts(store, tmp_path):
    values = dict.fromkeys(KEYS, 1)
    revise(store, values, hour=50, instants=SECOND | dict.fromkeys(FIRST, at(49)), **IN_PARTS)
    for file in (tmp_path / "raw/mill/rows_arrivals").rglob("*.parquet"):
        file.unlink()
    revise(store, values, hour=61, instants=SECOND | dict.fromkeys(FIRST, at(49)), **IN_PARTS)
    assert (known(store, 48), known(store, 49)) == ({}, values)


BOTH_DAYS = {**dict.fromkeys(KEYS, 1), (DAYS[1], "c", 1): 1}
LATE = dict.fromkeys(rows_of(BOTH_DAYS)["row_hash"], at(50))


def revise_both_days(store, values=BOTH_DAYS, *, hour=60):
    rows = rows_of(values)
    keep_versions(store, ROWS, Revision(DAYS, rows, arrivals(LATE), at=at(hour)), **IN_PARTS)
    store.replace_days(ROWS, rows, days=DAYS)


def lose_a_file(folder):
    next(folder.rglob("*.parquet")).unlink()


def damage_the_log(folder):
    (folder / "_delta_log/00000000000000000000.json").write_text("{")


@pytest.mark.parametrize("damage", [lose_a_file, damage_the_log])
def test_a_refused_day_keeps_the_arrivals_of_damaged_days(store, tmp_path, damage):
    revise_both_days(store)
    damage(tmp_path / "raw/mill/rows_arrivals")
    withhold(store, ROWS, [rows_of({KEYS[0]: 7})], arrivals=arrivals(LATE), days=DAYS[:1])
    revise_both_days(store, hour=70)
    assert (known(store, 49), known(store, 50)) == ({}, BOTH_DAYS)


def test_arrivals_with_a_damaged_log_are_made_again_for_all_days_in_one_commit(store, tmp_path):
    revise_both_days(store)
    damage_the_log(tmp_path / "raw/mill/rows_arrivals")
    commits = []
    with commits_checked(lambda: commits.append(1)):
        withhold(store, ROWS, [rows_of({KEYS[0]: 1})], arrivals=arrivals(LATE), **IN_PARTS)
    assert (len(commits), known(store, 49), known(store, 50)) == (1, {}, BOTH_DAYS)


def test_arrivals_that_were_moved_away_before_a_kill_are_made_again(store, tmp_path):
    revise_both_days(store)
    set_aside(tmp_path / "raw/mill", "rows_arrivals", why="damaged")
    revise_both_days(store, hour=70)
    assert (known(store, 49), known(store, 50)) == ({}, BOTH_DAYS)


def test_a_former_row_is_kept_if_the_clock_was_set_back(store):
    before, after = ({KEYS[0]: value} for value in (1, 2))
    revise(store, before, hour=50, instants=dict.fromkeys(rows_of(before)["row_hash"], at(50)))
    revise(store, after, hour=36, instants=dict.fromkeys(rows_of(after)["row_hash"], at(36)))
    assert [known(store, hour) for hour in (49, 50, 51)] == [{}, before, after]


@pytest.mark.parametrize("options", [AT_ONCE, {"rows_at_once": 1}])
@pytest.mark.parametrize("days", [DAYS, DAYS[::-1]])
def test_a_key_that_moves_to_another_day_is_known_once(store, options, days):
    before, after = {(days[0], "a", 1): 1}, {(days[1], "a", 1): 1}
    instants = {
        **dict.fromkeys(rows_of(before)["row_hash"], at(2)),
        **dict.fromkeys(rows_of(after)["row_hash"], at(60)),
    }
    for values, hour in ((before, 3), (after, 100)):
        rows = rows_of(values)
        keep_versions(store, ROWS, Revision(DAYS, rows, arrivals(instants), at=at(hour)), **options)
        store.replace_days(ROWS, rows, days=DAYS)
    assert [known(store, hour) for hour in (1, 2, 59, 60, 100)] == [{}, before, before, after, after]


@pytest.mark.parametrize("seed", range(3))
def test_of_a_key_that_moves_between_days_at_most_one_row_is_known(store, seed):
    draw = random.Random(seed)  # noqa: S311 - a seeded case, no secret
    instants = {}
    for hour in range(50, 90, 10):
        values = {(draw.choice(DAYS), unit, 1): draw.randint(1, 2) for unit in "ab"}
        instants |= drawn_instants(values, draw)
        rows = rows_of(values)
        keep_versions(store, ROWS, Revision(DAYS, rows, arrivals(instants), at=at(hour)), rows_at_once=1)
        store.replace_days(ROWS, rows, days=DAYS)
    versions = scan_versions(store, ROWS).collect().lazy()
    for hour in range(100):
        assert not known_at(versions, at(hour)).collect()["unit"].is_duplicated().any(), hour
