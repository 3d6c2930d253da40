"""One YAML file changes or adds a region or a kind; whatever is wrong in it is said with its line."""

import os
import re
import textwrap
from dataclasses import fields, replace
from datetime import date

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinet_pipelines.errors import InventoryError
from sinet_pipelines.inventory import file as inventory_file
from sinet_pipelines.inventory.figures import Figure
from sinet_pipelines.inventory.file import inventory_path, with_entries
from sinet_pipelines.inventory.hardware import GIB, read_hardware
from sinet_pipelines.inventory.regions import read_inventory
from sinet_pipelines.inventory.sites import Agreement, TierKind
from tests.conftest import CHECKOUT
from tests.inventory import EAST, HARDWARE, REGIONS

NORTH = """
regions:
  - name: NORTH
    role: a plant of its own
    hardware: [nvidia-t4, cpu]
    cluster: {kubeconfig_context: north, node_cpu_millicores: 8000}
"""


@pytest.fixture
def written(tmp_path):
    """Writes an inventory file; its path."""

    def write(text):
        path = tmp_path / "inventory.yaml"
        path.write_text(text)
        return path

    return write


def by_name(path):
    return {region.name: region for region in read_inventory(path).regions}


def test_without_a_file_the_rows_are_those_of_this_house():
    assert read_inventory(None).regions == REGIONS
    assert read_hardware(None) == HARDWARE


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "regions: []\n", "{}"])
def test_a_file_that_says_nothing_changes_nothing(written, text):
    assert read_inventory(written(text)).regions == REGIONS


def test_a_fourth_region_is_one_entry_after_the_others(written):
    found = by_name(written(NORTH))
    assert list(found) == ["EAST", "WEST", "NULL_ISLAND", "NORTH"]
    north = found["NORTH"]
    assert (north.key, north.hardware) == ("north", ("nvidia-t4", "cpu"))
    assert (north.cluster.kubeconfig_context, north.cluster.node_cpu_millicores) == ("north", 8000)
    assert north.cluster.namespace == "sinet"


def test_a_region_there_is_changes_in_what_is_said_alone(written):
    east = by_name(
        written(
            """
regions:
  - name: EAST
    cluster: {namespace: ml-east, queue: "", env: {HTTPS_PROXY: "http://proxy:3128"}}
    pue: 1.08
    carbon_g_per_kwh: {values: [HOURS], source: our own meter}
    agreements:
      - {table: live_sequences, to: WEST, purpose: inference, until: 2027-03-31}
    storage:
      - {kind: object-store, where: "https://s3.example", read_gib_per_s: 2, usd_per_gib_month: 0.02}
""".replace("HOURS", ", ".join(["31.5"] * 24))
        )
    )["EAST"]
    assert (east.cluster.namespace, east.cluster.queue) == ("ml-east", "")
    assert east.cluster.env == {"HTTPS_PROXY": "http://proxy:3128"}
    assert east.cluster.kubeconfig_context == EAST.cluster.kubeconfig_context
    assert (east.role, east.hardware, east.links) == (EAST.role, EAST.hardware, EAST.links)
    assert east.pue == Figure(1.08, "inventory.yaml, line 5")  # a bare number's source is its line
    assert (east.carbon_g_per_kwh.at(30), east.carbon_g_per_kwh.source) == (31.5, "our own meter")
    assert east.agreements == (Agreement("live_sequences", "WEST", "inference", date(2027, 3, 31)),)
    assert [tier.kind for tier in east.storage] == [TierKind.OBJECT_STORE]


