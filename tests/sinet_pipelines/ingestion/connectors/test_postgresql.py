"""Tables that live: late commits, equal watermarks, instants that Python lacks, tables that change or vanish."""

import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest

from sinet_pipelines.errors import ForbiddenError, SourceError, UnreachableError
from tests.databases import running_database
from tests.outside import TableOutside
from tests.pulls import landed, landed_frame, pull, some_rows, units

pytest.importorskip("psycopg2", reason="no client of PostgreSQL; install psycopg2-binary")

from sinet_pipelines.ingestion.connectors import postgresql  # noqa: E402

NOW = datetime.now(UTC)
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def database():
    with running_database() as found:
        yield found


@pytest.fixture
def outside(database):
    return TableOutside(database, f"rows_{next(NUMBERS)}")


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir()
    return path


def insert(outside, unit, at=NOW, speed="1"):
    return (f"INSERT INTO {outside.table} (unit, speed_rpm, recorded_at) VALUES (%s, %s, %s)", (unit, speed, at))


def by(outside, query):
    """The URL with another query."""
    return f"{outside.url.partition('?')[0]}?{query}"


def test_a_row_that_commits_late_with_an_older_number_lands(outside, home):
    late = outside.database.connect()
    late.cursor().execute(*insert(outside, "late"))  # its number is 1
    outside.database.execute(insert(outside, "M2"))
    pull(outside.url, home, outside.options)
    assert landed(home) == ["M2"]
    late.commit()
    late.close()
    made = pull(outside.url, home, outside.options)
    assert landed(home) == ["M2", "late"]
    assert (made.totals.rows, made.source.notes.repeated) == (1, 1)


def test_a_row_of_a_transaction_longer_than_the_overlap_lands(outside, home):
    late = outside.database.connect()
    late.cursor().execute(f"INSERT INTO {outside.table} (unit, speed_rpm, recorded_at) VALUES ('late', '1', now())")
    outside.database.execute(f"INSERT INTO {outside.table} (unit, speed_rpm, recorded_at) VALUES ('M2', '1', now())")
    url = by(outside, "watermark=recorded_at&overlap=0")
    pull(url, home, outside.options)
    late.commit()
    late.close()
    pull(url, home, outside.options)
    assert landed(home) == ["M2", "late"]


def test_rows_with_equal_watermarks_land_over_a_kill_between_them(outside, home, monkeypatch):
    outside.database.execute(*(insert(outside, f"M{number}", NOW, str(number)) for number in range(7)))
    monkeypatch.setattr(postgresql, "PART_ROWS", 3)
    monkeypatch.setattr(postgresql, "FETCHED", 3)
    url = by(outside, "watermark=recorded_at&overlap=0")
    source_parts = postgresql.TableSource.parts

    def one_part(self, taken):
        yield next(source_parts(self, taken))

    with monkeypatch.context() as patch:
        patch.setattr(postgresql.TableSource, "parts", one_part)
        assert pull(url, home, outside.options).totals.rows == 3
    assert pull(url, home, outside.options).totals.rows == 4
    assert landed(home) == units(0, 7)


def test_a_row_of_the_future_hides_no_later_row(outside, home):
    url = by(outside, "watermark=recorded_at&overlap=0")
    outside.database.execute(insert(outside, "M1"), insert(outside, "future", NOW + timedelta(days=3000)))
    pull(url, home, outside.options)
    outside.database.execute(insert(outside, "M2", datetime.now(UTC)))
    made = pull(url, home, outside.options)
    assert landed(home) == ["M1", "M2", "future"]
    assert made.totals.rows == 1


def test_rows_without_a_watermark_are_counted(outside, home):
    url = by(outside, "watermark=recorded_at")
    outside.database.execute(insert(outside, "M1"), insert(outside, "M2", None), insert(outside, "M3", "infinity"))
    made = pull(url, home, outside.options)
    assert (landed(home), made.source.notes.without_watermark) == (["M1"], 2)


