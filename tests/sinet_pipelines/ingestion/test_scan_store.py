"""A landing zone in an object store: keys that no folder has, many of them, and objects that change while read."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import obstore
import pytest

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.errors import ForbiddenError, UnreachableError
from sinet_pipelines.ingestion import inspection
from sinet_pipelines.ingestion.drops import read_drop_in_batches
from sinet_pipelines.ingestion.inspection import remembered
from sinet_pipelines.storage.objects import open_objects
from tests.contracts.test_landing_zones import TODAY, ZONE, parquet
from tests.loopback import free_port
from tests.sinet_pipelines.ingestion.conftest import DAY
from tests.zones import landing_zone


@dataclass(frozen=True)
class Watched:
    """Objects that record which keys are opened, and let a test act just before."""

    objects: object
    opened: list = field(default_factory=list)
    before: dict = field(default_factory=dict)

    def __getattr__(self, name):
        return getattr(self.objects, name)

    @contextmanager
    def open(self, key):
        self.opened.append(key)
        self.before.pop(key, lambda: None)()
        with self.objects.open(key) as found:
            yield found


@pytest.fixture
def objects(s3_store):
    return Watched(open_objects(f"s3://{s3_store.bucket()}/plant", s3_store.options))


@pytest.fixture
def zone(objects, tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())
    return landing_zone(tmp_path, TELEMETRY, stores={"EAST": objects})


def unused(zone):
    return {one.path: one.reason for one in zone.unused("EAST", first_day=DAY, today=TODAY)}


@pytest.mark.slow
def test_ten_thousand_keys_are_listed_once_each(zone, objects, s3_store):
    days = [DAY + timedelta(days=number) for number in range(100)]
    keys = [f"plant/{ZONE}/{day}/drop {number:03d} #ü.parquet" for day in days for number in range(100)]
    s3_store.fill(objects.bucket, keys)
    assert zone.days("EAST") == days
    assert len(zone._parts("EAST", days[42])) == 100


def test_what_is_in_an_object_is_known_by_its_etag_also_to_the_next_process(
    zone, objects, make_rows, tmp_path, monkeypatch
):
    zone.land("EAST", DAY, name="a", rows=make_rows())
    with remembered(tmp_path / "drops.json"):
        first = zone.drops("EAST", DAY)
    assert len(objects.opened) == 1
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())
    with remembered(tmp_path / "drops.json"):
        assert zone.drops("EAST", DAY) == first
    assert len(objects.opened) == 1


def test_an_object_replaced_between_its_listing_and_its_reading_is_what_it_is_now(zone, objects, make_rows):
    key = f"{ZONE}/2026-03-01/a.parquet"
    objects.put(key, parquet(make_rows()))
    objects.before[key] = lambda: objects.put(key, parquet(make_rows(engines=1)))
    (now,) = zone.drops("EAST", DAY)
    assert now.rows == 5
    assert zone.drops("EAST", DAY)[0].drop_id == now.drop_id
    objects.put(key, parquet(make_rows()))
    assert zone.drops("EAST", DAY)[0].rows == 10  # what replaced it was not remembered under its ETag


def test_an_object_replaced_while_a_day_is_read_in_batches_is_read_in_one_state(zone, objects, make_rows, tmp_path):
    key = f"{ZONE}/2026-03-01/a.parquet"
    objects.put(key, parquet(make_rows(engines=3, cycles=8)))
    expected = zone.read_day("EAST", DAY).rows
    with inspection.open_part(zone._parts("EAST", DAY)[0]) as file:
        objects.put(key, parquet(make_rows(engines=1)))
        rows = list(read_drop_in_batches(file, TELEMETRY.drop, rows=4))
    assert sum(part.height for part in rows) == expected.height == 24


def test_an_object_of_several_parts_is_a_drop_like_any_other(zone, objects, make_rows):
    content = parquet(make_rows())
    padded = content + b""
    obstore.put(objects._store, f"{ZONE}/2026-03-01/large.parquet", padded, use_multipart=True, chunk_size=5 << 20)
    (drop,) = zone.drops("EAST", DAY)
    assert "-" in next(objects.walk()).state  # such an ETag is no hash of the bytes
    assert (drop.rows, drop.why_unreadable) == (10, "")


def test_markers_of_folders_are_no_files(zone, objects, s3_store, make_rows):
    for key in (
        "plant/",
        "plant/landing/",
        f"plant/{ZONE}/",
        f"plant/{ZONE}/2026-03-02/",
        f"plant/{ZONE}/events/truth/",
    ):
        s3_store.put(objects.bucket, key, b"")
    s3_store.put(objects.bucket, f"plant/{ZONE}/2026-03-03_$folder$", b"")
    zone.land("EAST", DAY, name="a", rows=make_rows())
    assert zone.days("EAST") == [DAY]
    assert unused(zone) == {}


@pytest.mark.parametrize("name", ["/a.parquet", "./a.parquet", "../a.parquet"])
def test_a_key_that_cannot_be_read_is_listed_and_its_neighbours_are_read(zone, objects, s3_store, make_rows, name):
    zone.land("EAST", DAY, name="a", rows=make_rows())
    s3_store.put(objects.bucket, f"plant/{ZONE}/2026-03-01/{name}", parquet(make_rows(seed=4)))
    assert zone.read_day("EAST", DAY).sent == 10
    if not name.startswith("."):  # such names are ignored everywhere
        (reason,) = unused(zone).values()
        assert reason.startswith("its key has an empty name")


@pytest.mark.slow
def test_a_store_that_is_down_or_forbids_leaves_no_day_empty(tmp_path, zone, objects, make_rows):
    zone.land("EAST", DAY, name="a", rows=make_rows())
    down = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    away = landing_zone(tmp_path, TELEMETRY, stores={"EAST": open_objects("s3://plant-east", down)})
    for read in (lambda z: z.days("EAST"), lambda z: z.read_day("EAST", DAY), lambda z: z.read_events("EAST", "truth")):
        with pytest.raises(UnreachableError, match="s3://plant-east"):
            read(away)

    def refuse():
        raise ForbiddenError("s3://plant-east refuses it")

    (key,) = [one.key for one in objects.walk()]
    for read in (lambda z: z.read_day("EAST", DAY), lambda z: z.drops("EAST", DAY)):
        objects.before[key] = refuse
        with pytest.raises(ForbiddenError):
            read(zone)
