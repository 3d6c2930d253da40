"""Bucket policies: what each region may do at a store, and that a store with such a policy refuses the rest."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product

import polars as pl
import pytest

from sinet_pipelines.errors import ForbiddenError, InventoryError
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.inventory.sites import Agreement
from sinet_pipelines.manifests.policies import FOLDER, MAX_BYTES, bucket_policy, files, identity
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.blobs import blobs_of
from sinet_pipelines.storage.layout import PARTS, data_docs
from sinet_pipelines.storage.roots import settle_roots
from sinet_pipelines.storage.tables import tables_of
from tests.conftest import CHECKOUT
from tests.inventory import EAST, NULL_ISLAND, REGIONS, WEST
from tests.policies import allows, enforcing
from tests.sinet_pipelines.storage.test_health import DAYS, READINGS, rows

ROOT = Root("s3://plants/east", account="123456789012")
STORE = replace(EAST, root=ROOT, agreements=(Agreement("live_sequences", "WEST", "inference", date(2028, 12, 31)),))
POLICY = bucket_policy(STORE, REGIONS)
FEATURES = replace(READINGS, data_class=DataClass.FEATURE, name="day_features")


def user(region):
    return f"arn:aws:iam::123456789012:user/{identity(region)}"


def may(region, action, key, *, now=None):
    return allows(POLICY, user(region), f"s3:{action}", f"arn:aws:s3:::plants/{key}", now=now)


def may_list(region, prefix, *, now=None):
    return allows(POLICY, user(region), "s3:ListBucket", "arn:aws:s3:::plants", prefix=prefix, now=now)


def test_a_regions_own_identity_reads_and_writes_all_of_its_root_and_nothing_beside_it():
    for action, place in product(("GetObject", "PutObject", "DeleteObject"), ("raw/a/b", "landing/a", "blobs/x")):
        assert may(EAST, action, f"east/{place}")
        assert not may(EAST, action, f"west/{place}")
    assert may_list(EAST, "east/raw/a/b/_delta_log/")


@pytest.mark.parametrize("reader", [WEST, NULL_ISLAND], ids=lambda one: one.name)
def test_another_region_reads_features_models_and_blobs_and_writes_nothing(reader):
    for place in ("feature/mill/labels/part.parquet", "model/mill/metrics/part.parquet", "blobs/ab/abc"):
        assert may(reader, "GetObject", f"east/{place}")
        assert may_list(reader, f"east/{place}")
        assert not may(reader, "PutObject", f"east/{place}")
        assert not may(reader, "DeleteObject", f"east/{place}")


@pytest.mark.parametrize("reader", [WEST, NULL_ISLAND], ids=lambda one: one.name)
@pytest.mark.parametrize(
    "place",
    ["raw/mill/rows/p", "raw/mill/data_docs/rows/p", "personal/mill/rows/p", "landing/mill/day/p", ".set_aside/p"],
)
def test_nobody_else_reads_raw_rows_or_drops(reader, place):
    assert not may(reader, "GetObject", f"east/{place}")
    assert not may_list(reader, f"east/{place}")
    assert not may_list(reader, "east/")
    assert not may_list(reader, "")


def test_a_sequence_is_read_by_the_region_of_its_agreement_until_its_last_day():
    live, other = "east/sequence/turbofan/live_sequences/p", "east/sequence/turbofan/training_sequences/p"
    last, after = datetime(2028, 12, 31, 23, 59, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
    assert may(WEST, "GetObject", live, now=last)
    assert may_list(WEST, live, now=last)
    assert not may(WEST, "GetObject", live, now=after)
    assert not may_list(WEST, live, now=after)
    assert not may(WEST, "GetObject", other, now=last)
    assert not may(NULL_ISLAND, "GetObject", live, now=last)


def test_a_region_that_accepts_no_models_reads_none():
    reader = replace(WEST, accepts=(DataClass.FEATURE,))
    policy = bucket_policy(STORE, [EAST, reader])
    at = "arn:aws:s3:::plants/east"
    assert allows(policy, user(reader), "s3:GetObject", f"{at}/feature/mill/labels/p")
    for place in ("model/mill/metrics/p", "blobs/ab/abc", "sequence/turbofan/live_sequences/p"):
        assert not allows(policy, user(reader), "s3:GetObject", f"{at}/{place}")


def test_a_later_statement_that_allows_all_does_not_open_raw_rows():
    everything = {"Effect": "Allow", "Principal": {"AWS": [user(WEST)]}, "Action": "s3:*", "Resource": "*"}
    policy = {**POLICY, "Statement": [*POLICY["Statement"], everything]}
    assert allows(policy, user(WEST), "s3:GetObject", "arn:aws:s3:::plants/other")
    assert not allows(policy, user(WEST), "s3:GetObject", "arn:aws:s3:::plants/east/raw/a/b/p")
    assert allows(policy, user(EAST), "s3:GetObject", "arn:aws:s3:::plants/east/raw/a/b/p")


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_a_root_is_open_by_a_rule_of_its_class_or_denied_to_others(part):
    readable = may(NULL_ISLAND, "GetObject", f"east/{part}/a/b/c")
    denied = any(
        f"arn:aws:s3:::plants/east/{part}/*" in one["Resource"]
        for one in POLICY["Statement"]
        if one["Effect"] == "Deny"
    )
    assert denied or readable or part == DataClass.SEQUENCE  # whose tables are open under an agreement alone


def test_data_docs_have_raw_rows_and_are_denied_as_these():
    everything = {"Effect": "Allow", "Principal": {"AWS": [user(WEST)]}, "Action": "s3:*", "Resource": "*"}
    policy = {**POLICY, "Statement": [*POLICY["Statement"], everything]}
    page = f"arn:aws:s3:::plants/east/{data_docs('mill')}/rows/p.html"
    assert not allows(policy, user(WEST), "s3:GetObject", page)
    assert allows(policy, user(EAST), "s3:GetObject", page)


def test_every_policy_is_one_that_stores_take():
    for text in files(REGIONS).values():
        assert len(text.encode()) < MAX_BYTES
        names = [one["Sid"] for one in json.loads(text)["Statement"]]
        assert len(names) == len(set(names))
        assert all(name.isalnum() for name in names)


def test_the_files_in_deploy_are_those_of_the_inventory():
    """`sinet render --policies deploy/policies` writes them again."""
    folder = CHECKOUT / "deploy" / FOLDER
    assert {path.name: path.read_text() for path in folder.glob("[!.]*")} == files(REGIONS)


def test_an_account_that_is_no_number_is_refused():
    with pytest.raises(InventoryError, match="is no number"):
        Root("s3://plants", account="arn:aws:iam::1")


@pytest.fixture
def home(tmp_path, s3_store, monkeypatch):
    """A home whose EAST is on a store that enforces its policy, with keys of EAST's own and of WEST at EAST."""
    bucket = s3_store.bucket()
    users = {f"AKIA{region.name}": f"arn:aws:iam:::user/{identity(region)}" for region in REGIONS}
    for region in REGIONS:
        monkeypatch.setenv(f"SINET_{region.name}_AT_EAST_ACCESS_KEY_ID", f"AKIA{region.name}")
        monkeypatch.setenv(f"SINET_{region.name}_AT_EAST_SECRET_ACCESS_KEY", f"secret of {region.name}")
    policy = bucket_policy(replace(STORE, root=Root(f"s3://{bucket}/east")), REGIONS)
    with enforcing(s3_store.port, {bucket: policy}, users) as url:
        settle_roots(tmp_path, [replace(EAST, root=Root(f"s3://{bucket}/east", endpoint_url=url))])
        yield tmp_path


