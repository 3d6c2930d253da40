"""The graph's edges are held against the policies: where an asset is bound, where it may move, what it sends away."""

from datetime import date

import dagster as dg
import pytest

from assets.turbofan.keys import global_key, regional_key
from resources.keys import Role
from resources.placement import bind, bind_check
from resources.residency import require_residency
from sinet_pipelines.errors import ResidencyError
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.schemas.contract import DataClass
from tests.deployed import SHIPPED
from tests.inventory import EAST, NULL_ISLAND, WEST

TODAY = date(2026, 6, 1)


def table(region, name, data_class, *, deps=(), group="features", metadata=None, **binding):
    @dg.asset(
        key=regional_key(region, name),
        deps=list(deps),
        group_name=group,
        metadata=metadata,
        **bind(region, data_class=data_class, **binding),
    )
    def asset() -> None: ...

    return asset


RAW_WEST = table(WEST, "validated_telemetry", DataClass.RAW)
LIVE_EAST = table(EAST, "live_sequences", DataClass.SEQUENCE)


def refused(*assets, day=TODAY):
    with pytest.raises(ResidencyError) as caught:
        require_residency(assets, SHIPPED.regions, day=day)
    return str(caught.value)


def test_a_planted_edge_is_refused_with_the_asset_the_table_the_class_and_the_rule():
    planted = table(EAST, "planted", DataClass.FEATURE, deps=[RAW_WEST], group="training")
    assert refused(RAW_WEST, planted).startswith(
        "EAST/turbofan/planted takes validated_telemetry from WEST to EAST, columns of class raw: "
        "class raw never leaves its region. "
    )
    require_residency([RAW_WEST, table(WEST, "fine", DataClass.FEATURE, deps=[RAW_WEST])], SHIPPED.regions, day=TODAY)


def test_definitions_with_a_planted_edge_are_refused_when_they_load(definitions):
    planted = table(EAST, "planted", DataClass.FEATURE, deps=[regional_key(WEST, "raw_telemetry")], group="training")
    assert "planted takes raw_telemetry from WEST to EAST" in refused(*definitions.assets, planted)
    require_residency(definitions.assets, SHIPPED.regions, day=TODAY)


def test_every_shipped_agreement_runs_out_and_the_definitions_with_it(definitions):
    found = refused(*definitions.assets, day=date(2029, 1, 1))
    assert "that ran out on 2028-12-31 (today is 2029-01-01)" in found


def test_the_stage_says_what_for_unless_the_binding_does():
    def reader(**more):
        return table(WEST, "reader", DataClass.MODEL, deps=[LIVE_EAST], **more)

    require_residency([LIVE_EAST, reader(group="deployment")], SHIPPED.regions, day=TODAY)
    require_residency([LIVE_EAST, reader(group="registry", purpose="inference")], SHIPPED.regions, day=TODAY)
    assert "for calibration, and the agreed purpose is inference" in refused(LIVE_EAST, reader(group="quantization"))
    assert "for registry, and the agreed purpose" in refused(LIVE_EAST, reader(group="registry"))


def test_without_a_stage_any_agreed_purpose_will_do_but_none_is_none():
    require_residency(
        [LIVE_EAST, table(WEST, "reader", DataClass.MODEL, deps=[LIVE_EAST], group=None)], SHIPPED.regions, day=TODAY
    )
    elsewhere = table(NULL_ISLAND, "reader", DataClass.MODEL, deps=[LIVE_EAST], group=None)
    assert "and there is none" in refused(LIVE_EAST, elsewhere)


def test_where_a_step_may_move_it_may_only_take_what_may_go_there():
    needs = Needs(may_move_to=(("NULL_ISLAND", "cpu"),))
    mover = table(WEST, "mover", DataClass.FEATURE, deps=[RAW_WEST], needs=needs, others=[NULL_ISLAND])
    assert "mover takes validated_telemetry from WEST to NULL_ISLAND" in refused(RAW_WEST, mover)


def test_whoever_asks_an_endpoint_sends_it_what_else_it_reads():
    @dg.asset(
        key=global_key("endpoint"),
        group_name="deployment",
        **bind(NULL_ISLAND, data_class=DataClass.MODEL, role=Role.ENDPOINT),
    )
    def endpoint() -> None: ...

    asking = table(EAST, "predictions", DataClass.FEATURE, deps=[endpoint, LIVE_EAST], group="deployment")
    assert "predictions takes live_sequences from EAST to NULL_ISLAND" in refused(LIVE_EAST, endpoint, asking)


def test_a_table_is_told_by_its_own_name():
    cells = table(WEST, "cells", DataClass.PERSONAL, metadata={"sinet/table": dg.MetadataValue.text("setting_cells")})
    reader = table(EAST, "reader", DataClass.FEATURE, deps=[cells])
    assert "takes setting_cells from WEST to EAST, columns of class personal" in refused(cells, reader)


def test_a_check_of_its_own_takes_its_assets_rows_to_where_it_runs():
    def check_in(region):
        @dg.asset_check(asset=RAW_WEST, **bind_check(region))
        def rows_are_sane() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=True)

        return rows_are_sane

    require_residency([RAW_WEST, check_in(WEST)], SHIPPED.regions, day=TODAY)
    assert "takes validated_telemetry from WEST to EAST" in refused(RAW_WEST, check_in(EAST))
