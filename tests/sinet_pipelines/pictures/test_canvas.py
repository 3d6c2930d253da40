"""The sheet: small pictures, the same bytes each time, and nothing left behind in matplotlib."""

import base64
import io
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from sinet_pipelines.errors import UsageError
from sinet_pipelines.pictures.canvas import LARGEST_BYTES, data_uri, markdown_image, picture, together


def cloud_of(n, *, title="a cloud"):
    x, y = np.random.default_rng(0).normal(size=(2, n))
    return picture(lambda panels: panels[0].plot(x, y, "o"), title=title)


def test_a_picture_is_a_small_png_of_few_colours():
    png = cloud_of(500)
    with Image.open(io.BytesIO(png)) as opened:
        assert (opened.format, opened.size, opened.mode) == ("PNG", (792, 462), "P")
        assert not opened.info.keys() & {"Software", "Creation Time", "tIME"}
    assert len(data_uri(png)) <= LARGEST_BYTES


def test_a_crowded_picture_is_told_in_fewer_colours_and_still_fits():
    noise = np.random.default_rng(0).random((40, 60))
    assert len(data_uri(picture(lambda panels: panels[0].imshow(noise), title="noise"))) <= LARGEST_BYTES


def test_equal_numbers_give_equal_bytes_and_others_give_others():
    assert cloud_of(50) == cloud_of(50)
    assert cloud_of(50) != cloud_of(51)


def test_a_users_settings_of_matplotlib_are_neither_used_nor_changed():
    plain = cloud_of(20)
    with matplotlib.rc_context({"font.size": 30.0, "axes.facecolor": "black"}):
        assert cloud_of(20) == plain
        assert matplotlib.rcParams["font.size"] == 30.0


def test_a_picture_needs_no_pyplot_and_importing_the_hall_no_matplotlib():
    code = (
        "import sys\n"
        "from sinet_pipelines.pictures import canvas, charts, page, sparkline, watch\n"
        "assert 'matplotlib' not in sys.modules and 'PIL' not in sys.modules\n"
        "charts.error_against_truth([1.0], [2.0])\n"
        "watch.rul_by_region({'EAST': [1.0]})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_markdown_image_holds_the_picture_itself():
    png = cloud_of(5)
    found = markdown_image(png, label="a [cloud]")
    head, _, tail = found.partition("base64,")
    assert head == "![a cloud](data:image/png;"
    assert base64.b64decode(tail.removesuffix(")")) == png


def test_columns_lose_rows_in_which_one_is_no_number_and_say_how_many():
    (a, b), note = together(a=[1.0, np.nan, 3.0, 4.0], b=[5.0, 6.0, np.inf, 8.0])
    assert (a.tolist(), b.tolist(), note) == ([1.0, 4.0], [5.0, 8.0], "2 left out: no number")
    assert together(a=[1.0], b=[2.0])[1] == ""


def test_columns_of_other_lengths_are_refused_in_a_sentence():
    with pytest.raises(UsageError, match=r"true_B has 2, predicted_B has 3 \(allowed: equal lengths\); pass"):
        together(true_B=[1.0, 2.0], predicted_B=[1.0, 2.0, 3.0])
