"""One home removes data of a root: a copy of the home, and a home with a link to another, remove nothing there."""

import shutil

import pytest

from sinet_pipelines.errors import UsageError
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.retention.owner import FILE, claim, identify, identity_of, why_held
from sinet_pipelines.retention.places import Place
from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.storage.backup import restore_backup, write_backup
from sinet_pipelines.storage.roots import settle_roots
from tests.sinet_pipelines.retention.conftest import Store, names
from tests.sinet_pipelines.storage.test_roots import Row


@pytest.fixture
def outside(tmp_path):
    """A home whose EAST has a root outside of it, with an unneeded blob."""
    home = tmp_path / "a home #1"
    home.mkdir()
    settle_roots(home, [Row("EAST", Root(str(tmp_path / "plant")))])
    found = Store(home)
    found.blobs.put(b"graph")
    return found


def copied(store):
    target = store.home.with_name("copy")
    shutil.copytree(store.home, target, symlinks=True)
    return Store(target)


def test_nothing_of_a_root_outside_of_the_home_goes_until_the_home_claims_it(outside):
    found = outside.retain(0, 31)
    assert found.removed == ()
    assert any("`sinet retain --claim EAST`" in note for note in found.plan.notes)
    assert outside.plan(days=62).kept[0].reasons == ("unneeded for less than 30 days",)  # no period has begun
    claim(Place(outside.home, "EAST"))
    assert len(names(outside.retain(62, 93).removed, Kind.BLOBS)) == 1


def test_a_copy_of_the_home_that_claimed_a_root_removes_nothing_there(outside):
    claim(Place(outside.home, "EAST"))
    outside.retain(0)
    copy = copied(outside)
    found = copy.retain(31, 62)
    assert found.removed == ()
    assert "another home" in found.plan.notes[0]
    assert len(outside.retain(63).removed) == 1


def test_a_copy_of_a_home_begins_all_periods_again(plain):
    plain.blobs.put(b"graph")
    plain.retain(0)
    copy = copied(plain)
    assert copy.retain(31).removed == ()
    assert len(copy.retain(62).removed) == 1


def test_a_restored_home_begins_all_periods_again(plain, tmp_path):
    first = plain.train(1.0)
    plain.train(2.0)
    plain.retain(0)
    archive, _ = write_backup(plain.home, tmp_path / "home.tar")
    assert names(plain.retain(31).removed, Kind.TRAINING_SETS) == [f"EAST/{first.name}"]
    restore_backup(archive, tmp_path / "restored")
    restored = Store(tmp_path / "restored")
    assert names(restored.retain(45, 70).removed, Kind.TRAINING_SETS) == []
    assert names(restored.retain(76).removed, Kind.TRAINING_SETS) == [f"EAST/{first.name}"]


def test_a_moved_home_keeps_its_periods(plain):
    plain.blobs.put(b"graph")
    plain.retain(0)
    moved = plain.home.with_name("moved")
    plain.home.rename(moved)
    assert len(Store(moved).retain(31).removed) == 1


@pytest.mark.parametrize("folder", ["EAST", "EAST/blobs", "EAST/feature", "EAST/feature/mill/training_set"])
def test_nothing_goes_from_a_folder_that_is_a_link_to_another_home(plain, tmp_path, folder):
    plain.train(1.0)
    plain.train(2.0)
    linked = Store(tmp_path / "linked")
    target = linked.home / folder
    target.parent.mkdir(parents=True)
    target.symlink_to(plain.home / folder)
    linked.blobs.put(b"graph")
    before = sorted(path for path in plain.home.rglob("*.parquet"))
    assert linked.retain(0, 31, 62).removed == ()
    assert sorted(plain.home.rglob("*.parquet")) == before


def test_a_region_with_a_link_cannot_be_claimed(plain, tmp_path):
    plain.blobs.put(b"graph")
    plain.blobs.root.rename(tmp_path / "moved")
    plain.blobs.root.symlink_to(tmp_path / "moved")
    with pytest.raises(UsageError, match=r"blobs is a link.*inventory\.yaml"):
        claim(Place(plain.home, "EAST"))


def test_a_copy_by_hard_links_has_no_identity(plain):
    plain.home.mkdir()
    assert identify(plain.home) == identity_of(plain.home) != ""
    (plain.home.parent / "linked").hardlink_to(plain.home / FILE)
    assert identity_of(plain.home) == ""


def test_a_folder_of_the_home_itself_needs_no_claim(plain):
    plain.train(1.0)
    assert why_held(Place(plain.home, "EAST")) == ""


def test_artifacts_and_output_behind_a_link_stay(plain, store):
    run = store.register(store.train(1.0)).run_id
    linked = Store(plain.home.with_name("linked"))
    linked.home.mkdir()
    shutil.copy(store.home / "mlflow.db", linked.home)
    (linked.home / "mlflow-artifacts").symlink_to(store.home / "mlflow-artifacts")
    assert names(store.look(store.log.oldest_start).things, Kind.MLFLOW_FILES)[0].startswith(run)
    assert names(linked.look(None).things, Kind.MLFLOW_FILES) == []
