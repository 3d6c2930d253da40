"""The Dask workers of a region's cluster are objects of Dask's operator, with pods that the namespace admits."""

import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace

import kubernetes_validate
import polars as pl
import pytest
import yaml

from sinet_pipelines.errors import NeedsError
from sinet_pipelines.features.dask_workers import DaskWorkers
from sinet_pipelines.inventory.dask import DaskCluster, DaskKind
from sinet_pipelines.manifests import deployment
from sinet_pipelines.manifests.base import network
from sinet_pipelines.manifests.dask import dask_workers, notes
from sinet_pipelines.placement.bindings import DASK_TLS, step_config
from sinet_pipelines.placement.needs import Needs
from tests.clusters.pod_security import violations
from tests.conftest import CHECKOUT
from tests.inventory import EAST, NULL_ISLAND, WEST
from tests.loopback import await_port, free_port
from tests.sinet_pipelines.features.dask_processes import write_certificates
from tests.sinet_pipelines.features.parts import double

KUBERNETES = "1.36"
DASK = DaskCluster(DaskKind.KUBERNETES, min_workers=1, max_workers=9, tls_folder="/etc/sinet/dask")
SCHEDULER = DaskCluster(DaskKind.ADDRESS, address="tls://dask.east:8799", tls_folder="/etc/sinet/dask")
REGION = replace(EAST, dask=DASK)


def objects_of(region):
    return {one["kind"]: one for one in dask_workers(region)}


def pods_of(region):
    spec = objects_of(region)["DaskCluster"]["spec"]
    return {name: spec[name]["spec"] for name in ("scheduler", "worker")}


def test_a_region_without_such_workers_has_no_objects():
    local = replace(EAST, dask=DaskCluster(DaskKind.LOCAL))
    assert dask_workers(EAST) == dask_workers(local) == notes(EAST) == notes(local) == []


@pytest.mark.parametrize("name", ["scheduler", "worker"])
def test_its_pods_are_valid_and_satisfy_the_namespace(name):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pods_of(REGION)[name]}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    assert not violations(pod["spec"])
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["containers"][0]["image"] == EAST.cluster.image


def test_workers_declare_their_region_and_have_the_bounds_of_its_row():
    found = objects_of(REGION)
    assert found["DaskAutoscaler"]["spec"] == {"cluster": "sinet-features", "minimum": 1, "maximum": 9}
    args = pods_of(REGION)["worker"]["containers"][0]["args"]
    assert args[args.index("--resources") + 1] == "region-EAST=1"
    assert f"tls://sinet-features-scheduler.{EAST.cluster.namespace}.svc:8786" in args
    (allowed,) = found["NetworkPolicy"]["spec"]["ingress"]
    assert allowed["ports"] == [{"port": 8787, "protocol": "TCP"}]
    kubernetes_validate.validate(found["NetworkPolicy"], KUBERNETES, strict=True)


@pytest.mark.parametrize(("max_workers", "memory"), [(9, "2048Mi"), (100, "12512Mi")])
def test_the_scheduler_has_memory_for_the_parts_of_all_its_workers(max_workers, memory):
    pod = pods_of(replace(EAST, dask=replace(DASK, max_workers=max_workers)))["scheduler"]
    assert pod["containers"][0]["resources"]["limits"]["memory"] == memory


def test_a_worker_is_neither_paused_nor_stores_rows():
    (container,) = pods_of(REGION)["worker"]["containers"]
    found = {one["name"]: one["value"] for one in container["env"] if "WORKER__MEMORY" in one["name"]}
    assert found == {f"DASK_DISTRIBUTED__WORKER__MEMORY__{name}": "False" for name in ("TARGET", "SPILL", "PAUSE")}


@pytest.mark.parametrize(("dask", "is_open"), [(SCHEDULER, True), (DASK, False), (None, False)])
def test_pods_may_connect_to_a_scheduler_that_runs_elsewhere(dask, is_open):
    (policy,) = [one for one in network(replace(EAST, dask=dask)) if one["metadata"]["name"] == "allow-egress"]
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", [])]
    assert (8799 in ports) is is_open


def test_the_folder_of_the_region_has_them_and_the_page_names_the_secret():
    shipped = CHECKOUT / "deploy"
    instance = yaml.safe_load((shipped / "dagster.yaml").read_text())
    step_instance = (shipped / "dagster-step.yaml").read_text()
    files = deployment.files([REGION, WEST, NULL_ISLAND], instance=instance, step_instance=step_instance)
    assert "kind: DaskCluster" in files["east/dask.yaml"]
    assert "- dask.yaml" in files["east/kustomization.yaml"]
    assert "west/dask.yaml" not in files
    assert "create secret generic sinet-dask --from-file=ca.crt --from-file=tls.crt" in files["README.md"]


def test_a_step_of_the_region_mounts_the_certificates_and_starts_without_them():
    config = step_config(REGION, EAST.kind("cpu"), Needs())
    (volume,) = [one for one in config["pod_spec_config"]["volumes"] if one["name"] == DASK_TLS]
    assert volume["secret"] == {"secret_name": "sinet-dask", "optional": True}
    assert {"name": DASK_TLS, "mount_path": "/etc/sinet/dask", "read_only": True} in config["container_config"][
        "volume_mounts"
    ]
    assert DASK_TLS not in str(step_config(EAST, EAST.kind("cpu"), Needs()))


def test_a_worker_that_fits_on_no_node_is_refused():
    with pytest.raises(NeedsError, match="memory_mib is 1073741824"):
        dask_workers(replace(EAST, dask=replace(DASK, worker_memory_mib=1 << 30)))


@pytest.mark.slow
def test_the_commands_of_the_pods_start_a_scheduler_with_a_worker_of_the_region(tmp_path):
    write_certificates(tmp_path / "tls")
    region = replace(EAST, dask=replace(DASK, tls_folder=str(tmp_path / "tls")))
    port = free_port()
    address = f"tls://127.0.0.1:{port}"
    here = {
        "8786": str(port),
        ":8787": "127.0.0.1:0",
        f"tls://sinet-features-scheduler.{EAST.cluster.namespace}.svc:8786": address,
        "/home/sinet": str(tmp_path),
    }
    with ExitStack() as stack:
        for name, pod in pods_of(region).items():
            (container,) = pod["containers"]
            args = [here.get(one, one) for one in container["args"]] + ["--host", "127.0.0.1"]
            variables = {one["name"]: one["value"] for one in container["env"] if one["name"] != "HOME"}
            file = stack.enter_context((tmp_path / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", *args],
                env={**os.environ, **variables, "PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "ignore"},
                stdout=file,
                stderr=file,
                cwd=tmp_path,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            if name == "scheduler":
                await_port(port, process, log=tmp_path / "scheduler.log")
        cluster = DaskCluster(DaskKind.ADDRESS, address=address, tls_folder=str(tmp_path / "tls"))
        with DaskWorkers(cluster, "EAST") as workers:
            found = list(workers.map(double, [(pl.DataFrame({"n": [21]}),)]))
            assert workers._client.run(lambda dask_worker: type(dask_worker.data).__name__) == {  # no spilling
                next(iter(workers.workers())): "dict"
            }
    assert found[0]["n"].to_list() == [42]
