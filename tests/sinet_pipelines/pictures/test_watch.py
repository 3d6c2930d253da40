"""Charts of a fleet: regions told apart, silent and drifted days marked."""

import io
from datetime import date, timedelta

import numpy as np
import pytest
from PIL import Image

from sinet_pipelines.pictures import watch
from sinet_pipelines.pictures.canvas import LARGEST_BYTES, data_uri
from tests.sinet_pipelines.pictures.axes import drawn, line, texts

DAYS = [date(2026, 10, 1) + timedelta(days=number) for number in range(60)]
REGIONS = ("EAST", "WEST", "NULL_ISLAND")
EVERY_CHART = {
    "drift": lambda: watch.drift_by_day(
        {region: dict(zip(DAYS, np.random.default_rng(0).random(60), strict=True)) for region in REGIONS},
        drifted={"WEST": DAYS[50:]},
    ),
    "rows": lambda: watch.rows_by_day(DAYS, np.arange(60) * 10, usual=300),
    "lives": lambda: watch.rul_by_region({region: np.random.default_rng(1).uniform(0, 125, 99) for region in REGIONS}),
}
NOTHING = {
    "drift": lambda: watch.drift_by_day({"EAST": {}}),
    "rows": lambda: watch.rows_by_day([], []),
    "lives": lambda: watch.rul_by_region({"EAST": []}),
}


@pytest.mark.parametrize("name", EVERY_CHART)
def test_a_chart_is_a_small_picture_and_the_same_each_time(name):
    png = EVERY_CHART[name]()
    with Image.open(io.BytesIO(png)) as opened:
        assert opened.format == "PNG"
    assert len(data_uri(png)) <= LARGEST_BYTES
    assert EVERY_CHART[name]() == png


@pytest.mark.parametrize("name", NOTHING)
def test_a_chart_of_nothing_says_so(monkeypatch, name):
    assert NOTHING[name]()
    (axes,) = drawn(monkeypatch, watch, NOTHING[name])["panels"]
    assert "nothing to show yet" in texts(axes)


def test_a_region_has_a_colour_a_mark_and_a_line_of_its_own(monkeypatch):
    (axes,) = drawn(monkeypatch, watch, EVERY_CHART["drift"])["panels"]
    lines = [one for one in axes.lines if one.get_label() in REGIONS]
    for look in ("get_color", "get_marker", "get_linestyle"):
        assert len({getattr(one, look)() for one in lines}) == len(REGIONS)


def test_days_come_in_order_and_drifted_ones_carry_a_cross(monkeypatch):
    worst = {"EAST": {DAYS[2]: 3.0, DAYS[0]: 0.5, DAYS[1]: 1.5}}
    (axes,) = drawn(monkeypatch, watch, lambda: watch.drift_by_day(worst, drifted={"EAST": [DAYS[2]]}))["panels"]
    days, ratios = line(axes, "EAST")
    assert (days[1] - days[0], days[2] - days[1], ratios) == (1, 1, [0.5, 1.5, 3.0])
    assert line(axes, "drifted") == ([days[2]], [3.0])
    assert line(axes, "limit")[1] == [1.0, 1.0]


def test_silent_days_carry_a_cross_and_are_counted(monkeypatch):
    (axes,) = drawn(monkeypatch, watch, lambda: watch.rows_by_day(DAYS[:4], [5, 0, 7, 0]))["panels"]
    assert [bar.get_height() for bar in axes.patches] == [5, 0, 7, 0]
    assert line(axes, "silent: 2")[1] == [0, 0]


def test_every_engine_is_a_dot_and_the_median_is_told(monkeypatch):
    kept = drawn(monkeypatch, watch, lambda: watch.rul_by_region({"EAST": [30, 10, np.nan, 50], "WEST": [7]}))
    (axes,) = kept["panels"]
    assert [list(one.get_xdata()) for one in axes.lines] == [[10, 30, 50], [7]]
    assert texts(axes) == ["median 30", "median 7"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["EAST\nn = 3", "WEST\nn = 1"]
    assert kept["note"] == "1 left out: no number"
