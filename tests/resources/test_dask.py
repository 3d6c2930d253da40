"""The Dask workers of a region: as its row declares, for steps of that region alone."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

import resources.dask
from resources.dask import dask_entry, dask_parts
from sinet_pipelines.errors import ResidencyError
from sinet_pipelines.features.in_parts import IN_PROCESS
from sinet_pipelines.inventory.dask import DaskCluster, DaskKind
from tests.inventory import EAST

CLUSTER = DaskCluster(DaskKind.ADDRESS, address="tls://dask.east:8786", tls_folder="/tls", max_workers=8)


def test_without_an_entry_a_step_computes_itself():
    assert dask_entry(EAST) == ""
    with dask_parts("EAST", "") as parts:
        assert parts is IN_PROCESS


def test_the_workers_are_those_of_the_regions_row():
    with dask_parts("EAST", dask_entry(replace(EAST, dask=CLUSTER))) as parts:
        assert (parts.cluster, parts.region, parts.namespace) == (CLUSTER, "EAST", EAST.cluster.namespace)


def test_a_step_of_another_region_sends_no_rows_to_them(monkeypatch):
    monkeypatch.setattr(resources.dask, "this_step", lambda: SimpleNamespace(region="WEST"))
    with (
        pytest.raises(ResidencyError, match="a step of WEST would send rows to the Dask workers of EAST"),
        dask_parts("EAST", dask_entry(replace(EAST, dask=CLUSTER))),
    ):
        pytest.fail("the workers were handed over")
