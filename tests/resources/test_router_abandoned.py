"""Jobs of runs that ended without their pod go; those of other runs stay, and what does not go is named."""

import time

import dagster as dg
import pytest
from dagster._core.test_utils import instance_for_test

from resources.router.abandoned import LOST_S, OVER_S, delete_abandoned
from schedules.clusters import clusters_in_order
from tests.clusters.cluster import Cluster
from tests.clusters.server import ApiServer, Trouble, write_kubeconfig
from tests.deployed import sensor_context
from tests.inventory import REGIONS, SHIPPED

NAMESPACE = "sinet"
STEP = "step_worker"


@dg.asset(pool="east-cpu")
def readings():
    """Never made."""


defs = dg.Definitions(assets=[readings])


class Sites:
    """The clusters of all regions, in which nothing ever starts, and the runs of an instance."""

    def __init__(self, instance, folder):
        self.instance = instance
        self.models = {
            region.name: Cluster(region.name, now=time.monotonic, start=lambda name, pod: pytest.fail("it starts"))
            for region in REGIONS
        }
        self.servers = {name: ApiServer(model) for name, model in self.models.items()}
        urls = {region.cluster.kubeconfig_context: self.servers[region.name].url for region in REGIONS}
        self.kubeconfig = str(write_kubeconfig(folder / "kubeconfig", urls))

    def close(self):
        for server in self.servers.values():
            server.close()

    def run(self, status):
        run = self.instance.create_run_for_job(defs.resolve_implicit_global_asset_job_def())
        if status == "CANCELED":
            self.instance.report_run_canceled(run)
        elif status == "FAILURE":
            self.instance.report_run_failed(run)
        return run.run_id

    def job(self, region, run_id, *, component=STEP):
        name = f"{region.lower().replace('_', '-')}-{len(self.models[region].made)}"
        labels = {"dagster/run-id": run_id, "app.kubernetes.io/component": component}
        spec = {"template": {"spec": {"containers": [{"name": "dagster", "image": "x"}]}}}
        self.models[region].create(NAMESPACE, {"metadata": {"name": name, "labels": labels}, "spec": spec})
        return name

    def look(self, *, later_s=OVER_S + 1):
        return delete_abandoned(self.instance, SHIPPED, kubeconfig=self.kubeconfig, now=time.time() + later_s)

    def kept(self):
        return [
            (name, job.name) for name, model in self.models.items() for job in model.jobs.values() if not job.is_deleted
        ]


@pytest.fixture
def sites(tmp_path):
    values = {"concurrency": {"pools": {"default_limit": 20}}}
    with instance_for_test(temp_dir=str(tmp_path), overrides=values) as instance:
        made = Sites(instance, tmp_path)
        yield made
        made.close()


@pytest.mark.parametrize("status", ["CANCELED", "FAILURE"])
def test_jobs_of_a_run_that_ended_without_its_pod_are_deleted_in_every_region(sites, status):
    run_id = sites.run(status)
    names = [sites.job(region.name, run_id) for region in REGIONS]
    assert (sites.look().deleted, sites.kept()) == (names, [])


def test_jobs_of_runs_at_work_just_ended_or_unknown_and_of_run_pods_stay(sites):
    ended = sites.run("CANCELED")
    kept = [("EAST", sites.job("EAST", sites.run("STARTED"))), ("EAST", sites.job("EAST", "of another deployment"))]
    kept.append(("EAST", sites.job("EAST", ended, component="run_worker")))
    assert (sites.look().deleted, sites.kept()) == ([], kept)
    kept.append(("EAST", sites.job("EAST", ended)))
    assert (sites.look(later_s=OVER_S - 60).deleted, sites.kept()) == ([], kept)


def test_a_region_that_refuses_is_named_and_the_others_jobs_go(sites):
    run_id = sites.run("CANCELED")
    kept, name = sites.job("EAST", run_id), sites.job("WEST", run_id)
    sites.servers["EAST"].gate = lambda method, path: Trouble(status=403) if method == "DELETE" else None
    found = sites.look()
    assert (found.deleted, sites.kept()) == ([name], [("EAST", kept)])
    (left,) = found.left
    assert left.startswith(f"Job {kept} in EAST cannot be deleted (EAST's API returns 403")
    assert left.endswith(f"-n {NAMESPACE} delete job {kept}")
    sites.servers["EAST"].gate = lambda method, path: Trouble(status=403)
    assert sites.look().left[0].startswith("the Jobs of EAST cannot be read: EAST's API returns 403")


def test_a_job_that_does_not_end_is_asked_once_and_then_named_with_what_ends_it(sites):
    name = sites.job("WEST", sites.run("CANCELED"))
    assert sites.look().deleted == [name]
    assert (sites.look().deleted, sites.look().left) == ([], [])
    found = sites.look(later_s=LOST_S + 1)
    assert found.deleted == []
    assert found.left[0].startswith(f"Job {name} in WEST does not end; where its node is lost: kubectl")
    assert found.left[0].endswith(f"delete pod -l job-name={name} --force")


def test_the_sensor_deletes_and_says_so_and_makes_pools(sites, monkeypatch, tmp_path):
    name = sites.job("WEST", sites.run("CANCELED"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", sites.kubeconfig)
    monkeypatch.setattr("resources.router.abandoned.OVER_S", 0.0)
    tick = clusters_in_order(sensor_context(sites.instance, tmp_path, defs))
    assert (tick.skip_message, sites.kept()) == (f"deleted: {name}", [])
    assert [pool.name for pool in sites.instance.event_log_storage.get_pool_limits()] == ["east-cpu"]
    sites.models["WEST"].jobs.clear()
    tick = clusters_in_order(sensor_context(sites.instance, tmp_path, defs))
    assert tick.skip_message == "no Job is left of a run that has ended"
