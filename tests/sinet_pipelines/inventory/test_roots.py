"""Roots of regions: how they are spelled, and that no two of them overlap."""

import pytest

from sinet_pipelines.errors import InventoryError
from sinet_pipelines.inventory.regions import read_inventory
from sinet_pipelines.inventory.roots import Root, require_apart, secret_of


@pytest.mark.parametrize("uri", ["/srv/east", "/srv/my plant #1", "s3://sinet-east", "s3://sinet-east/plants/mill_1.a"])
def test_a_folder_and_a_prefix_of_a_bucket_are_roots(uri):
    assert Root(uri).uri == uri
    assert Root(uri).is_local == uri.startswith("/")


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "",
            "/",
            "srv/east",
            "/srv/../east",
            "/srv/east/",
            "gs://east/plant",
            "https://east/plant",
            "s3://",
            "s3:/east",
        ),
        *("s3://", "s3://e", "s3://East/plant", "s3://sinet.east/plant", "s3://east/", "s3://east//plant"),
        *(
            "s3://east/../west",
            "s3://east/my plant",
            "s3://east/a#b",
            "s3://east/what?",
            "s3://east/50%25",
            "s3://east/ü",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(uri):
    with pytest.raises(InventoryError, match=r"the root .* cannot be read \(allowed: /a/folder, s3://bucket"):
        Root(uri)


@pytest.mark.parametrize("url", ["objects.east", "ftp://objects", "https://user:word@objects", "https://objects/path"])
def test_an_endpoint_that_is_no_address_of_a_store_is_refused(url):
    with pytest.raises(InventoryError, match="is no address of a store"):
        Root("s3://sinet-east", endpoint_url=url)


def test_a_folder_has_no_endpoint():
    with pytest.raises(InventoryError, match="is a folder and has no endpoint"):
        Root("/srv/east", endpoint_url="https://objects.east")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Root("/srv/data"), Root("/srv/data")),
        (Root("s3://sinet/plant"), Root("s3://sinet/plant")),
        (Root("s3://sinet/p", endpoint_url="https://a"), Root("s3://sinet/p", endpoint_url="https://a/", region="x")),
    ],
)
def test_two_regions_with_one_root_are_refused(one, other):
    with pytest.raises(InventoryError, match="EAST and WEST have one root, .*; each region has one of its own"):
        require_apart({"EAST": one, "WEST": other})


@pytest.mark.parametrize(
    ("outer", "inner"),
    [("/srv", "/srv/west"), ("s3://sinet", "s3://sinet/west"), ("s3://sinet/a", "s3://sinet/a/b/c")],
)
def test_a_root_inside_another_is_refused_in_either_order(outer, inner):
    for roots in ({"EAST": Root(outer), "WEST": Root(inner)}, {"WEST": Root(inner), "EAST": Root(outer)}):
        with pytest.raises(InventoryError, match=f"the root of WEST, {inner}, lies in that of EAST, {outer};"):
            require_apart(roots)


def test_names_that_begin_alike_and_stores_of_their_own_are_apart():
    folders = {"EAST": Root("/srv/east"), "WEST": Root("/srv/east-2"), "NULL_ISLAND": Root("s3://sinet/a")}
    stores = {"EAST": Root("s3://sinet/a", endpoint_url="https://a"), "WEST": Root("s3://sinet/a/b")}
    for roots in (folders, stores):
        assert require_apart(roots) is None


def test_the_inventory_names_a_root_and_refuses_one_in_another(tmp_path):
    path = tmp_path / "inventory.yaml"
    row = "  - {{name: {}, root: {{uri: '{}', endpoint_url: 'https://objects:9000', secret: keys}}}}\n"
    path.write_text("regions:\n" + row.format("EAST", "s3://sinet/east"))
    regions = {region.name: region for region in read_inventory(path).regions}
    assert regions["EAST"].root == Root("s3://sinet/east", endpoint_url="https://objects:9000", secret="keys")  # noqa: S106
    assert regions["WEST"].root is None
    path.write_text("regions:\n" + row.format("EAST", "s3://sinet/east") + row.format("WEST", "s3://sinet/east/west"))
    with pytest.raises(InventoryError, match="the root of WEST"):
        read_inventory(path)
    path.write_text("regions:\n" + row.format("EAST", "gs://sinet/east"))
    with pytest.raises(InventoryError, match=r"inventory.yaml, line 2: the root 'gs://sinet/east' cannot be read"):
        read_inventory(path)


def test_a_secret_has_the_name_of_its_region_unless_another_is_given():
    assert secret_of("NULL_ISLAND", Root("s3://sinet")) == "sinet-store-null-island"
    assert secret_of("EAST", Root("s3://sinet", secret="keys")) == "keys"  # noqa: S106
