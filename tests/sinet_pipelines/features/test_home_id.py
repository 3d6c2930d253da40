"""The id of a home on servers that several homes share."""

import shutil
from dataclasses import dataclass

import pytest

from sinet_pipelines.errors import StorageError
from sinet_pipelines.features.home_id import sender_id
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.storage.roots import settle_roots


@dataclass(frozen=True)
class Row:
    name: str
    root: Root | None


def sender(home, region="EAST"):
    return sender_id(home, region, folder=home / "feast")


def test_a_moved_home_keeps_its_id_and_a_copy_has_another(tmp_path):
    home = tmp_path / "my plant #1"
    (home / "EAST").mkdir(parents=True)
    (home / "WEST").mkdir()
    first = sender(home)
    assert first == sender(home) == sender(home, "WEST")
    shutil.copytree(home, tmp_path / "copy")
    assert sender(tmp_path / "copy") != first
    home.rename(tmp_path / "moved")
    assert sender(tmp_path / "moved") == first


def test_a_region_whose_root_is_outside_has_an_id_of_it_in_every_home(tmp_path):
    homes, outside = (tmp_path / "pod 1", tmp_path / "pod 2"), tmp_path / "east"
    outside.mkdir()
    for home in homes:
        home.mkdir()
        settle_roots(home, [Row("EAST", Root(str(outside))), Row("WEST", Root("s3://bucket/west"))])
    assert sender(homes[0]) == sender(homes[1]) != ""
    assert sender(homes[0], "WEST") == sender(homes[1], "WEST") != sender(homes[0])
    assert [path.name for path in outside.glob("[!.]*")] == []


def test_a_root_that_is_not_mounted_has_no_new_id(tmp_path):
    home, outside = tmp_path / "home", tmp_path / "volume"
    home.mkdir()
    settle_roots(home, [Row("EAST", Root(str(outside)))])
    with pytest.raises(StorageError, match="the root of EAST, .*, is no folder; mount it"):
        sender(home)
    assert not outside.exists()
