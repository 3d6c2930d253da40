"""A repository of small real models, an endpoint in a temporary folder, and a way to start servers there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sinet_pipelines.deployment.endpoint import Endpoint
from sinet_pipelines.deployment.process import ensure_server, stop_servers
from sinet_pipelines.deployment.repository import read_manifest
from tests.sinet_pipelines.deployment.served import publish_rul


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with versions 1 (bias 100) and 2 (bias 200) of `rul`; the champion is 1."""
    folder = tmp_path / "serving" / "models"
    publish_rul(folder, "1", bias=100.0, alias="champion")
    publish_rul(folder, "2", bias=200.0)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An endpoint's folder; whatever was started there is ended."""
    path = tmp_path / "serving" / "WEST" / "rul"
    yield path
    stop_servers(path)


@pytest.fixture
def start(folder: Path, repository: Path) -> Callable[..., Endpoint]:
    """Starts or re-uses a server of a version of `rul` at that endpoint."""
    return lambda version="1", **options: ensure_rul(folder, repository, version, **options)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """One server of version 1 for all tests of a file that only ask."""
    serving = tmp_path_factory.mktemp("shared")
    publish_rul(serving / "models", "1", bias=100.0)
    yield ensure_rul(serving / "WEST" / "rul", serving / "models", "1")
    assert stop_servers(serving / "WEST" / "rul") == 1


def ensure_rul(folder: Path, repository: Path, version: str, **options) -> Endpoint:
    sha256 = read_manifest(repository, "rul", version).sha256
    named = {"name": "rul", "region": "WEST", "repository": repository, "model": "rul", "supervised": False}
    return ensure_server(folder, version=version, sha256=sha256, **{**named, **options})
