"""What may travel: classes, agreements and what the other region accepts, each with the rule in the message."""

from dataclasses import replace
from datetime import date

import pytest

from sinet_pipelines.errors import ResidencyError
from sinet_pipelines.inventory.sites import Agreement
from sinet_pipelines.placement.residency import Crossing, forbidden, require_allowed
from sinet_pipelines.schemas.contract import DataClass
from tests.inventory import EAST, REGIONS, WEST

BY_NAME = {region.name: region for region in REGIONS}
TODAY = date(2026, 6, 1)
LIVE = Crossing("WEST/predictions", "live_sequences", DataClass.SEQUENCE, "EAST", "WEST", "inference")


def rules(edge, *, regions=BY_NAME, day=TODAY):
    return [one.rule for one in forbidden([edge], regions=regions, day=day)]


@pytest.mark.parametrize("data_class", [DataClass.RAW, DataClass.PERSONAL])
def test_what_is_raw_or_personal_never_leaves(data_class):
    edge = Crossing("set", "validated_telemetry", data_class, "WEST", "EAST", "training")
    assert rules(edge) == [f"class {data_class} never leaves its region"]


@pytest.mark.parametrize("data_class", list(DataClass))
def test_within_a_region_everything_may_be_read(data_class):
    assert rules(Crossing("features", "table", data_class, "WEST", "WEST", "training")) == []


@pytest.mark.parametrize("data_class", [DataClass.FEATURE, DataClass.MODEL])
def test_features_and_models_travel_without_an_agreement(data_class):
    assert rules(Crossing("set", "window_features", data_class, "WEST", "EAST", "training")) == []


def test_sequences_travel_as_agreed():
    assert rules(LIVE) == []


def test_sequences_that_nobody_agreed_on_stay():
    assert rules(replace(LIVE, target="NULL_ISLAND")) == [
        "class sequence leaves EAST only under an agreement for live_sequences to NULL_ISLAND, and there is none"
    ]


def test_an_agreement_is_for_its_purpose_alone():
    assert rules(replace(LIVE, purpose="training")) == [
        "class sequence leaves EAST only under an agreement for live_sequences to WEST for training, "
        "and the agreed purpose is inference"
    ]


def test_it_is_the_region_that_the_rows_leave_which_must_have_agreed():
    silent = {**BY_NAME, "EAST": replace(EAST, agreements=())}
    assert rules(LIVE, regions=silent)[0].endswith("and there is none")
    assert rules(LIVE, regions={**BY_NAME, "WEST": replace(WEST, agreements=())}) == []


def test_an_agreement_holds_on_its_last_day_and_no_day_longer():
    ends = replace(EAST, agreements=(Agreement("live_sequences", "WEST", "inference", TODAY),))
    regions = {**BY_NAME, "EAST": ends}
    assert rules(LIVE, regions=regions) == []
    later = date(2026, 6, 2)
    assert rules(LIVE, regions=regions, day=later)[0].endswith("that ran out on 2026-06-01 (today is 2026-06-02)")


def test_of_two_agreements_the_longer_counts():
    both = (Agreement("live_sequences", "WEST", "inference", date(2026, 1, 1)), *EAST.agreements)
    assert rules(LIVE, regions={**BY_NAME, "EAST": replace(EAST, agreements=both)}) == []


def test_a_region_takes_in_what_it_accepts():
    closed = {**BY_NAME, "EAST": replace(EAST, accepts=(DataClass.MODEL,))}
    edge = Crossing("set", "window_features", DataClass.FEATURE, "WEST", "EAST", "training")
    assert rules(edge, regions=closed) == ["EAST accepts model from other regions"]


def test_the_message_names_asset_table_class_and_rule_of_every_edge():
    edges = [Crossing("training_set", f"raw_{n}", DataClass.RAW, "WEST", "EAST") for n in range(7)]
    with pytest.raises(ResidencyError) as caught:
        require_allowed([*edges, edges[0]], regions=BY_NAME, day=TODAY)
    first = "training_set takes raw_0 from WEST to EAST, columns of class raw: class raw never leaves its region; "
    assert str(caught.value).startswith(first)
    assert "and 2 more. Bind the asset to the region of its data" in str(caught.value)