@pytest.mark.parametrize("at", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC", None])
def test_an_instant_that_no_row_can_have_sets_aside_its_row_alone(outside, home, at):
    outside.database.execute(insert(outside, "M1"), insert(outside, "M2", at), insert(outside, "M3"))
    pull(outside.url, home, outside.options)
    rows = {row["unit"]: row for row in landed_frame(home).iter_rows(named=True)}
    assert sorted(rows) == ["M1", "M2", "M3"]
    assert rows["M2"]["recorded_at"] is None
    assert (rows["M2"]["unparsed"] is None) == (at is None)


def test_each_type_of_a_column_is_read_without_a_loss(database, home):
    database.execute(
        "CREATE TABLE typed (id numeric, unit integer, speed_rpm double precision, recorded_at timestamp)",
        "INSERT INTO typed VALUES (1.5, 7, 0.1, '2026-03-01 10:00:00.123456'), (2.5, 8, 'NaN', '2026-03-01'), "
        "(10.5, 9, 1e300, '2026-03-02')",
    )
    url = f"postgresql://127.0.0.1:{database.port}/plant/public.typed?watermark=id&overlap=0"
    options = {"user": "sinet", "password": database.password}
    pull(url, home, options)
    rows = landed_frame(home).sort("unit").select("unit", "speed_rpm", "recorded_at").rows()
    assert [row[:2] for row in rows] == [("7", 0.1), ("8", None), ("9", 1e300)]
    assert rows[0][2] == datetime(2026, 3, 1, 10, 0, 0, 123456, UTC)
    database.execute("INSERT INTO typed VALUES (9.5, 5, 1, '2026-03-02'), (10.75, 6, 1, '2026-03-02')")
    assert pull(url, home, options).totals.rows == 1  # 9.5 is before the watermark, and the overlap is 0


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz", "smallint", "bigint", "numeric"])
def test_each_kind_of_watermark_separates_new_rows_of_a_view(database, home, kind):
    is_number = kind in ("smallint", "bigint", "numeric")
    first, second, third = (1, 2, 3) if is_number else ("2026-03-01", "2026-03-02", "2026-03-03")
    table = f"by_{kind}_{next(NUMBERS)}"
    row = f"INSERT INTO {table} VALUES (%s, %s, 1, '2026-03-01T00:00:00Z')"
    database.execute(
        f"CREATE TABLE {table} (mark {kind}, machine varchar(10), speed real, at timestamptz)",
        f"CREATE VIEW {table}_view AS SELECT mark, machine AS unit, speed AS speed_rpm, at AS recorded_at FROM {table}",
        (row, (first, "M1")),
        (row, (second, "M2")),
    )
    url = f"postgresql://127.0.0.1:{database.port}/plant/public.{table}_view?watermark=mark&overlap=0"
    options = {"user": "sinet", "password": database.password}
    assert pull(url, home, options).totals.rows == 2
    database.execute((row, (second, "M3")), (row, (third, "M4")))
    made = pull(url, home, options)
    assert (made.totals.rows, made.source.notes.repeated) == (2, 2 if kind == "date" else 1)  # a date: the day before
    assert landed(home) == units(1, 5)


def test_a_row_of_yesterday_that_commits_after_midnight_lands_where_the_watermark_is_a_date(database, home):
    table = f"days_{next(NUMBERS)}"
    row = f"INSERT INTO {table} VALUES (%s, %s, 1, '2026-03-01T23:59:00Z')"
    database.execute(
        f"CREATE TABLE {table} (mark date, unit text, speed_rpm real, recorded_at timestamptz)",
        (row, ("2026-03-02", "today")),
    )
    url = f"postgresql://127.0.0.1:{database.port}/plant/public.{table}?watermark=mark"
    options = {"user": "sinet", "password": database.password}
    pull(url, home, options)
    database.execute((row, ("2026-03-01", "late")))
    pull(url, home, options)
    assert landed(home) == ["late", "today"]


def test_a_row_that_changes_is_another_row_without_a_key_and_counted_with_one(outside, home):
    outside.add(some_rows(0, 3))
    keyed = by(outside, "watermark=id&key=unit,recorded_at")
    pull(keyed, home, outside.options)
    outside.database.execute(f"UPDATE {outside.table} SET speed_rpm = '9' WHERE unit = 'M1'")
    made = pull(keyed, home, outside.options)
    assert (made.totals.rows, made.source.notes.changed, made.source.notes.repeated) == (0, 1, 2)
    other = home.with_name("other")
    other.mkdir()
    pull(outside.url, other, outside.options)
    outside.database.execute(f"UPDATE {outside.table} SET speed_rpm = '10' WHERE unit = 'M1'")
    assert pull(outside.url, other, outside.options).totals.rows == 1


def test_the_state_forgets_rows_before_the_overlap(outside, home):
    outside.add(some_rows(0, 50))
    pull(by(outside, "watermark=id&overlap=10"), home, outside.options)
    (state,) = (home / "EAST/landing/plant/_pulled").glob("*.json")
    saved = json.loads(state.read_text())["position"]
    assert (saved["watermark"], saved["last"], len(saved["seen"])) == ("id", "50", 11)


def test_a_longer_overlap_lands_no_row_a_second_time(outside, home):
    outside.add(some_rows(0, 50))
    pull(by(outside, "watermark=id&overlap=10"), home, outside.options)
    outside.add(some_rows(50, 52))
    made = pull(by(outside, "watermark=id&overlap=30"), home, outside.options)
    assert (made.totals.rows, landed(home)) == (2, units(0, 52))
    outside.add(some_rows(52, 53))
    made = pull(by(outside, "watermark=id&overlap=30"), home, outside.options)
    assert (made.totals.rows, made.source.notes.repeated) == (1, 13)  # from 40 on, where the first pull began


def test_names_are_quoted(database, home):
    table = 'x"; DROP TABLE rows; -- 50%s'
    odd = TableOutside(database, table)
    odd.add(some_rows(0, 2))
    database.execute('ALTER TABLE "x""; DROP TABLE rows; -- 50%s" RENAME id TO "i""d %s"')
    url = odd.url.replace(";", "%3B").replace("50%s", "50%25s").partition("?")[0] + "?watermark=i%22d%20%25s"
    pull(url, home, odd.options)
    assert landed(home) == units(0, 2)


def test_a_wrong_password_is_one_sentence_without_it(outside, home):
    with pytest.raises(ForbiddenError, match="password authentication failed") as found:
        pull(outside.url, home, {"user": "sinet", "password": "hunter2"})
    assert "hunter2" not in str(found.value)


def test_a_user_without_rights_is_refused(outside, home):
    outside.database.execute(f"CREATE USER guest_{outside.table} PASSWORD 'guest'")
    with pytest.raises(ForbiddenError, match="permission denied for table .*; grant SELECT"):
        pull(outside.url, home, {"user": f"guest_{outside.table}", "password": "guest"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DROP TABLE {table}", "there is no table public.rows_"),
        ("ALTER TABLE {table} DROP speed_rpm", "has no column speed_rpm .found: id, unit, recorded_at"),
        ("ALTER TABLE {table} DROP id", "has no column id"),
        ("ALTER TABLE {table} ALTER id TYPE text", "the watermark id is of type text .allowed: timestamp"),
    ],
)
def test_a_table_that_changes_between_two_pulls_is_one_sentence(outside, home, change, words):
    outside.add(some_rows(0, 2))
    pull(outside.url, home, outside.options)
    outside.database.execute(change.format(table=outside.table))
    with pytest.raises(SourceError, match=words):
        pull(outside.url, home, outside.options)
    assert landed(home) == units(0, 2)


def test_another_watermark_or_key_of_a_known_table_is_refused(outside, home):
    outside.add(some_rows(0, 2))
    pull(outside.url, home, outside.options)
    for query, words in (
        ("watermark=recorded_at", "recorded_at and no column"),
        ("watermark=id&key=unit", "id and unit"),
    ):
        with pytest.raises(SourceError, match=f"was read by the watermark id and the key no column, not by {words}"):
            pull(by(outside, query), home, outside.options)


def test_a_database_that_does_not_exist_is_one_sentence(outside, home):
    with pytest.raises(SourceError, match='database "nowhere" does not exist; correct the URL'):
        pull(outside.url.replace("/plant/", "/nowhere/"), home, outside.options)


def test_a_connection_that_is_ended_while_rows_are_read_loses_nothing(outside, home, monkeypatch):
    outside.add(some_rows(0, 9))
    monkeypatch.setattr(postgresql, "PART_ROWS", 3)
    monkeypatch.setattr(postgresql, "FETCHED", 3)
    real, parts = postgresql.TableSource._part, []

    def ending(self, *arguments):
        parts.append(real(self, *arguments))
        if len(parts) == 2:
            outside.database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sinet pull'"
            )
        return parts[-1]

    with monkeypatch.context() as patch:
        patch.setattr(postgresql.TableSource, "_part", ending)
        with pytest.raises(UnreachableError, match="went away: .*; try again"):
            pull(outside.url, home, outside.options)
    assert landed(home) == units(0, 6)
    pull(outside.url, home, outside.options)
    assert landed(home) == units(0, 9)
