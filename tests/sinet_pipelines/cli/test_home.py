"""Homes: found from anywhere in a checkout, one of them current, each held by one run at a time."""

from pathlib import Path

import pytest

from sinet_pipelines.cli import home as homes
from sinet_pipelines.errors import BusyError, StorageError, UsageError
from sinet_pipelines.storage.layout import record_file


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "workspace.yaml").write_text("load_from: []\n")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.delenv("SINET_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    return tmp_path


def with_fleet(home):
    record_file(home, "turbofan").parent.mkdir(parents=True)
    record_file(home, "turbofan").write_text("{}")
    return home


def test_the_checkout_is_found_from_a_folder_within(checkout):
    assert homes.find_project() == checkout.resolve()


def test_a_folder_outside_any_checkout_says_what_to_do(tmp_path_factory, monkeypatch):
    monkeypatch.delenv("SINET_PROJECT", raising=False)
    with pytest.raises(UsageError, match="go to a checkout or name one with --project"):
        homes.find_project(tmp_path_factory.mktemp("nowhere"))


def test_a_project_in_the_environment_that_is_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SINET_PROJECT", str(tmp_path))
    with pytest.raises(UsageError, match="has no workspace.yaml"):
        homes.find_project()


def test_the_home_made_current_is_the_one_other_commands_mean(checkout):
    first, second = (with_fleet(checkout / ".sinet" / name) for name in ("simulated", "cmapss"))
    homes.make_current(first)
    homes.make_current(second)
    assert homes.current_home() == second.resolve()
    assert homes.current_home(first) == first.resolve()


def test_a_folder_that_stands_where_the_link_should_be_is_moved_aside_with_what_is_in_it(checkout):
    stray = checkout / ".sinet" / "current"
    (stray / "dagster").mkdir(parents=True)
    homes.make_current(with_fleet(checkout / ".sinet" / "simulated"))
    assert homes.current_home().name == "simulated"
    assert [path.name for path in (checkout / ".sinet").glob("before-first-run-*/*")] == ["dagster"]


def test_the_current_home_of_a_checkout_that_was_moved_is_still_current(checkout, monkeypatch):
    homes.make_current(with_fleet(checkout / ".sinet" / "simulated"))
    moved = checkout.rename(checkout.with_name("moved plant #2"))
    monkeypatch.chdir(moved)
    assert homes.current_home() == (moved / ".sinet" / "simulated").resolve()


def test_a_home_whose_tables_could_not_be_read_is_not_made(tmp_path):
    with pytest.raises(StorageError, match="rename the folder, or name another with --home"):
        homes.make_home(tmp_path / "50%25 off")
    assert not any(tmp_path.iterdir())


def test_before_any_run_the_current_home_says_what_to_do(checkout):
    with pytest.raises(UsageError, match="`sinet run` makes a simulated one"):
        homes.current_home()


def test_a_home_is_held_by_one_run_and_names_it(checkout):
    home = homes.make_home(checkout / ".sinet" / "simulated")
    with (
        homes.held(home),
        pytest.raises(BusyError, match="another `sinet run` \\(process \\d+\\) is in progress"),
        homes.held(home),
    ):
        pass
    with homes.held(home):
        assert (home / homes.RUN_LOCK).exists()


def test_a_home_where_a_file_stands_cannot_be_made(checkout):
    Path("in-the-way").write_text("")
    with pytest.raises(StorageError, match="cannot be made"):
        homes.make_home(Path("in-the-way") / "home")
