"""The time-series store in a region's row: what is read, and what is refused with the line."""

import pytest

from sinet_pipelines.errors import InventoryError
from sinet_pipelines.inventory.regions import read_inventory
from sinet_pipelines.inventory.time_series import StoreAddress, StoreKind
from tests.inventory import SHIPPED

TABLES = "tables: [turbofan/validated_telemetry, milling/process_features]"


def east(tmp_path, entry):
    path = tmp_path / "my inventory #1.yaml"
    path.write_text(f"regions:\n  - name: EAST\n    time_series: {{{entry}}}\n")
    return read_inventory(path).region("EAST").time_series


def test_no_shipped_region_has_a_store():
    assert [region.time_series for region in SHIPPED.regions] == [None] * 3


def test_a_store_is_read_with_its_tables(tmp_path):
    found = east(tmp_path, f"url: 'http://127.0.0.1:8428', {TABLES}")
    assert found.address == StoreAddress(StoreKind.VICTORIA_METRICS, "http://127.0.0.1:8428")
    assert found.tables_of("turbofan") == ("validated_telemetry",)
    assert found.in_region == ""
    other = east(tmp_path, f"url: 'https://store.example/plant', kind: influxdb, in_region: WEST, {TABLES}")
    assert (other.kind, other.in_region) == (StoreKind.INFLUXDB, "WEST")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8428", "http://localhost:8428", "http://[::1]:8428"])
def test_http_is_for_loopback_alone(tmp_path, url):
    assert east(tmp_path, f"url: '{url}', {TABLES}").is_loopback


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (f"url: 'http://store.example:8428', {TABLES}", "is http to store.example: rows and token would travel"),
        (f"url: 'http://me:s3cret@127.0.0.1', {TABLES}", "has a user or a password; put a token into a `token_file`"),
        (f"url: 'ftp://127.0.0.1', {TABLES}", "is no http or https URL with a host and without `#`"),
        (f"url: 'me:s3cret@influx.example:8086/plant', {TABLES}", "has a user or a password"),
        (f"url: 'http://me:s3cret', {TABLES}", "is no URL; give one like"),
        (f"url: 'htps://h/write?token=s3cret', {TABLES}", "has token in its query; put a token into a `token_file`"),
        (f"url: 'https://h/write?u=me&p=s3cret', {TABLES}", "has p in its query"),
        (f"url: 'https://h/write#s3cret', {TABLES}", "without `#`"),
        (f"url: 'http://127.0.0.1/my plant', {TABLES}", "has a space, a control character or one outside ASCII"),
        (f"url: 'http://127.0.0.1/mä', {TABLES}", "has a space, a control character or one outside ASCII"),
        (f"url: 'http://127.0.0.1:port', {TABLES}", "is no URL"),
        (f"url: 'http://127.0.0.1:8428/?a=b', {TABLES}", "which only the kind line-protocol has"),
        (f"url: 'http://127.0.0.1:8086', kind: influxdb, {TABLES}", "names no database"),
        (f"url: 'http://127.0.0.1:8428', kind: graphite, {TABLES}", "allowed are victoria-metrics, influxdb, line-"),
        ("url: 'http://127.0.0.1:8428', tables: []", "has no tables, so nothing is sent"),
        ("url: 'http://127.0.0.1:8428', tables: [validated_telemetry]", "give <application>/<table>"),
        ("url: 'http://127.0.0.1:8428', tables: [a/b, a/b]", "names a table twice"),
        (f"url: 'http://127.0.0.1:8428', token_file: token, {TABLES}", "give an absolute path"),
        (f"url: 'http://127.0.0.1:8428', token_scheme: Basic, {TABLES}", "allowed are Bearer and Token"),
        (f"url: 'http://127.0.0.1:8428', in_region: NORTH, {TABLES}", "a time-series store in NORTH, which no row is"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_with_its_line(tmp_path, entry, message):
    with pytest.raises(InventoryError) as found:
        east(tmp_path, entry)
    assert message in str(found.value)
    assert "line " in str(found.value)
    assert "s3cret" not in str(found.value)
