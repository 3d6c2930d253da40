"""Regions and hardware: rows that fit one another, found by their names."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import pytest

from sinet_pipelines.applications.turbofan.schemas.features import EVALUATION_SEQUENCES, LIVE_SEQUENCES
from sinet_pipelines.errors import UnknownHardwareError, UnknownRegionError
from sinet_pipelines.inventory.figures import Figure, Hourly
from sinet_pipelines.inventory.regions import this_inventory
from sinet_pipelines.schemas.contract import DataClass
from tests.inventory import EAST, HARDWARE, NAMES, REGIONS, SHIPPED, get_hardware, get_region

SEQUENCES = {table.name for table in (EVALUATION_SEQUENCES, LIVE_SEQUENCES) if table.data_class is DataClass.SEQUENCE}


def test_every_region_has_hardware_of_known_kinds_and_a_cpu():
    kinds = {row.id for row in HARDWARE}
    for region in REGIONS:
        assert set(region.hardware) <= kinds
        assert "cpu" in region.hardware


def test_an_agreement_lets_sequences_go_to_a_region_there_is():
    agreements = {agreement for region in REGIONS for agreement in region.agreements}
    assert {agreement.table for agreement in agreements} >= SEQUENCES
    assert {agreement.to for agreement in agreements} <= {region.name for region in REGIONS}


def figures_of(row):
    """Every figure of a row, those of its parts among them."""
    for one in fields(row):
        value = getattr(row, one.name)
        values = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else [value]
        for part in values:
            if isinstance(part, Figure | Hourly):
                yield part
            elif is_dataclass(part):
                yield from figures_of(part)


def test_every_figure_says_where_it_is_from_and_whether_it_is_assumed():
    found = [figure for row in (*REGIONS, *HARDWARE) for figure in figures_of(row)]
    assert len(found) > 100
    assert all(figure.source for figure in found)
    assert {figure.is_assumption for figure in found} == {True, False}
    assumed = [figure for figure in found if not figure.is_assumption]
    assert not [
        figure.source for figure in assumed if "data sheet" not in figure.source and "TPU v4" not in figure.source
    ]


def test_a_kind_has_peaks_in_its_own_formats_alone():
    for row in HARDWARE:
        assert set(row.peak_tflops) <= set(row.formats)


def test_narrower_numbers_are_computed_no_slower():
    # of the same kind, dense; where a format has units of its own, as data sheets have it
    order = ("fp64", "fp32", "tf32", "bf16", "fp8", "int8", "int4")
    for row in HARDWARE:
        peaks = [row.peak_tflops[name].value for name in order if name in row.peak_tflops]
        assert peaks == sorted(peaks), row.id


def test_every_region_tells_the_way_to_every_other_and_both_ways_are_alike():
    for one in REGIONS:
        for other in REGIONS:
            if one is not other:
                there, back = one.link(other.name), other.link(one.name)
                assert (there.to, back.to) == (other.name, one.name)
                assert there.latency_ms.value == back.latency_ms.value > 0


def test_a_way_that_no_row_tells_of_is_a_public_line_and_marked_as_assumed():
    link = EAST.link("ELSEWHERE")
    assert link.to == "ELSEWHERE"
    assert link.usd_per_gib.is_assumption


def test_an_hour_beyond_the_day_is_one_of_the_next():
    assert EAST.carbon_g_per_kwh.at(25) == EAST.carbon_g_per_kwh.at(1)


def test_clusters_differ_so_that_no_region_runs_in_anothers():
    assert len({region.cluster.kubeconfig_context for region in REGIONS}) == len(REGIONS)


def test_what_is_not_there_is_refused_with_what_is():
    with pytest.raises(UnknownRegionError, match=r"no region 'NOWHERE' \(known: EAST, WEST, NULL_ISLAND.*\); add"):
        get_region("NOWHERE")
    with pytest.raises(UnknownHardwareError, match=r"no hardware 'abacus' \(known: cpu, .*\); add it"):
        get_hardware("abacus")


def test_the_inventory_of_the_process_follows_the_environment_and_its_file(tmp_path, monkeypatch):
    monkeypatch.delenv("SINET_INVENTORY", raising=False)
    assert this_inventory() == SHIPPED
    path = tmp_path / "inventory.yaml"
    north = "  - {name: NORTH, role: a plant, hardware: [cpu], cluster: {kubeconfig_context: north}}\n"
    path.write_text(f"regions:\n{north}")
    monkeypatch.setenv("SINET_INVENTORY", str(path))
    first = this_inventory()
    assert first.names == (*NAMES, "NORTH")
    assert this_inventory() is first  # an unchanged file is not read again
    path.write_text(f"regions:\n{north}{north.replace('NORTH', 'SOUTH').replace('north', 'south')}")
    assert this_inventory().names == (*NAMES, "NORTH", "SOUTH")
    assert [kind.id for kind in first.region("NORTH").kinds] == ["cpu"]
