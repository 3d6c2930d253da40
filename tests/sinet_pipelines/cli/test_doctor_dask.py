"""`sinet doctor` on Dask workers: local ones that fit, and schedulers that respond or not."""

from dataclasses import replace

import pytest
from distributed.system import memory_limit

from sinet_pipelines.cli.doctor_dask import dask_findings
from sinet_pipelines.features import dask_workers
from sinet_pipelines.inventory.dask import DaskCluster, DaskKind
from tests.inventory import EAST, WEST
from tests.loopback import free_port
from tests.sinet_pipelines.features.dask_processes import running, write_certificates


def found_for(cluster):
    (finding,) = dask_findings([replace(EAST, dask=cluster), WEST])
    return finding


def test_a_region_whose_steps_compute_themselves_has_no_finding():
    assert dask_findings([EAST, WEST]) == []


@pytest.mark.parametrize(("memory_mib", "ok"), [(1024, True), (1 << 30, False)])
def test_local_workers_must_fit_into_the_machine(memory_mib, ok):
    found = found_for(DaskCluster(DaskKind.LOCAL, max_workers=1, worker_memory_mib=memory_mib))
    assert (found.name, found.ok) == ("dask of EAST", ok)
    assert found.found.startswith(f"up to 1 local workers of {memory_mib} MiB; ")
    assert bool(found.cure) is not ok


def test_the_local_workers_of_all_regions_must_fit_together():
    has = memory_limit() >> 20
    cluster = DaskCluster(DaskKind.LOCAL, max_workers=1, worker_memory_mib=has * 2 // 3)
    east, west = dask_findings([replace(EAST, dask=cluster), replace(WEST, dask=cluster)])
    assert (east.ok, west.ok, found_for(cluster).ok) == (False, False, True)
    assert f"{2 * cluster.worker_memory_mib} MiB for those of all regions" in east.found


@pytest.mark.parametrize(("second", "faults"), [("one CA", 1), ("another CA", 0), (None, 0)])
def test_two_regions_with_one_certificate_authority_are_a_fault(tmp_path, second, faults):
    clusters = {}
    for name, authority in (("EAST", "one CA"), ("WEST", second)):
        (tmp_path / name).mkdir()
        if authority:
            (tmp_path / name / "ca.crt").write_text(authority)
        clusters[name] = DaskCluster(DaskKind.KUBERNETES, tls_folder=str(tmp_path / name))
    found = dask_findings([replace(EAST, dask=clusters["EAST"]), replace(WEST, dask=clusters["WEST"])])
    shared = [one for one in found if one.name == "dask of EAST and WEST"]
    assert [one.ok for one in shared] == [False] * faults


def test_a_scheduler_that_does_not_respond_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_workers, "CONNECT_S", 0.5)
    write_certificates(tmp_path / "tls")
    address = f"tls://127.0.0.1:{free_port()}"
    found = found_for(DaskCluster(DaskKind.ADDRESS, address=address, tls_folder=str(tmp_path / "tls")))
    assert found.ok is False
    assert f"{address} of EAST does not respond" in found.found


def test_the_service_of_a_kubernetes_cluster_may_be_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_workers, "CONNECT_S", 0.5)
    at = f"tls://127.0.0.1:{free_port()}"
    monkeypatch.setattr(dask_workers, "scheduler_address", lambda cluster, *, namespace: at)  # no look-up of a name
    write_certificates(tmp_path / "tls")
    assert found_for(DaskCluster(DaskKind.KUBERNETES, tls_folder=str(tmp_path / "tls"))).ok is None


@pytest.mark.slow
def test_a_scheduler_with_workers_of_the_region_is_right(tmp_path):
    with running(tmp_path) as found:
        finding = found_for(found.cluster)
    assert (finding.ok, finding.found) == (True, "1 workers of EAST, which compute 1 parts at once")
