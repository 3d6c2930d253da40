"""The Job of a step tells its worker which instance to open: one that needs no rights of the cluster."""

import base64
import shutil
import zlib
from dataclasses import replace

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.step_delegating import StepHandlerContext
from dagster._core.instance.ref import InstanceRef
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import deserialize_value

from resources.router.jobs import RegionJobs
from sinet_pipelines.cli.render import _planned
from tests.conftest import CHECKOUT
from tests.inventory import EAST, REGIONS


@pytest.fixture
def of_the_run(tmp_path):
    """The instance of production, as a run pod knows it; SQLite stands in for PostgreSQL, which wants a server."""
    content = yaml.safe_load((CHECKOUT / "deploy" / "dagster.yaml").read_text())
    (tmp_path / "dagster.yaml").write_text(
        yaml.safe_dump({**content, "storage": {"sqlite": {"base_dir": str(tmp_path)}}})
    )
    return InstanceRef.from_dir(str(tmp_path))


def handed_on(ref, region, folder):
    """The instance in the arguments of a step's worker."""
    shutil.copy(CHECKOUT / "tests" / "clusters" / "routed.py", folder / "planted.py")
    repository = ReconstructableRepository.for_file(str(folder / "planted.py"), "defs", str(CHECKOUT))
    with _planned(repository.get_reconstructable_job("__ASSET_JOB"), None) as (plan, steps):
        step = next(one for one in steps if one.key == "report")
        origin = plan.reconstructable_job.get_python_origin()
        args = ExecuteStepArgs(origin, plan.run_id, [step.key], ref, retry_mode=RetryMode.DEFERRED)
        job = RegionJobs(region, regions=REGIONS).job(
            StepHandlerContext(plan.instance, plan, [step], args, plan.dagster_run)
        )
    (container,) = job.spec.template.spec.containers
    (packed,) = [one.value for one in container.env if one.name == "DAGSTER_COMPRESSED_EXECUTE_STEP_ARGS"]
    return deserialize_value(zlib.decompress(base64.b64decode(packed)).decode(), ExecuteStepArgs).instance_ref


def test_a_worker_opens_the_instance_file_of_its_region(of_the_run, tmp_path):
    assert handed_on(of_the_run, EAST, tmp_path) is None


def test_where_a_row_names_no_file_the_instance_of_the_run_opens_without_a_token(of_the_run, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    bare = replace(EAST, cluster=replace(EAST.cluster, step_instance_config_map=""))
    with DagsterInstance.from_ref(handed_on(of_the_run, bare, tmp_path)) as instance:
        assert instance.get_runs() == []
        assert instance.root_directory == str(tmp_path)
