"""A store that is down, slow, forbids, lacks its bucket or holds keys that no library spells."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import obstore
import pytest

from sinet_pipelines.errors import AbsentError, ConflictError, ForbiddenError, StorageError, UnreachableError
from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.storage.s3 import S3Objects
from tests.loopback import free_port

KEY, SECRET = "AKIASECRETKEYID00001", "sEcReT/value+of=the-key"  # noqa: S105
USES = {
    "walk": lambda o: list(o.walk("a")),
    "stat": lambda o: o.stat("a"),
    "read": lambda o: o.read("a"),
    "get": lambda o: o.get("a"),
    "open": lambda o: o.open("a").__enter__(),
    "put": lambda o: o.put("a", b"1"),
    "put_if_absent": lambda o: o.put_if_absent("a", b"1"),
    "swap": lambda o: o.swap("a", b"1", tag='"x"'),
    "delete": lambda o: o.delete("a"),
}
every_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


def objects_at(url, *, bucket="plant-east", timeout_s=30.0):
    options = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    found = open_objects(f"s3://{bucket}/my plant", options)
    return S3Objects(found.bucket, found.prefix, found.access, timeout_s=timeout_s)


@pytest.fixture
def answering():
    """Starts a store that answers every request alike."""
    servers = []

    def start(status, code):
        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("content-length") or 0))
                body = b"" if self.command == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = answer

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def require_clear(message):
    """One sentence that names the bucket, and no credential."""
    assert "plant-east" in message
    assert KEY not in message
    assert SECRET not in message
    assert "\n" not in message
    assert "Debug" not in message


@every_use
def test_an_endpoint_that_is_down_is_unreachable(use):
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError, match="does not answer within 2 s; check the endpoint") as error:
        use(objects_at(url, timeout_s=2))
    require_clear(str(error.value))
    assert url in str(error.value)


@every_use
def test_an_endpoint_that_never_answers_is_given_up(use):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="does not answer within 0.5 s") as error:
            use(objects_at(url, timeout_s=0.5))
        took = time.monotonic() - began
    require_clear(str(error.value))
    assert took < 120  # of 0.5 s and few tries; without a limit it waits for ever


@every_use
def test_a_store_that_forbids_is_named_with_the_cure(use, answering):
    with pytest.raises(ForbiddenError, match="check the credentials of this region and the policy") as error:
        use(objects_at(answering(403, "AccessDenied")))
    require_clear(str(error.value))


@every_use
def test_a_store_that_fails_is_unreachable(use, answering):
    with pytest.raises(UnreachableError, match="answers 503.*try again when the store is well") as error:
        use(objects_at(answering(503, "SlowDown"), timeout_s=1))
    require_clear(str(error.value))


@pytest.mark.parametrize("use", [USES[name] for name in USES if name != "stat"], ids=[n for n in USES if n != "stat"])
def test_a_missing_bucket_is_named(use, s3_store):
    # a store answers a condition on nothing as it likes
    expected = (AbsentError, ConflictError) if use is USES["swap"] else AbsentError
    with pytest.raises(expected, match="plant-east") as error:
        use(objects_at(s3_store.url))
    require_clear(str(error.value))


def test_a_lost_conditional_write_is_one_sentence(s3_store):
    bucket = s3_store.bucket()
    objects = objects_at(s3_store.url, bucket=bucket)
    objects.put("leases/run", b"first")
    tag = objects.get("leases/run").tag
    objects.put("leases/run", b"second")
    with pytest.raises(ConflictError) as error:
        objects.swap("leases/run", b"third", tag=tag)
    expected = f"leases/run in s3://{bucket}/my plant was changed by another writer; read it again and repeat"
    assert str(error.value) == expected


def test_credentials_are_in_no_representation():
    assert SECRET not in repr(objects_at("http://127.0.0.1:1"))
    assert KEY not in repr(objects_at("http://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("root", "options", "message"),
    [
        ("s3://", {}, "names no bucket"),
        ("s3://Plant_East/a", {}, "names no bucket"),
        ("s3://plant-east/../a", {}, "no key"),
        ("s3://plant-east/a", {"AWS_ACCESS_KEY_ID": KEY}, "AWS_SECRET_ACCESS_KEY missing"),
        (
            "s3://plant-east/a",
            {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": "file:///etc"},
            "no URL of a store",
        ),
    ],
)
def test_a_root_that_cannot_be_is_refused_before_anything_is_sent(root, options, message):
    with pytest.raises(StorageError, match=message) as error:
        open_objects(root, options)
    assert SECRET not in str(error.value)


def test_keys_that_no_library_spells_hide_no_neighbour(s3_store):
    bucket = s3_store.bucket()
    for key in ("my plant/a", "my plant/n//m", "my plant/folder/", "my plant/folder/b", "my plant/./dot"):
        s3_store.put(bucket, key, b"1")
    objects = objects_at(s3_store.url, bucket=bucket)
    assert [one.key for one in objects.walk()] == ["a", "folder/b", "n//m"]
    with pytest.raises(StorageError, match="no key of an object"):
        objects.read("n//m")


def test_a_listing_of_many_pages_has_every_key_once(s3_store):
    bucket = s3_store.bucket()
    objects = objects_at(s3_store.url, bucket=bucket)
    expected = [f"day/{number:05d} ü.parquet" for number in range(2_300)]
    s3_store.fill(bucket, [f"my plant/{key}" for key in expected])
    assert [one.key for one in objects.walk("day")] == expected


def test_a_listing_and_an_object_of_several_parts_have_one_state(s3_store):
    bucket = s3_store.bucket()
    objects = objects_at(s3_store.url, bucket=bucket)
    content = bytes(12 << 20)
    obstore.put(objects._store, "large", content, use_multipart=True, chunk_size=5 << 20)
    listed = next(objects.walk())
    assert "-3" in listed.state  # an ETag of three parts is no hash of the bytes
    assert listed == objects.stat("large")
    with objects.open("large") as (one, file):
        assert one == listed
        assert file.read() == content
