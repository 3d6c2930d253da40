"""What a step reads of another region is counted, shown, and refused where no edge of the step declares it."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl
import pytest

from assets.framework.regional import here
from assets.framework.reports import made
from assets.turbofan.keys import global_key, regional_key
from resources.keys import Role
from resources.placement import bind, bind_check
from resources.reads import this_step
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS, TRUTH_EVENTS
from sinet_pipelines.schemas.contract import DataClass
from tests.deployed import deployment_at, resources_at
from tests.inventory import EAST, WEST

WHEN = datetime(2026, 3, 1, tzinfo=UTC)
FAILURES = pl.DataFrame({"unit": ["FD001-0002"] * 40, "cycle": range(40), "failed_at": [WHEN] * 40})
BYTES = 40 * (10 + 4 + 8)  # ten letters, a cycle of 32 bits, an instant of 64


@dg.asset(key=regional_key(WEST, "failure_events"), **bind(WEST, data_class=DataClass.FEATURE))
def failures() -> None: ...


def table(region, name, data_class):
    @dg.asset(key=regional_key(region, name), **bind(region, data_class=data_class))
    def asset() -> None: ...

    return asset


def reading(read, *, deps=(failures,), **more):
    """An asset in EAST that does something with the regions' resources."""

    @dg.asset(
        key=global_key("reader"),
        deps=list(deps),
        code_version="1",
        **bind(EAST, data_class=DataClass.FEATURE, reads=[WEST], **more),
    )
    def reader(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return made(context, str(read(context)))

    return reader


@pytest.fixture
def regions(tmp_path):
    """The regions' resources of a home in which WEST has forty failures and one blob."""
    found = resources_at(tmp_path)
    west = found["west"].of("turbofan")
    west.tables.replace(FAILURE_EVENTS, FAILURES)
    west.blobs.point("regimes", west.blobs.put(b"12345"))
    return found


def run(regions, *assets, selection=("turbofan/reader",)):
    """The result, and what was said of the step that failed."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            assets, selection=list(selection), resources=regions, instance=instance, raise_on_error=False
        )
        failed = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
        found = failed[0].cause.message if failed else ""
        return result, found


def entries(result):
    (event,) = [event for event in result.all_events if event.is_step_materialization]
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


def test_what_an_edge_declares_is_read_and_told_in_rows_and_bytes(regions):
    result, _ = run(regions, failures, reading(lambda context: here(context, WEST).tables.read(FAILURE_EVENTS).height))
    assert result.success
    reported = entries(result)
    assert reported["bytes_from_other_regions"] == BYTES
    assert f"| failure\\_events | WEST | 40 | {BYTES} |" in reported["read_from_other_regions"]


def test_of_a_lazy_table_only_what_was_fetched_counts(regions):
    def few(context):
        lazy = here(context, WEST).tables.scan(FAILURE_EVENTS)
        return lazy.filter(pl.col("cycle") < 3).select("cycle").collect().height

    result, _ = run(regions, failures, reading(few))
    assert "| failure\\_events | WEST | 3 | 12 |" in entries(result)["read_from_other_regions"]  # 3 cycles of 4 bytes


def test_an_address_that_is_handed_on_counts_as_all_of_the_table(regions):
    result, _ = run(regions, failures, reading(lambda context: here(context, WEST).tables.uri(FAILURE_EVENTS)))
    reported = entries(result)
    assert "| failure\\_events | WEST | 40 |" in reported["read_from_other_regions"]
    assert reported["bytes_from_other_regions"] > 0


@pytest.mark.parametrize("by", ["its place", "the bare resource"])
def test_a_read_that_no_edge_declares_fails_the_step_by_its_bytes(regions, by):
    def planted(context):
        west = here(context, WEST) if by == "its place" else context.resources.west
        return west.tables.read(FAILURE_EVENTS).height

    result, message = run(regions, failures, reading(planted, deps=()))
    assert not result.success
    assert not [event for event in result.all_events if event.is_step_materialization]
    assert (
        f"turbofan/reader runs in EAST and read {BYTES} bytes (40 rows) of "
        "failure_events from WEST, which none of its edges declares (declared: nothing)"
    ) in message


def test_another_table_of_a_region_that_is_declared_is_refused_too(regions):
    truth = pl.DataFrame({"unit": ["a"], "cycle": [1], "rul_cycles": [2], "known_at": [WHEN]})
    regions["west"].of("turbofan").tables.replace(TRUTH_EVENTS, truth)
    _, message = run(regions, failures, reading(lambda context: here(context, WEST).tables.read(TRUTH_EVENTS).height))
    assert "of truth_events from WEST, which none of its edges declares (declared: failure_events of WEST)" in message


def test_an_empty_table_takes_nothing_anywhere(regions):
    result, _ = run(regions, failures, reading(lambda context: here(context, WEST).tables.read(TRUTH_EVENTS).height))
    assert result.success


def test_blobs_count_and_want_an_edge_from_their_region(regions):
    def model(context):
        return here(context, WEST).blobs.get_ref("regimes")

    result, _ = run(regions, failures, reading(model))
    assert entries(result)["bytes_from_other_regions"] == 5
    assert "read 5 bytes (0 rows) of blobs from WEST" in run(regions, failures, reading(model, deps=()))[1]


def test_drops_of_another_region_are_read_by_nobody(landed):
    there = resources_at(landed)
    day = there["east"].of("turbofan").landing.days("WEST")[0]
    _, message = run(there, failures, reading(lambda context: here(context, EAST).landing.read_day("WEST", day).sent))
    assert "of landing_zone from WEST, which none of its edges declares" in message


def test_what_is_read_within_the_region_is_nobodys_business(regions):
    regions["east"].of("turbofan").tables.replace(FAILURE_EVENTS, FAILURES)
    result, _ = run(regions, failures, reading(lambda context: here(context, EAST).tables.read(FAILURE_EVENTS).height))
    assert "bytes_from_other_regions" not in entries(result)


def test_an_edge_that_may_not_be_any_more_stops_the_step_before_it_reads(regions):
    raw = table(WEST, "validated_telemetry", DataClass.RAW)

    def never(context):
        here(context, EAST)
        raise AssertionError("the step went on")

    _, message = run(regions, raw, reading(never, deps=[raw]))
    assert "reader takes validated_telemetry from WEST to EAST, columns of class raw: class raw never leaves" in message


def test_a_step_in_another_regions_pod_reads_its_own_region_from_afar(regions, tmp_path):
    regions["east"].of("turbofan").tables.replace(FAILURE_EVENTS, FAILURES)
    regions["deployment"] = deployment_at(tmp_path, region="WEST")
    read = reading(lambda context: here(context, EAST).tables.read(FAILURE_EVENTS).height)
    _, message = run(regions, failures, read)
    assert "reader runs in WEST and read" in message
    assert "of failure_events from EAST" in message


def test_a_check_of_its_own_may_read_its_asset_and_what_that_was_made_from(regions):
    def check(contract):
        @dg.asset_check(asset=failures, **bind_check(EAST, reads=[WEST]))
        def rows_are_there(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=context.resources.west.tables.read(contract).height == 40)

        return rows_are_there

    selection = dg.AssetSelection.checks_for_assets(failures)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [failures, check(FAILURE_EVENTS)], selection=selection, resources=regions, instance=instance
        )
    assert [one.passed for one in result.get_asset_check_evaluations()] == [True]


def test_what_is_sent_to_an_endpoint_is_counted_and_wants_an_edge(regions):
    live = table(EAST, "live_sequences", DataClass.SEQUENCE)
    rows = pl.DataFrame({"cycle": range(10)})  # 80 bytes

    @dg.asset(key=global_key("endpoint"), **bind(WEST, data_class=DataClass.MODEL, role=Role.ENDPOINT))
    def endpoint() -> None: ...

    def asking(context):
        this_step().sends("WEST", "live_sequences", rows)
        this_step().sends("EAST", "live_sequences", rows)

    result, _ = run(regions, live, endpoint, reading(asking, deps=[live, endpoint]))
    reported = entries(result)
    assert reported["bytes_to_other_regions"] == 80
    assert "| live\\_sequences | WEST | 10 | 80 |" in reported["sent_to_other_regions"]
    _, message = run(regions, live, endpoint, reading(asking, deps=[live]))
    assert "would send 80 bytes (10 rows) of live_sequences to WEST, which none of its edges declares" in message
