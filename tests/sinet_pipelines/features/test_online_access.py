"""The password and the TLS files of an online store: where they are read, and what is refused. No server is needed."""

from dataclasses import replace

import pytest

from sinet_pipelines.errors import StorageError
from sinet_pipelines.features.online_access import read_password, tls_files
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.placement.bindings import store_mounts
from tests.inventory import get_region

PLAIN, TLS = "redis://online.west.example", "rediss://online.west.example"


def folder_of_west(tmp_path):
    folder = tmp_path / "WEST/online"
    folder.mkdir(parents=True)
    return folder, {"SINET_CREDENTIALS": str(tmp_path)}


def test_a_pod_that_mounts_the_credentials_of_stores_still_reads_the_password_of_its_variable():
    west, east = get_region("WEST"), replace(get_region("EAST"), root=Root("s3://bucket/east"))
    (variable,) = store_mounts(west, [east])["container_config"]["env"]
    environ = {variable["name"]: variable["value"], "SINET_WEST_ONLINE_PASSWORD": "pw"}
    assert variable["name"] == "SINET_CREDENTIALS"
    assert read_password("WEST", environ=environ) == "pw"


def test_the_folder_of_a_region_is_used_before_its_variables(tmp_path):
    folder, environ = folder_of_west(tmp_path)
    (folder / "password").touch(mode=0o600)
    (folder / "password").write_text("of the file\n")
    assert read_password("WEST", environ={**environ, "SINET_WEST_ONLINE_PASSWORD": "other"}) == "of the file"


def test_a_missing_file_of_an_authority_is_named():
    with pytest.raises(StorageError, match=r"/nope/ca\.crt cannot be read"):
        tls_files("WEST", TLS, environ={"SINET_WEST_ONLINE_CA_FILE": "/nope/ca.crt"})


def test_a_client_key_that_others_can_read_is_refused(tmp_path):
    folder, environ = folder_of_west(tmp_path)
    (folder / "tls.key").touch()
    (folder / "tls.key").chmod(0o600)
    assert tls_files("WEST", TLS, environ=environ) == {"ssl_keyfile": str(folder / "tls.key")}
    (folder / "tls.key").chmod(0o644)
    with pytest.raises(StorageError, match="chmod 600"):
        tls_files("WEST", TLS, environ=environ)


def test_files_for_tls_are_refused_with_an_address_without_tls(tmp_path):
    folder, environ = folder_of_west(tmp_path)
    (folder / "ca.crt").touch()
    assert tls_files("WEST", TLS, environ=environ) == {"ssl_ca_certs": str(folder / "ca.crt")}
    with pytest.raises(StorageError, match="write rediss://"):
        tls_files("WEST", PLAIN, environ=environ)
