"""The roots of a home's regions, and the credentials that open them."""

from dataclasses import dataclass

import pytest

from sinet_pipelines.errors import InventoryError, StorageError
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.storage.credentials import FOLDER, credentials
from sinet_pipelines.storage.roots import FILE, access_options, root_of, settle_roots
from sinet_pipelines.storage.tables import tables_of

KEYS = {"access_key_id": "AKIAEAST", "secret_access_key": "s3cret-of-east"}


@dataclass(frozen=True)
class Row:
    name: str
    root: Root | None = None


STORED = Row("EAST", Root("s3://sinet-east/plant", endpoint_url="http://127.0.0.1:9"))


def variables(reader, store, keys=KEYS):
    return {f"SINET_{reader}_AT_{store}_{name.upper()}": value for name, value in keys.items()}


def mount(folder, reader, store, keys=KEYS):
    place = folder / reader / store
    place.mkdir(parents=True, exist_ok=True)
    for name, value in keys.items():
        (place / name).write_text(f"{value}\n")


def test_a_region_without_a_row_is_in_its_folder_of_the_home_and_nothing_is_recorded(tmp_path):
    assert settle_roots(tmp_path, [Row("EAST")])["EAST"] == root_of(tmp_path, "EAST") == Root(str(tmp_path / "EAST"))
    assert access_options(tmp_path, "EAST") == {}
    assert not (tmp_path / FILE).exists()


def test_a_home_records_where_its_regions_are_and_follows_the_inventory(tmp_path):
    assert settle_roots(tmp_path, [STORED, Row("WEST")])["EAST"] == root_of(tmp_path, "EAST") == STORED.root
    assert root_of(tmp_path, "WEST").is_local
    settle_roots(tmp_path, [Row("EAST", Root("s3://sinet-east/elsewhere"))])
    assert root_of(tmp_path, "EAST").uri == "s3://sinet-east/elsewhere"
    settle_roots(tmp_path, [Row("EAST")])
    assert root_of(tmp_path, "EAST").is_local


def test_a_root_that_is_another_regions_folder_of_the_home_is_refused_and_not_recorded(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "WEST")
    for uri in (tmp_path / "WEST", tmp_path, tmp_path / "WEST" / "raw", tmp_path / "link"):
        with pytest.raises(InventoryError, match="one root|lies in that of"):
            settle_roots(tmp_path, [Row("EAST", Root(str(uri))), Row("WEST")])
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"EAST": 1}', b'{"EAST": {"uri": "gs://a"}}'])
def test_a_damaged_record_of_roots_is_named_with_the_cure(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(StorageError, match=r"roots.json is damaged .*; remove it"):
        root_of(tmp_path, "EAST")


def test_credentials_are_those_of_the_region_that_reads_at_the_store_it_reads():
    environ = {**variables("EAST", "EAST"), **variables("EAST", "WEST", {**KEYS, "access_key_id": "AKIAOTHER"})}
    assert credentials("EAST", store="WEST", environ=environ)["AWS_ACCESS_KEY_ID"] == "AKIAOTHER"
    with pytest.raises(StorageError, match="WEST has no credentials at the store of EAST: SINET_WEST_AT_EAST_ACCESS"):
        credentials("WEST", store="EAST", environ=environ)


def test_mounted_credentials_are_read_anew_and_the_environment_is_not_looked_at(tmp_path):
    environ = {FOLDER: str(tmp_path), **variables("EAST", "WEST")}
    with pytest.raises(StorageError, match="EAST/WEST/access_key_id and .*secret_access_key missing"):
        credentials("EAST", store="WEST", environ=environ)
    mount(tmp_path, "EAST", "WEST")
    first = credentials("EAST", store="WEST", environ=environ)
    assert first == {"AWS_ACCESS_KEY_ID": "AKIAEAST", "AWS_SECRET_ACCESS_KEY": "s3cret-of-east"}
    mount(tmp_path, "EAST", "WEST", {"access_key_id": "AKIANEW", "session_token": "t"})
    assert credentials("EAST", store="WEST", environ=environ) == {
        **first,
        "AWS_ACCESS_KEY_ID": "AKIANEW",
        "AWS_SESSION_TOKEN": "t",
    }


def test_a_mounted_file_that_cannot_be_read_is_named_without_its_content(tmp_path):
    mount(tmp_path, "EAST", "EAST")
    (tmp_path / "EAST" / "EAST" / "access_key_id").unlink()
    (tmp_path / "EAST" / "EAST" / "access_key_id").mkdir()
    with pytest.raises(StorageError, match="access_key_id cannot be read") as error:
        credentials("EAST", store="EAST", environ={FOLDER: str(tmp_path)})
    assert "s3cret" not in str(error.value)


def test_no_credential_shows_where_a_store_is_printed_or_recorded(tmp_path, monkeypatch):
    for name, value in variables("EAST", "EAST").items():
        monkeypatch.setenv(name, value)
    settle_roots(tmp_path, [STORED])
    tables = tables_of(tmp_path, "EAST", "mill")
    assert tables.storage_options["AWS_SECRET_ACCESS_KEY"] == KEYS["secret_access_key"]
    for shown in (repr(tables), str(tables), (tmp_path / FILE).read_text()):
        assert "AKIAEAST" not in shown
        assert "s3cret" not in shown