def test_a_kind_is_changed_and_another_joins(written):
    kinds = {
        row.id: row
        for row in read_hardware(
            written("""
hardware:
  - id: nvidia-t4
    usd_per_hour: {value: 0.31, source: our contract of 2026}
    usd_per_hour_spot: null
    interruptions_per_hour: null
  - id: nvidia-l4
    memory_bytes: 25769803776
    formats: [fp32, bf16, int8]
    access: direct
    source: NVIDIA L4 data sheet
    accelerator: gpu
    power_w: {value: 72, source: NVIDIA L4 data sheet}
    usd_per_hour: {value: 0.7, source: near list prices, is_assumption: true}
    peak_tflops: {int8: {value: 242, source: NVIDIA L4 data sheet}}
    resource_name: nvidia.com/gpu
    node_labels: {nvidia.com/gpu.product: NVIDIA-L4}
    taint: nvidia.com/gpu
""")
        )
    }
    assert kinds["nvidia-t4"].usd_per_hour == Figure(0.31, "our contract of 2026")
    assert kinds["nvidia-t4"].usd_per_hour_spot is None
    assert kinds["nvidia-t4"].memory_bytes == 16 * GIB
    assert kinds["nvidia-l4"].peak_tflops["int8"].value == 242
    assert kinds["nvidia-l4"].usd_per_hour.is_assumption


WRONG = {
    "a section there is not": ("region:\n  - name: NORTH\n", "line 1: there is no section 'region'; the sections are"),
    "no list": ("regions: {name: NORTH}\n", "line 1: a mapping stands here; a list"),
    "no mapping": ("regions:\n  - NORTH\n", "line 2: a scalar stands here; a mapping"),
    "no name": ("regions:\n  - role: a plant\n", "line 2: an entry of regions has no name; add `name"),
    "a word there is not": (NORTH + "    colour: blue\n", "line 7: region has no 'colour'; it has name, role"),
    "a word twice": (NORTH + "    role: another\n", "line 7: 'role' stands here twice"),
    "a name twice": (NORTH + NORTH.split("\n", 2)[2], r"line 7: two regions are called 'NORTH' \(the other: line 3\)"),
    "one key for two": (NORTH.replace("NORTH", "North"), "line 3: a region is called 'North'; names are capitals"),
    "too little": ("regions:\n  - name: NORTH\n", "line 2: region without role, hardware, cluster; add them"),
    "a cluster without context": (
        NORTH.replace("kubeconfig_context: north, ", ""),
        "line 6: cluster without kubeconfig_context",
    ),
    "text for a number": (
        NORTH.replace("8000", "8 cores"),
        "line 6: node_cpu_millicores: found '8 cores'; a whole number is wanted",
    ),
    "a quantity for a number": (
        "hardware:\n  - {id: cpu,\n     memory_bytes: 80Gi}\n",
        "line 3: memory_bytes: found '80Gi'; a whole number is wanted",
    ),
    "a number for text": (
        NORTH.replace("a plant of its own", "42"),
        "line 4: role: found '42'; text is wanted .put it in q",
    ),
    "a list for text": (
        NORTH.replace("a plant of its own", "[a]"),
        "line 4: role: a sequence stands here; text is wanted",
    ),
    "no day": (
        NORTH + "    agreements:\n      - {table: t, to: EAST, purpose: training, until: 2027-02-30}\n",
        "line 8: '2027-02-30': day is out of range for month; a day .2027-12-31. is wanted",
    ),
    "an agreement without an end": (
        NORTH + "    agreements:\n      - {table: t, to: EAST, purpose: training}\n",
        "line 8: agreement without until; add them",
    ),
    "an agreement that never ends": (
        NORTH + "    agreements:\n      - {table: t, to: EAST, purpose: training, until: never}\n",
        "line 8: until: found 'never'; a day .2027-12-31. is wanted",
    ),
    "an agreement with nobody": (
        NORTH + "    agreements:\n      - {table: t, to: SOUTH, purpose: training, until: 2027-02-28}\n",
        r"line 3: NORTH has an agreement with SOUTH, which no row is \(known: EAST, WEST, NULL_ISLAND, NORTH\)",
    ),
    "hardware there is not": (NORTH.replace("nvidia-t4", "abacus"), "line 3: NORTH has hardware abacus, which no row"),
    "no cpu": (NORTH.replace(", cpu", ""), "line 3: NORTH has no cpu .nvidia-t4.; add it"),
    "raw let in": (NORTH + "    accepts: [feature, raw]\n", "line 3: NORTH accepts raw, which never leaves"),
    "a class there is not": (
        NORTH + "    accepts: [feature, secret]\n",
        "line 7: accepts: found 'secret'; allowed are raw, seq",
    ),
    "a day of 23 hours": (
        NORTH + f"    carbon_g_per_kwh: {{values: {[1] * 23}, source: meter}}\n",
        "line 7: 23 hours from 'meter', the least 1; give 24 numbers of 0 or more",
    ),
    "a price below nothing": (NORTH + "    pue: -1\n", "line 7: a figure is -1"),
    "a figure from nowhere": (NORTH + "    pue: {value: 1.1}\n", "line 7: figure without source"),
    "a tier mounted nowhere": (
        NORTH + "    storage:\n      - {kind: local-nvme, where: x, read_gib_per_s: 1, usd_per_gib_month: 0}\n",
        "line 8: local-nvme at x is mounted at ''; give an absolute mount_path",
    ),
    "a format there is not": ("hardware:\n  - {id: cpu, formats: [fp3]}\n", "line 2: cpu has formats .'fp3'. .known"),
    "a price of spot alone": (
        "hardware:\n  - {id: fpga, usd_per_hour_spot: 1}\n",
        "line 2: fpga: give usd_per_hour_spot and interruptions_per_hour both, or neither",
    ),
    "a stream of no application": (
        NORTH + "    streams:\n      - {url: nats://broker/mills}\n",
        "line 8: stream without application; add them",
    ),
    "a field that a stream has not": (
        NORTH + "    streams:\n      - {url: nats://broker/mills, application: milling, region: EAST}\n",
        "line 8: stream has no 'region'; it has url, application, name, options_secret, cpu_millicores, memory_mib",
    ),
    "a password in a stream": (
        NORTH + "    streams:\n      - {url: nats://mill:s3cret@broker/mills, application: milling}\n",
        "line 8: the url of the stream of milling has a user, a password or a `.`; put the client's options into a Se",
    ),
    "no url of a stream": (
        NORTH + "    streams:\n      - {url: broker/mills, application: milling}\n",
        "line 8: the url of a stream is 'broker/mills'; give one like nats://broker:4222/mills",
    ),
    "two streams of one name": (
        NORTH + "    streams:\n"
        "      - {url: nats://broker/mills, application: milling, name: a}\n"
        "      - {url: nats://broker/others, application: another, name: a}\n",
        "line 3: two streams of NORTH are called a; rename one",
    ),
    "two streams of one application": (
        NORTH + "    streams:\n"
        "      - {url: nats://broker/mills, application: milling}\n"
        "      - {url: mqtt://broker/mills, application: milling}\n",
        "line 3: two streams of NORTH have the application milling, and one process at a time stores",
    ),
    "no YAML": ("regions:\n  - name: [NORTH\n", "line 3: no YAML: "),
    "a tab": ("regions:\n\t- name: NORTH\n", "line 2: no YAML: found character"),
}


