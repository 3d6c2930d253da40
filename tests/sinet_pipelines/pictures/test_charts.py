"""Charts of a model: what is drawn is what was given, and anything may be given."""

import io

import numpy as np
import pytest
from PIL import Image

from sinet_pipelines.errors import UsageError
from sinet_pipelines.pictures import charts
from sinet_pipelines.pictures.canvas import LARGEST_BYTES, data_uri
from tests.sinet_pipelines.pictures.axes import drawn, line, texts

NAN = np.nan
NAMES = ["trees", "network", "network INT8", "slow network"]


def many(n):
    true = np.random.default_rng(1).uniform(0, 125, n)
    return true, true + np.random.default_rng(2).normal(0, 12, n)


TRUE, PREDICTED = many(20_000)
EVERY_CHART = {
    "error_against_truth": lambda: charts.error_against_truth(TRUE, PREDICTED),
    "predicted_against_true": lambda: charts.predicted_against_true(
        TRUE, PREDICTED, lower_B=PREDICTED - 20, upper_B=PREDICTED + 20
    ),
    "learning_curves": lambda: charts.learning_curves([3, 2, 1], [4, 3, 3.5], chosen_epoch=2),
    "calibration": lambda: charts.calibration([0.5, 0.9], [0.4, 0.92], n=100),
    "coverage_by_predicted": lambda: charts.coverage_by_predicted(PREDICTED, abs(TRUE - PREDICTED) < 20, level=0.9),
    "pareto": lambda: charts.pareto(
        NAMES, [11, 12, 12.1, 13], [2e6, 3e5, 8e4, 9e5], [0.1, 0.3, 0.2, 1], chosen="trees"
    ),
}
NOTHING = {
    "error_against_truth": lambda: charts.error_against_truth([], []),
    "predicted_against_true": lambda: charts.predicted_against_true([NAN], [1.0], lower_B=[NAN], upper_B=[NAN]),
    "learning_curves": lambda: charts.learning_curves([], []),
    "calibration": lambda: charts.calibration([], [], n=0),
    "coverage_by_predicted": lambda: charts.coverage_by_predicted([], [], level=0.9),
    "pareto": lambda: charts.pareto([], [], [], []),
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
    panels = drawn(monkeypatch, charts, NOTHING[name])["panels"]
    assert all(texts(axes) == ["nothing to show yet"] for axes in panels)


@pytest.mark.parametrize("name", EVERY_CHART)
def test_axes_carry_their_unit(monkeypatch, name):
    panels = drawn(monkeypatch, charts, EVERY_CHART[name])["panels"]
    labels = [label for axes in panels for label in (axes.get_xlabel(), axes.get_ylabel()) if label]
    units = ("(cycles)", "(%)", "(kB)", "(ms)", "epoch")
    assert labels
    assert all(label.endswith(units) for label in labels)


def test_errors_are_predicted_less_true_with_the_mean_of_every_ten_cycles(monkeypatch):
    kept = drawn(monkeypatch, charts, lambda: charts.error_against_truth([1, 9, 25, 7], [3, 13, 20, NAN]))
    (axes,) = kept["panels"]
    assert line(axes, "one prediction") == ([1, 9, 25], [2, 4, -5])
    assert line(axes, "mean of 10 cycles") == ([5, 25], [3, -5])  # cycles 0 to 9: (2 + 4) / 2; 20 to 29: -5
    assert kept["note"] == "1 left out: no number"


def test_intervals_that_miss_the_truth_are_crossed_and_counted(monkeypatch):
    def make():
        return charts.predicted_against_true([10, 50, 90], [12, 30, 90], lower_B=[5, 20, NAN], upper_B=[15, 40, NAN])

    (axes,) = drawn(monkeypatch, charts, make)["panels"]
    labels = [collection.get_label() for collection in axes.collections]
    assert labels == ["1 of 2 intervals contain the truth", "1 do not"]
    crosses = [one for one in axes.lines if one.get_marker() == "x"]
    assert [(list(one.get_xdata()), list(one.get_ydata())) for one in crosses] == [([50], [30])]
    assert line(axes, "one prediction") == ([10, 50, 90], [12, 30, 90])


def test_epochs_count_from_one_and_the_chosen_one_is_marked(monkeypatch):
    (axes,) = drawn(monkeypatch, charts, EVERY_CHART["learning_curves"])["panels"]
    assert line(axes, "learnt from") == ([1, 2, 3], [3, 2, 1])
    assert line(axes, "never seen") == ([1, 2, 3], [4, 3, 3.5])
    assert line(axes, "chosen: epoch 2")[0] == [2, 2]


def test_calibration_is_drawn_by_rising_promise_in_percent(monkeypatch):
    (axes,) = drawn(monkeypatch, charts, lambda: charts.calibration([0.9, 0.5], [0.92, 0.4], n=100))["panels"]
    assert line(axes, "measured") == ([50, 90], [40, 92])


def test_coverage_is_counted_in_bins_of_equally_many_predictions(monkeypatch):
    predicted, covered = np.arange(12), np.arange(12) % 4 != 0  # bins of two: (0, 1), (2, 3), ...

    def make():
        return charts.coverage_by_predicted(predicted[::-1], covered[::-1], level=0.9)

    (axes,) = drawn(monkeypatch, charts, make)["panels"]
    assert line(axes, "measured")[1] == [50, 100, 50, 100, 50, 100]
    assert axes.get_xticklabels()[0].get_text() == "0 to 1\nn = 2"


def test_the_line_of_a_pareto_joins_what_no_other_beats_in_both(monkeypatch):
    size, p50 = drawn(monkeypatch, charts, EVERY_CHART["pareto"])["panels"]
    assert (list(size.lines[0].get_xdata()), list(size.lines[0].get_ydata())) == ([80, 300, 2000], [12.1, 12, 11])
    assert (list(p50.lines[0].get_xdata()), list(p50.lines[0].get_ydata())) == ([0.1], [11])  # best in both


def test_the_chosen_point_of_a_pareto_is_a_filled_square_and_every_point_has_its_name(monkeypatch):
    for axes in drawn(monkeypatch, charts, EVERY_CHART["pareto"])["panels"]:
        marks = [(one.get_marker(), one.get_fillstyle()) for one in axes.lines[1:]]
        assert marks == [("s", "full"), *[("o", "none")] * 3]
        assert sorted(texts(axes)) == sorted(NAMES)


def test_names_of_a_pareto_that_stand_together_do_not_cover_each_other(monkeypatch):
    def make():
        return charts.pareto(["a model", "its twin"], [11.0, 11.0], [1e6, 1e6], [0.2, 0.2])

    for axes in drawn(monkeypatch, charts, make)["panels"]:
        first, second = (text.get_position()[1] for text in axes.texts)
        assert abs(first - second) * axes.figure.dpi / 72 >= 18


def test_columns_that_do_not_belong_together_are_refused():
    with pytest.raises(UsageError, match="equal lengths"):
        charts.error_against_truth([1.0], [1.0, 2.0])
