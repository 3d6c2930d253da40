"""S3-compatible stores that tests start: moto as a process of its own on a free loopback port."""

import json
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.waiting import LIMIT_S

SERVER = Path(__file__).with_name("s3_server.py")


@dataclass(frozen=True)
class Store:
    """A running store.

    Attributes:
        process: that serves it.
        port: on 127.0.0.1.
        key_id: of the access key that its tests use.
        secret: of the same.
    """

    process: subprocess.Popen
    port: int
    key_id: str
    secret: str

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> dict[str, str]:
        """What opens objects and tables in it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            "aws_conditional_put": "etag",
        }

    def bucket(self, name: str = "") -> str:
        """A new bucket: its name."""
        name = name or f"test-{secrets.token_hex(6)}"
        self.put(name, "", b"")
        return name

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Writes an object under any key, also one that the platform would not write."""
        path = quote(f"/{bucket}/{key}" if key else f"/{bucket}")
        request = urllib.request.Request(f"{self.url}{path}", data=content, method="PUT")
        request.add_header("Content-Type", "application/octet-stream")
        urllib.request.urlopen(request, timeout=LIMIT_S).close()

    def fill(self, bucket: str, keys: Sequence[str]) -> None:
        """Writes many empty objects, faster than by a request each."""
        self.process.stdin.write(f"{json.dumps([bucket, list(keys)])}\n")
        self.process.stdin.flush()
        assert int(self.process.stdout.readline()) == len(keys)


@contextmanager
def running_store(*, environment: dict[str, str] | None = None) -> Iterator[Store]:
    """A store until left; its process ends with the input it reads from, however this process ends."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        port = process.stdout.readline().strip()
        assert port, "the store did not start: its error is above"
        yield Store(process, int(port), f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20))
    finally:
        process.stdin.close()
        process.wait(LIMIT_S)
        process.stdout.close()
