"""Feast's own SDK opens the store of a home by its `feature_store.yaml`, wherever the home is."""

import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from sinet_pipelines.features.repository import FeatureRepository
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.manifests.policies import bucket_policy, identity
from sinet_pipelines.storage.roots import settle_roots
from tests.inventory import REGIONS, get_region
from tests.policies import enforcing
from tests.sinet_pipelines.features.test_repository import FEATURES, at, write
from tests.walk.homes import folder_of

REFS = ["window_features:mean", "window_features:present"]
STOCK = """
import sys
import feast
store = feast.FeatureStore(repo_path=sys.argv[1])
rows = store.get_online_features(features=["window_features:mean"], entity_rows=[{"unit": "a"}, {"unit": "b"}])
print(rows.to_dict()["mean"])
"""


@pytest.fixture
def home(tmp_path):
    """A home with features of two engines in two regions, online as well."""
    made = tmp_path / "home"
    tables = [folder_of(made, region, "window_features") for region in ("EAST", "WEST")]
    for table in tables:
        table.parent.mkdir(parents=True)
    write(tables[0], ("a", 1, 1.0), ("a", 3, 3.0))
    write(tables[1], ("b", 2, 2.0))
    repository = FeatureRepository(made / "feast", tuple(map(str, tables)), FEATURES)
    repository.apply()
    repository.write_online()
    return made


@pytest.fixture(params=["home", "moved #2 plänt"])
def place(home, request):
    """The home where it was made, and at another place of an odd name."""
    return home if request.param == home.name else home.rename(home.with_name(request.param))


def test_the_stock_sdk_reads_online_features(place):
    from feast import FeatureStore

    store = FeatureStore(repo_path=str(place))
    rows = [{"unit": "b"}, {"unit": "a"}, {"unit": "unseen"}]
    assert store.get_online_features(features=REFS, entity_rows=rows).to_dict() == {
        "unit": ["b", "a", "unseen"],
        "mean": [2.0, 3.0, None],
        "present": [2, 3, None],
    }


def test_the_stock_sdk_reads_historical_features(place):
    from feast import FeatureStore

    entities = pd.DataFrame({"unit": ["a", "a", "b"], "event_timestamp": [at(2), at(3), at(1)]})
    found = FeatureStore(repo_path=str(place)).get_historical_features(entity_df=entities, features=REFS).to_df()
    assert found["mean"].tolist()[:2] == [1.0, 3.0]
    assert pd.isna(found["mean"].tolist()[2])


@pytest.mark.slow
def test_the_stock_sdk_works_in_a_process_that_imports_nothing_of_ours(home, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STOCK, str(home)], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.stdout.strip() == "[3.0, 2.0]", ended.stderr


def test_a_copy_reads_its_own_tables(home):
    from feast import FeatureStore

    copy = shutil.copytree(home, home.with_name("copy"))
    write(folder_of(copy, "EAST", "window_features"), ("a", 4, 4.0))
    entities = pd.DataFrame({"unit": ["a"], "event_timestamp": [at(5)]})

    def newest(place):
        store = FeatureStore(repo_path=str(place))
        return store.get_historical_features(entity_df=entities, features=REFS).to_df()["mean"].tolist()

    assert (newest(home), newest(copy)) == ([3.0], [4.0])


def test_no_place_is_in_the_files(home, tmp_path):
    tables = (str(folder_of(home, "EAST", "window_features")),)
    FeatureRepository(home / "feast", tables, FEATURES).apply()
    for name in ("feature_store.yaml", "feast/registry.db"):
        assert str(tmp_path).encode() not in (home / name).read_bytes()


@pytest.mark.slow
def test_features_on_stores_of_two_regions_are_read_with_the_credentials_of_each_and_none_is_kept(
    tmp_path, s3_store, monkeypatch
):
    from feast import FeatureStore

    places = {}
    with ExitStack() as stack:
        for region, row in (("EAST", ("a", 1, 1.0)), ("WEST", ("b", 2, 2.0))):
            bucket = s3_store.bucket()
            policy = bucket_policy(replace(get_region(region), root=Root(f"s3://{bucket}")), REGIONS)
            user = f"arn:aws:iam:::user/{identity(get_region(region))}"
            url = stack.enter_context(enforcing(s3_store.port, {bucket: policy}, {f"AKIA{region}": user}))
            monkeypatch.setenv(f"SINET_{region}_AT_{region}_ACCESS_KEY_ID", f"AKIA{region}")
            monkeypatch.setenv(f"SINET_{region}_AT_{region}_SECRET_ACCESS_KEY", f"hidden-{region}")
            places[region] = replace(get_region(region), root=Root(f"s3://{bucket}", endpoint_url=url))
            write(f"s3://{bucket}/feature/turbofan/window_features", row, options=s3_store.options)
        settle_roots(tmp_path, places.values())
        tables = tuple(f"{one.root.uri}/feature/turbofan/window_features" for one in places.values())
        repository = FeatureRepository(tmp_path / "feast", tables, FEATURES)
        repository.apply()
        assert repository.write_online().entities == 2
        rows = [{"unit": "a"}, {"unit": "b"}]
        found = FeatureStore(repo_path=str(tmp_path)).get_online_features(features=REFS, entity_rows=rows).to_dict()
        assert found["mean"] == [1.0, 2.0]
        entities = pd.DataFrame({"unit": ["a", "b"], "event_timestamp": [at(2), at(2)]})
        job = FeatureStore(repo_path=str(tmp_path)).get_historical_features(entity_df=entities, features=REFS)
        assert job.to_df()["mean"].tolist() == [1.0, 2.0]
    for path in (one for one in tmp_path.rglob("*") if one.is_file()):
        assert b"hidden" not in path.read_bytes()
        assert b"AKIA" not in path.read_bytes()


def test_what_feasts_own_commands_materialise_changes_no_definition_and_holds_back_no_later_row(home):
    from feast import FeatureStore

    store = FeatureStore(repo_path=str(home))
    store.materialize_incremental(end_date=datetime.now(UTC) + timedelta(days=400))
    tables = tuple(str(folder_of(home, region, "window_features")) for region in ("EAST", "WEST"))
    repository = FeatureRepository(home / "feast", tables, FEATURES)
    assert not repository.apply()
    assert store.get_feature_view("window_features").materialization_intervals

    def online():
        found = FeatureStore(repo_path=str(home)).get_online_features(features=REFS, entity_rows=[{"unit": "a"}])
        return found.to_dict()["mean"]

    write(Path(tables[0]), ("a", 4, 4.0), ("a", 2, 9.0))
    repository.write_online()
    assert online() == [4.0]
    write(Path(tables[0]), ("a", 5, 5.0))
    store.materialize(at(0), at(1))  # an old range
    assert online() == [5.0]
