"""The first day of a new home: set back until every pull that began with it is complete."""

import json
import threading
from datetime import date, timedelta

import pytest

from sinet_pipelines.ingestion.connectors.first_day import FirstDay
from sinet_pipelines.ingestion.record import read_first_days
from sinet_pipelines.storage.layout import record_copy, record_file

MARCH = date(2026, 3, 1)


def first_day(home, pull="EAST/a", wanted=None):
    return FirstDay(home, "plant", pull=pull, wanted=wanted)


def test_pulls_at_the_same_time_lose_no_day_of_each_other(tmp_path):
    begin = threading.Barrier(8)

    def run(number):
        begin.wait()
        first_day(tmp_path, f"EAST/{number}").including([MARCH + timedelta(days=number)])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    found = json.loads(record_file(tmp_path, "plant").read_text())
    assert (found["first_day"], found["open_pulls"]) == ("2026-03-01", [f"EAST/{number}" for number in range(8)])


def test_the_day_is_final_when_the_last_pull_is_complete(tmp_path):
    pulls = [first_day(tmp_path, name) for name in ("EAST/a", "EAST/b")]
    for number, one in enumerate(pulls):
        one.including([MARCH + timedelta(days=9 - number)])
    pulls[0].close()
    assert pulls[1].including([MARCH + timedelta(days=5)]) == MARCH + timedelta(days=5)
    pulls[1].close()
    assert first_day(tmp_path).including([MARCH]) == MARCH + timedelta(days=5)
    assert record_file(tmp_path, "plant").read_bytes() == record_copy(tmp_path, "plant").read_bytes()


@pytest.mark.parametrize("later", [MARCH, MARCH - timedelta(days=400)])
def test_a_given_first_day_is_final(tmp_path, later):
    first_day(tmp_path, wanted=MARCH).including([MARCH + timedelta(days=9)])
    assert first_day(tmp_path).including([later]) == MARCH
    assert read_first_days(tmp_path) == {"plant": MARCH}


def test_a_record_of_another_landing_is_kept_with_its_fields(tmp_path):
    path = record_file(tmp_path, "plant")
    path.parent.mkdir()
    path.write_text('{"first_day": "2026-03-05", "seed": 7}')  # no name: edited by hand
    one = first_day(tmp_path)
    assert one.including([MARCH]) == date(2026, 3, 5)
    one.close()
    assert json.loads(path.read_text()) == {"first_day": "2026-03-05", "seed": 7}


def test_a_pull_without_rows_makes_no_record(tmp_path):
    first_day(tmp_path).close()
    assert not record_file(tmp_path, "plant").exists()