WRONG |= {
    "lists 20,000 deep": ("regions: " + "[" * 20_000, "line 1: lists and mappings stand more than 20 deep"),
    "mappings 20,000 deep": ("regions:\n" + "- " * 20_000 + "x\n", "line 2: lists and mappings stand more than 20"),
    "brackets that close": ("regions: " + "[" * 5_000 + "]" * 5_000, "line 1: lists and mappings stand more than 20"),
    "3,000 regions": (
        "regions:\n" + "".join(f"  - {{name: R{n}, role: a, hardware: [cpu]}}\n" for n in range(3_000)),
        "line 1: 3,000 entries of regions; at most 200 are read",
    ),
    "no number": (NORTH + "    pue: .nan\n", "line 7: pue: found '.nan'; a finite number is wanted"),
    "a number without end": (NORTH + "    pue: {value: .inf, source: a}\n", "line 7: value: found '.inf'; a finite"),
    "a float too large": (NORTH + "    pue: 1.0e+400\n", r"line 7: pue: found '1.0e\+400'; a finite number"),
    "400 digits for a price": (NORTH + f"    pue: {'9' * 400}\n", "line 7: pue: found a number of 400 digits"),
    "400 digits for a count": (NORTH.replace("8000", "9" * 400), "line 6: node_cpu_millicores: found a number of 400"),
    "5,000 digits": (
        NORTH.replace("8000", "9" * 5_000),
        r"line 6: '9+'\.\.\. \(5,000 characters\): .*a whole number is",
    ),
    "a section twice": (NORTH + "regions: []\n", "line 7: 'regions' stands here twice"),
    "a name in another alphabet": (NORTH.replace("NORTH", "ÉTÉ"), "line 3: a region is called 'ÉTÉ'; names are capit"),
    "a name of 300 letters": (NORTH.replace("NORTH", "N" * 300), "line 3: a region is called 'N+'; names are capitals"),
    "a region within itself": ("regions: &all\n  - *all\n", "line 1: a sequence stands here; a mapping"),
    "an alias of nothing": ("regions: *all\n", "line 1: no YAML: found undefined alias"),
    "two documents": (NORTH + "---\n" + NORTH, "line 7: no YAML: but found another document"),
    "a tag of Python": (
        NORTH.replace("a plant of its own", "!!python/object/apply:os.system [id]"),
        "line 4: role: a sequence stands here",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_with_its_line(written, what):
    text, words = WRONG[what]
    path = written(text)
    with pytest.raises(InventoryError, match=f"inventory.yaml, {words}"):
        read_inventory(path)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8) | st.dates()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "source", "values", "to", "table", "kind", "kubeconfig_context"])
            | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
