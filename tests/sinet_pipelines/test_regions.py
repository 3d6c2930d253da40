"""Regions and hardware: rows that fit one another, found by their names."""

import pytest

from sinet_pipelines.errors import UnknownHardwareError, UnknownRegionError
from sinet_pipelines.hardware import HARDWARE, get_hardware
from sinet_pipelines.regions import REGIONS, get_region
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.features import EVALUATION_SEQUENCES, LIVE_SEQUENCES

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


def test_what_is_not_there_is_refused_with_what_is():
    with pytest.raises(UnknownRegionError, match=r"no region 'NORTH' \(known: EAST, WEST, NULL_ISLAND\); add a row"):
        get_region("NORTH")
    with pytest.raises(UnknownHardwareError, match=r"no hardware 'abacus' \(known: cpu, .*\); add a row"):
        get_hardware("abacus")
