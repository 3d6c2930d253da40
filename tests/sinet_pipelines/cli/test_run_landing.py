"""What `sinet run` lands before it makes anything: the data that are given, simulated ones, or what the home has."""

from dataclasses import replace
from datetime import date

import dagster as dg
import pytest

from schedules.backfills import PlannedRun
from sinet_pipelines.applications.turbofan.source import land_folder
from sinet_pipelines.cli import land
from sinet_pipelines.cli.run import _land, _of_applications, _recognised, _require_known
from sinet_pipelines.errors import SourceError, UsageError
from sinet_pipelines.ingestion.delivery import LandReport, Order, Source
from sinet_pipelines.ingestion.record import read_records, write_record
from tests.inventory import NAMES

FIRST = date(2026, 3, 1)


def mill_of(form="mill.csv"):
    """The source of a second application, whose folders have one file; it keeps a record and lands no row."""

    def deliver(order):
        name = order.folder.name if order.folder else "simulated"
        fields = {"name": name, "simulated": order.folder is None, "first_day": FIRST}
        source.reports.append(order)
        write_record(order.home, "mill", fields, source.parse)
        return LandReport(order.home, "mill", name, order.folder is None, (), ("EAST",), FIRST, FIRST, 3, 1, 1, 1)

    class Kept(Source):
        reports = []  # noqa: RUF012 - of this source alone

    source = Kept({"mill": form}, lambda at: "mill" if (at / form).exists() else None, lambda _: (), deliver)
    return source


@pytest.fixture
def two(monkeypatch):
    """Turbofan, and a second application."""
    mill, known = mill_of(), land.sources()
    monkeypatch.setattr(land, "sources", lambda: {**known, "mill": mill})
    return mill


def test_a_home_with_real_data_gets_no_simulated_data_of_another_application(two, small_cmapss, tmp_path):
    land_folder(small_cmapss, home=tmp_path, regions=NAMES)
    first = read_records(tmp_path)["turbofan"].first_day
    assert _land(Order(tmp_path, regions=NAMES), {}, ()) == [f"turbofan continues with small, landed from {first}"]
    assert two.reports == []


def test_a_folder_is_landed_by_the_applications_that_recognise_it_and_the_others_go_on(two, small_cmapss, tmp_path):
    data = tmp_path / "plant"
    data.mkdir()
    (data / "mill.csv").write_text("")
    home = tmp_path / "home"
    land_folder(small_cmapss, home=home, regions=NAMES)
    assert _recognised(data, ()) == {"mill": "mill"}
    found = _land(Order(home, data, regions=NAMES), {"mill": "mill"}, ())
    assert found[0].startswith("turbofan continues with small")
    assert found[1] == "mill from plant as laid out: 3 rows in 1 drop, 1 of them new"
    assert two.reports == [Order(home, data, form="mill", regions=NAMES)]
    assert _land(Order(home, regions=NAMES), {}, ["mill"]) == [f"mill continues with plant, landed from {FIRST}"]


def test_without_data_the_applications_that_are_named_simulate_theirs(two, tmp_path):
    assert _land(Order(tmp_path, regions=NAMES), {}, ["mill"]) == [
        "mill from simulated (simulated) as laid out: 3 rows in 1 drop, 1 of them new"
    ]
    assert list(read_records(tmp_path)) == ["mill"]


def test_a_folder_or_an_application_that_is_not_known_is_refused_before_there_is_a_home(two, small_cmapss, tmp_path):
    with pytest.raises(UsageError, match=r"no folder .*nowhere; name one in a format that is read \(cmapss: .*mill: "):
        _recognised(tmp_path / "nowhere", ())
    with pytest.raises(SourceError, match=r"no application recognises .* \(formats: mill: mill.csv\)"):
        _recognised(small_cmapss, ["mill"])
    with pytest.raises(UsageError, match=r"no application lathe \(known: turbofan"):
        _require_known(["turbofan", "lathe"])
    assert _recognised(small_cmapss, ()) == {"turbofan": "cmapss"}


def test_a_run_of_some_applications_makes_no_asset_of_another():
    mill, rows = dg.AssetKey(["mill", "model"]), dg.AssetKey(["EAST", "turbofan", "rows"])
    planned = [PlannedRun(frozenset({mill, rows}), (FIRST, FIRST)), PlannedRun(frozenset({rows}), None)]
    assert _of_applications(planned, ["mill"]) == [replace(planned[0], keys=frozenset({mill}))]
    assert _of_applications(planned, ()) == planned
