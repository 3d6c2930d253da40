"""A stream in a region's row is one that a pod can read, and no message repeats a password."""

import pytest

from sinet_pipelines.errors import InventoryError
from sinet_pipelines.inventory.regions import read_inventory
from sinet_pipelines.inventory.streams import Stream

MILLS = "nats://broker:4222/mills"


def test_the_streams_of_a_region_are_read_from_the_file(tmp_path):
    path = tmp_path / "inventory.yaml"
    path.write_text(
        "regions:\n  - name: WEST\n    streams:\n"
        f"      - {{url: '{MILLS}', application: milling, name: mills-1, options_secret: nats-mills}}\n"
        "      - {url: 'mqtt://broker/engines/#', application: turbofan, memory_mib: 4096}\n"
    )
    west = read_inventory(path).region("WEST")
    assert west.streams == (
        Stream(MILLS, "milling", name="mills-1", options_secret="nats-mills"),
        Stream("mqtt://broker/engines/#", "turbofan", memory_mib=4096),
    )
    assert read_inventory(path).region("EAST").streams == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "nats://broker"}, "the url of a stream is 'nats://broker'; give one like nats://broker:4222/mills"),
        ({"url": "nats://bro ker/mills"}, "the url of a stream is 'nats://bro ker/mills'"),
        ({"name": "a/b"}, "a stream is called 'a/b'; allowed are letters, digits, . _ and -, at most 63"),
        ({"name": "--json"}, "a stream is called '--json'"),
        ({"options_secret": "Nats"}, "options_secret is 'Nats'; allowed are small letters, digits, '-' and '.'"),
        ({"cpu_millicores": 0}, "a stream without cpu_millicores or memory_mib; give whole numbers of 1 or more"),
        ({"memory_mib": -1}, "a stream without cpu_millicores or memory_mib"),
    ],
)
def test_a_stream_that_no_pod_can_read_is_refused(change, words):
    with pytest.raises(InventoryError, match=words):
        Stream(**{"url": MILLS, "application": "milling", **change})


@pytest.mark.parametrize(
    "url", ["nats://mill:s3cret@broker/mills", "nats://s3cret@broker/mills", "nats://broker/mills?token=s3cret"]
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url):
    with pytest.raises(InventoryError, match="name it as `options_secret`") as caught:
        Stream(url, "milling")
    assert "s3cret" not in str(caught.value)


def test_a_wildcard_and_an_at_sign_in_a_topic_are_no_credentials():
    assert Stream("mqtt://broker/$share/mills/a@b/#", "milling").url.endswith("/#")
