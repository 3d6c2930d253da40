"""A home with an empty MLflow store for each test file; its tables, two seconds of work, are made once."""

import shutil

import pytest

from sinet_pipelines.registry.tracking import tracking_of


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    home = tmp_path_factory.mktemp("empty")
    assert tracking_of(home).client is not None
    return home / "mlflow.db"


@pytest.fixture(scope="module")
def home(empty_store, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    shutil.copy(empty_store, home)
    return home


@pytest.fixture(scope="module")
def tracking(home):
    return tracking_of(home)
