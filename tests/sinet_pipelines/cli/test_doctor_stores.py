"""`sinet doctor` on stores: one that answers, one that does not, and credentials that open too little or too much."""

from dataclasses import replace

import pytest

from sinet_pipelines.cli.doctor_stores import store_findings
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.manifests.policies import bucket_policy, identity
from sinet_pipelines.storage.objects import open_objects
from tests.inventory import EAST, NULL_ISLAND, REGIONS, WEST
from tests.loopback import free_port
from tests.policies import enforcing

USERS = {f"AKIA{region.name}": f"arn:aws:iam:::user/{identity(region)}" for region in REGIONS}


@pytest.fixture
def keyed(monkeypatch):
    """Gives this process the credentials of some regions at the store of EAST."""

    def give(*regions):
        for region in regions:
            monkeypatch.setenv(f"SINET_{region.name}_AT_EAST_ACCESS_KEY_ID", f"AKIA{region.name}")
            monkeypatch.setenv(f"SINET_{region.name}_AT_EAST_SECRET_ACCESS_KEY", "the-secret-of-it")

    return give


@pytest.fixture
def bucket(s3_store):
    return s3_store.bucket()


def regions_at(bucket, url):
    return [replace(EAST, root=Root(f"s3://{bucket}/plant", endpoint_url=url)), WEST, NULL_ISLAND]


def test_a_store_with_its_policy_has_no_fault_and_nothing_is_left_there(s3_store, bucket, keyed):
    keyed(EAST, WEST)
    policy = bucket_policy(regions_at(bucket, s3_store.url)[0], REGIONS)
    with enforcing(s3_store.port, {bucket: policy}, USERS) as url:
        found = {one.name: one for one in store_findings(regions_at(bucket, url))}
    assert {name: one.ok for name, one in found.items()} == {"store of EAST": True, "WEST at the store of EAST": True}
    assert list(open_objects(f"s3://{bucket}", s3_store.options).walk()) == []


def test_a_store_without_a_policy_is_a_fault_of_the_others_credentials(s3_store, bucket, keyed):
    keyed(EAST, WEST)
    own, other = store_findings(regions_at(bucket, s3_store.url))
    assert own.ok
    assert other.ok is False
    assert "WEST may list raw rows or drops" in other.found
    assert "sinet render --policies" in other.cure


def test_a_store_that_refuses_its_own_region_or_is_down_is_a_fault(s3_store, bucket, keyed):
    keyed(EAST)
    with enforcing(s3_store.port, {}, USERS) as url:
        (refused,) = store_findings(regions_at(bucket, url))
    (down,) = store_findings(regions_at(bucket, f"http://127.0.0.1:{free_port()}"))
    assert (refused.ok, down.ok) == (False, False)
    assert "refuses it" in refused.found
    assert "does not answer" in down.found
    assert "the-secret-of-it" not in f"{refused} {down}"


def test_a_store_whose_credentials_are_elsewhere_is_no_fault_and_a_folder_has_no_finding(s3_store, bucket):
    (unknown,) = store_findings(regions_at(bucket, s3_store.url))
    assert unknown.ok is None
    assert store_findings(REGIONS) == []
