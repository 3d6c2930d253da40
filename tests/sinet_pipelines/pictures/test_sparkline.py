"""Sparklines: always short, always an SVG, and their words say what the line says."""

import math
import re
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.pictures.sparkline import (
    HEIGHT,
    LIMIT_COLOUR,
    LONGEST,
    MOST_POINTS,
    SERIES_COLOUR,
    WIDTH,
    bars,
    sparkline,
)

SVG = "{http://www.w3.org/2000/svg}"
ANY_SERIES = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=300)
ANY_LIMIT = st.none() | st.floats(allow_nan=False, allow_infinity=False)


def picture_in(markdown):
    """The alternative text, the SVG's root and the words of a markdown image that stands alone."""
    found = re.fullmatch(r"!\[([^\[\]]*)\]\(data:image/svg\+xml,([^\s()<>\"]+)\) (.+)", markdown)
    assert found, markdown
    return found[1], ElementTree.fromstring(unquote(found[2])), found[3]


def paths(root):
    return [path.get("d") for path in root.iter(f"{SVG}path")]


def points(path):
    """Runs of a line: each a list of its pixels."""
    runs = path.removesuffix("h0").replace("h0", "").split("M")[1:]
    numbers = [list(map(int, run.split(","))) for run in runs]
    return [list(zip(run[::2], run[1::2], strict=True)) for run in numbers]


@pytest.mark.parametrize("draw", [sparkline, bars])
@given(series=ANY_SERIES, label=st.text(), unit=st.text(), limit=ANY_LIMIT)
def test_whatever_is_given_it_is_short_and_well_formed(draw, series, label, unit, limit):
    found = draw(series, label=label, unit=unit, limit=limit)
    assert len(found) < LONGEST
    if any(map(math.isfinite, series)):
        _, root, _ = picture_in(found)
        assert root.tag == f"{SVG}svg"
        assert re.fullmatch(r"[MVh,\d-]*", "".join(paths(root)))  # whole pixels alone
    else:
        assert found.endswith(": no value yet")


@given(series=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=500))
def test_a_line_has_sixty_points_at_most_and_stays_inside(series):
    _, root, _ = picture_in(sparkline(series, label="x"))
    (run,) = points(paths(root)[0])
    assert len(run) == min(len(series), MOST_POINTS)
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in run)
    assert [x for x, _ in run] == sorted({x for x, _ in run})


def test_least_and_most_touch_bottom_and_top():
    _, root, _ = picture_in(sparkline([0.0, 10.0, 5.0], label="x"))
    ((_, low), (_, high), (_, middle)) = points(paths(root)[0])[0]
    assert low > middle > high
    assert (low + high) / 2 == middle


def test_what_is_missing_is_a_gap():
    _, root, _ = picture_in(sparkline([1.0, 2.0, math.nan, 4.0, math.inf, 3.0, 3.0], label="x"))
    assert [len(run) for run in points(paths(root)[0])] == [2, 1, 2]


def test_many_values_are_drawn_as_means_and_told_as_they_are():
    series = [0.0] * 119 + [10.0]  # the last of 60 pairs is (0, 10): its mean is half of the most
    _, root, words = picture_in(sparkline(series, label="x", limit=10.0))
    *_, before, last = points(paths(root)[0])[0]
    limit = int(re.match(r"M0,(\d+)h", paths(root)[1])[1])
    assert (before[1] + limit) / 2 == last[1]
    assert words == "last **10** (0 to 10); limit 10"


def test_a_constant_series_is_level_and_one_value_is_a_dot():
    _, root, words = picture_in(sparkline([7.0] * 5, label="x"))
    assert {y for _, y in points(paths(root)[0])[0]} == {HEIGHT // 2}
    assert words == "last **7** (7 to 7)"
    _, root, _ = picture_in(sparkline([7.0], label="x"))
    assert points(paths(root)[0]) == [[(WIDTH // 2, HEIGHT // 2)]]
    assert len(list(root.iter(f"{SVG}circle"))) == 1


def test_a_last_value_that_is_missing_is_said_to_be():
    assert picture_in(sparkline([1.0, math.nan], label="x", unit="ms"))[2] == "last **missing** (1 to 1)"


def test_no_value_is_said_in_words():
    assert sparkline([], label="rows") == sparkline([math.nan], label="rows") == "rows: no value yet"


def test_a_label_stays_inside_its_brackets():
    alternative, _, _ = picture_in(sparkline([1.0], label="a](http://x) ![b *c* <script> | `d`"))
    assert alternative == "a http://x b c script d"


def test_a_bar_stands_for_each_value_and_none_for_zero():
    _, root, words = picture_in(bars([4.0, 0.0, 2.0], label="rows by day", unit="rows"))
    heights = [int(floor) - int(top) for floor, top in re.findall(r"M\d+,(\d+)V(\d+)", paths(root)[0])]
    assert heights == [30, 15]
    assert words == "last **2** rows (0 to 4)"


@pytest.mark.parametrize("back", ["#ffffff", "#171a23"])  # the page's light and dark
@pytest.mark.parametrize("front", [SERIES_COLOUR, LIMIT_COLOUR])
def test_colours_stand_out_from_light_and_from_dark(front, back):
    """Contrast of WCAG 2.1, at least 3 for graphical objects."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(front), luminance(back)))
    assert (lighter + 0.05) / (darker + 0.05) > 3
