"""What a page shows: columns with units, where a table is, what its columns are made from, key numbers first."""

from collections import Counter
from datetime import date

import dagster as dg
import pytest

from assets.framework.reports import BRIEF, brief, entries_of, made, schema_of
from assets.turbofan.keys import regional_key
from resources.keys import name_of
from sinet_pipelines.applications import load_applications
from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES, WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP, RAW_TELEMETRY, SENSORS
from sinet_pipelines.escaping import from_markdown
from sinet_pipelines.storage.layout import landing_root
from tests.deployed import everywhere
from tests.inventory import EAST, HARDWARE, REGIONS

WINDOWS = regional_key(EAST, "window_features")


@pytest.fixture(scope="module")
def nodes(definitions):
    graph = definitions.resolve_asset_graph()
    return {key: graph.get(key) for key in graph.get_all_asset_keys()}


def columns_by_table(nodes):
    schemas = {key: node.metadata.get("dagster/column_schema") for key, node in nodes.items()}
    return {key: {column.name for column in schema.columns} for key, schema in schemas.items() if schema}


def lineages(nodes):
    entries = {key: node.metadata.get("dagster/column_lineage") for key, node in nodes.items()}
    return {key: entry.deps_by_column for key, entry in entries.items() if entry}


def test_a_column_says_its_type_unit_and_bounds():
    columns = {column.name: column for column in schema_of(RAW_TELEMETRY).columns}
    assert columns["t24_degr"].type == "double"
    message = "total temperature at low-pressure compressor outlet [degR]; 450 to 800"
    assert columns["t24_degr"].description == message
    assert columns["t24_degr"].constraints.nullable


def test_a_ratio_has_no_unit_to_say():
    (ratio,) = [column for column in schema_of(DROP).columns if column.name == "bpr_ratio"]
    assert ratio.description == "bypass ratio; 5 to 16"


def test_every_asset_has_owner_description_region_and_hardware(nodes):
    regions, hardware = {region.key for region in REGIONS}, {kind.id for kind in HARDWARE}
    owners = {one.name: one.owner for one in load_applications()}
    for key, node in nodes.items():
        assert node.owners == [owners[name_of(key).application]], key
        assert node.description, key
        assert len(regions & node.kinds) == 1, key
        assert (hardware & node.kinds) or not node.is_executable, key


def test_a_table_says_its_name_and_where_it_is(nodes):
    metadata = nodes[WINDOWS].metadata
    assert metadata["dagster/table_name"] == "EAST.turbofan.window_features"
    assert metadata["dagster/uri"].endswith("/EAST/feature/turbofan/window_features")


def test_no_two_tables_have_one_name(nodes):
    """Dagster links assets of one table name as if they were one table."""
    names = Counter(node.metadata.get("dagster/table_name") for node in nodes.values())
    del names[None]
    assert len(names) >= 40
    assert max(names.values()) == 1, names.most_common(3)


def test_lineage_names_only_columns_that_there_are(nodes):
    tables = columns_by_table(nodes)
    found = lineages(nodes)
    assert set(everywhere("window_features")) | set(everywhere("validated_telemetry")) <= set(found)
    for key, by_column in found.items():
        assert set(by_column) <= tables[key], key
        for dep in (dep for deps in by_column.values() for dep in deps):
            assert dep.column_name in tables[dep.asset_key], (key, dep)


def test_every_window_feature_leads_back_to_the_sensor_in_its_name(nodes):
    by_column = lineages(nodes)[WINDOWS]
    telemetry = regional_key(EAST, "validated_telemetry")
    for name in FEATURE_NAMES:
        sensor = "cycle" if name == "age_cycles" else name.split("_z_")[0]
        assert dg.TableColumnDep(telemetry, sensor) in by_column[name]


def test_columns_that_are_made_alike_share_a_line_of_the_page(nodes):
    page = nodes[WINDOWS].metadata["columns_made_from"].value
    telemetry = r"validated\_telemetry in EAST"
    assert f"| `unit`, `role`, `cycle` and 3 more | the same of {telemetry} |" in page
    assert f"| `age_cycles`, `window_cycles_present` | `cycle` of {telemetry} |" in page
    assert len(page.splitlines()) == 2 + 1 + len(SENSORS) + 1  # head, copies, a line a sensor, what counts cycles


def test_a_table_that_is_alike_in_all_regions_is_named_once(nodes):
    page = nodes[dg.AssetKey(["turbofan", "training_set"])].metadata["columns_made_from"].value
    everywhere = r"EAST, WEST, NULL\_ISLAND"
    tables = rf"window\_features in {everywhere}; `cycle` of failure\_events in {everywhere}"
    assert page.splitlines()[-1] == f"| `rul_cycles` | `cycle` of {tables} |"


def test_the_description_counts_the_features_there_are(nodes):
    assert f"({len(FEATURE_NAMES)} features)" in nodes[WINDOWS].description


def test_a_table_without_sources_tells_no_lineage():
    assert not {"dagster/column_lineage", "columns_made_from"} & set(entries_of(WINDOW_FEATURES))


def test_key_numbers_come_first_on_a_page():
    @dg.asset
    def judged(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return made(context, "v1", entries={"decision": "not worse", "rmse_capped_cycles": 10.5})

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([judged], instance=instance).success
        event = instance.get_latest_materialization_event(judged.key)
    assert list(event.asset_materialization.metadata)[:2] == ["decision", "rmse_capped_cycles"]
    assert event.asset_materialization.tags["dagster/data_version"] == "v1"


def test_a_long_sentence_is_brief_on_a_page_and_whole_beside_it():
    sentence = "may not be promoted: WEST_1 has no such hardware; its error is 14.47 cycles (allowed: 10.78)"

    @dg.asset
    def judged(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return made(context, "v1", entries={"decision": sentence, "sha256": "a" * 64, "short": "kept: as it is"})

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([judged], instance=instance).success
        metadata = instance.get_latest_materialization_event(judged.key).asset_materialization.metadata
    assert list(metadata)[:2] == ["decision", "decision_in_full"]
    assert metadata["decision"].value == "may not be promoted"
    assert isinstance(metadata["decision_in_full"], dg.MarkdownMetadataValue)
    assert from_markdown(metadata["decision_in_full"].value) == sentence
    assert (metadata["sha256"].value, metadata["short"].value) == ("a" * 64, "kept: as it is")


@pytest.mark.parametrize("sentence", ["x" * 90, "word " * 40, "a" * 57 + ": b", ": x" * 40])
def test_what_is_brief_fits_a_page(sentence):
    assert len(brief(sentence)) <= BRIEF


def test_a_days_event_carries_neither_columns_nor_lineage(carry_out, home):
    with dg.DagsterInstance.ephemeral() as instance:
        day = min((landing_root(home, "EAST", "turbofan")).glob("20*")).name
        key = regional_key(EAST, "raw_telemetry")
        assert carry_out(instance, [key], (date.fromisoformat(day), date.fromisoformat(day))).success
        metadata = instance.get_latest_materialization_event(key).asset_materialization.metadata
    assert set(metadata) == {"dagster/row_count", "rows_sent", "copies_dropped", "table_version"}