FIELDS = [("regions", "name", f.name) for f in fields(EAST)] + [("hardware", "id", f.name) for f in fields(HARDWARE[0])]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FIELDS), st.sampled_from(["EAST", "cpu", "NORTH"]), VALUES)
def test_whatever_stands_in_the_file_is_rows_or_one_error_with_its_place(tmp_path, field, named, value):
    section, by, name = field
    path = tmp_path / "inventory.yaml"
    path.write_text(yaml.safe_dump({section: [{by: named, name: value}]}))
    message = str(path)
    try:
        assert read_inventory(path).regions
    except InventoryError as error:
        message = str(error)
    assert str(path) in message


def test_two_rows_of_one_name_are_refused():
    with pytest.raises(InventoryError, match=r"two rows of regions have one name \(there are: EAST\); rename one"):
        with_entries((EAST, replace(EAST, role="another")), "regions", by="name", path=None)


@pytest.mark.parametrize("end", [None, "2028-12-31"])
def test_an_agreement_ends_on_a_day(end):
    with pytest.raises(InventoryError, match="the agreement on t to EAST has no end .*; add its last day"):
        Agreement("t", "EAST", "training", end)


def test_an_agreement_names_what_it_is_about():
    with pytest.raises(InventoryError, match="names table, to and purpose, and this one does not"):
        Agreement("t", "EAST", "", date(2028, 1, 1))


def test_a_file_that_is_larger_than_any_inventory_is_refused(written):
    path = written("# a log, named by mistake\n" * 100_000)
    with pytest.raises(InventoryError, match="inventory.yaml is larger than 1,048,576 bytes"):
        read_inventory(path)


def test_a_hundred_regions_are_read_one_after_another_and_each_once(written, monkeypatch):
    entry = NORTH.split("\n", 2)[2]
    path = written("regions:\n" + "".join(entry.replace("NORTH", f"R{n}") for n in range(100)))
    reads = []
    monkeypatch.setattr(inventory_file, "_text", lambda path: reads.append(path) or path.read_text())
    assert len(read_inventory(path).regions) == len(REGIONS) + 100
    assert len(reads) == 2  # the sections; not once a region


def test_a_control_character_is_refused(written):
    with pytest.raises(InventoryError, match="inventory.yaml: no YAML: .*control characters are not allowed"):
        read_inventory(written("regions:\n  - name: NO\0RTH\n"))