@pytest.mark.slow
def test_a_store_with_the_policy_refuses_raw_rows_to_another_region_and_serves_features(home):
    own, other = tables_of(home, "EAST", "mill"), tables_of(home, "EAST", "mill", reader="WEST")
    for contract in (READINGS, FEATURES):
        own.replace_days(contract, rows(*DAYS), days=DAYS)
    assert own.read(READINGS).height == 6
    assert other.read(FEATURES).height == 6
    assert other.health(FEATURES).is_readable
    for use in (other.read, other.health, other.days, other.extent):
        with pytest.raises(ForbiddenError, match="raw/mill/readings: the store refuses it"):
            use(READINGS)
    with pytest.raises(ForbiddenError, match="raw/mill/readings"):
        pl.concat(other.read_in_batches(READINGS, day=DAYS[0]))
    with pytest.raises(ForbiddenError, match="feature/mill/day_features"):
        other.replace_days(FEATURES, rows(DAYS[0]), days=[DAYS[0]])
    assert own.read(FEATURES).height == 6


def test_a_store_with_the_policy_serves_blobs_to_another_region_and_takes_none_from_it(home):
    own, other = blobs_of(home, "EAST", "mill"), blobs_of(home, "EAST", "mill", reader="WEST")
    own.point("regimes", own.put(b"regimes"))
    assert other.get_ref("regimes") == b"regimes"
    with pytest.raises(ForbiddenError):
        other.put(b"planted")
    with pytest.raises(ForbiddenError):
        other.point("regimes", "0" * 64)
    assert own.get_ref("regimes") == b"regimes"
