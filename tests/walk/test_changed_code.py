"""A walked home meets changed sources: what these decide is made again, nothing else, and no error of a schema."""

import json
import shutil

import pytest

from tests.conftest import CHECKOUT, PROJECT_PARTS
from tests.walk.conftest import run_sinet
from tests.walk.homes import copy_home

pytestmark = pytest.mark.slow

BOUND = 'Column("t2_degr", _F, "total temperature at fan inlet", "degR", 380.0, 620.0)'


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose sources may be edited."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for part in PROJECT_PARTS:
        source = CHECKOUT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    return folder


@pytest.fixture
def edit(checkout):
    def change(file, old, new):
        path = checkout / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return change


@pytest.fixture
def walk(checkout, walked, tmp_path, monkeypatch):
    """Walks a copy of the walked home with the edited sources; the assets that were made."""
    home = copy_home(walked, tmp_path / "home")
    monkeypatch.setattr("tests.walk.conftest.CHECKOUT", checkout)

    def walk():
        ended = run_sinet(checkout, "run", "--home", home, "--json")
        return {asset.rpartition("/")[2] for asset in json.loads(ended.stdout)["made"]}

    yield walk
    run_sinet(checkout, "stop", "--home", home, check=False)


def test_a_changed_bound_and_a_changed_function_are_followed_and_a_changed_command_is_not(walk, edit):
    edit("sinet_pipelines/cli/progress.py", '"""', '"""Other words. ')
    edit("sinet_pipelines/applications/turbofan/features/windows.py", "CHUNK_ROWS = ", "# a comment\nCHUNK_ROWS = ")
    assert walk() == {"endpoint"}  # the copy of the home had no server
    edit("sinet_pipelines/applications/turbofan/schemas/telemetry.py", BOUND, BOUND.replace("620.0", "621.0"))
    edit("sinet_pipelines/training/conformal.py", "SMALLEST = ", "SMALLEST = 0.0 + ")
    made = walk()
    assert {"raw_telemetry", "validated_telemetry", "gradient_boosting", "average"} <= made
    assert walk() == set()