def test_a_byte_order_mark_is_no_part_of_the_first_word(written):
    path = written("")
    path.write_bytes(b"\xef\xbb\xbf" + NORTH.lstrip().encode())
    assert "NORTH" in by_name(path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "inventory.yaml"
    path.write_bytes(b"\xff\xfe\x00regions")
    with pytest.raises(InventoryError, match="inventory.yaml: no YAML: .*write it as text in UTF-8"):
        read_inventory(path)


def test_the_file_is_the_one_that_is_named_or_lies_beside_the_checkout(written, tmp_path, monkeypatch):
    monkeypatch.delenv("SINET_INVENTORY", raising=False)
    monkeypatch.setenv("SINET_PROJECT", str(tmp_path))
    assert inventory_path() is None
    path = written(NORTH)
    assert inventory_path() == path
    other = path.with_name("other.yaml")
    other.write_text("")
    monkeypatch.setenv("SINET_INVENTORY", str(other))
    assert inventory_path() == other
    other.unlink()
    with pytest.raises(
        InventoryError, match=r"SINET_INVENTORY is .*other.yaml, which is no file; name an inventory file"
    ):
        inventory_path()


@pytest.mark.parametrize("kind", ["a folder", "a link to itself", "a link to nothing", "a pipe"])
def test_what_is_no_file_beside_the_checkout_is_refused_and_not_passed_over(tmp_path, monkeypatch, kind):
    monkeypatch.delenv("SINET_INVENTORY", raising=False)
    monkeypatch.setenv("SINET_PROJECT", str(tmp_path))
    path = tmp_path / "inventory.yaml"
    {
        "a folder": path.mkdir,
        "a link to itself": lambda: path.symlink_to(path),
        "a link to nothing": lambda: path.symlink_to(tmp_path / "nothing"),
        "a pipe": lambda: os.mkfifo(path),
    }[kind]()
    with pytest.raises(InventoryError, match=r"inventory.yaml is no file .*; put the file there or remove it"):
        inventory_path()


def test_a_file_that_may_not_be_read_is_refused(written, monkeypatch):
    path = written(NORTH)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)  # the tests may run as a user who may read anything
    with pytest.raises(InventoryError, match="inventory.yaml cannot be read: Permission denied"):
        read_inventory(path)


def test_the_files_that_the_pages_show_are_read(written):
    shown = [(CHECKOUT / "docs" / "clusters.md").read_text(), inventory_file.__doc__]
    for page in shown:
        block = re.search(r"^    regions:\n(?:    .*\n|\n)+", page, re.MULTILINE)[0]
        found = by_name(written(textwrap.dedent(block)))
        assert found["NORTH"].cluster.kubeconfig_context.endswith("north")
        assert found["EAST"].cluster.namespace.startswith("ml")


@pytest.mark.parametrize("expected", ["01000", "10:01", "0_7"])
def test_a_number_that_readers_of_yaml_read_each_in_its_way_is_refused(written, expected):
    path = written(f"regions:\n  - name: EAST\n    cluster: {{run_as_user: {expected}}}\n")
    with pytest.raises(InventoryError, match=f"line 3: run_as_user: found '{expected}', which may be of base 8 or 60"):
        read_inventory(path)


@pytest.mark.parametrize("beside", [(), ("inventory.yaml",)])
def test_the_file_name_of_version_0_1_is_refused_with_the_new_one(tmp_path, monkeypatch, beside):
    monkeypatch.delenv("SINET_INVENTORY", raising=False)
    monkeypatch.setenv("SINET_PROJECT", str(tmp_path))
    for name in ("registry.yaml", *beside):
        (tmp_path / name).write_text("regions: []")
    with pytest.raises(InventoryError, match=r"registry.yaml has the name of version 0.1; rename it to inventory.yaml"):
        inventory_path()


def test_the_variable_of_version_0_1_is_refused_with_the_new_one(monkeypatch):
    monkeypatch.setenv("SINET_REGISTRY", "registry.yaml")
    with pytest.raises(InventoryError, match="set SINET_INVENTORY instead"):
        inventory_path()
