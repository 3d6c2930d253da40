"""A real Redis server on a port of this machine, in a folder of its own."""

import secrets
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.loopback import await_port, free_port


@dataclass
class RedisServer:
    """A server with a password.

    Attributes:
        folder: of its files.
        port: on 127.0.0.1.
        password: of its default user.
        process: the running server; None while it is stopped.
        scheme: `redis`, or `rediss` for TLS.
    """

    folder: Path
    port: int
    password: str
    process: subprocess.Popen | None = None
    scheme: str = "redis"

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}/0"

    def start(self, *options):
        """Starts the server without keys; with options for its port too, where there are any."""
        log = self.folder / "log"
        settings = [f"requirepass {self.password}", "bind 127.0.0.1", 'save ""', "appendonly no", f"dir {self.folder}"]
        if not options:
            settings.append(f"port {self.port}")
        (self.folder / "redis.conf").write_text("\n".join([*settings, *options, ""]))
        with log.open("wb") as output:
            command = [_program(), str(self.folder / "redis.conf")]
            self.process = subprocess.Popen(command, stdout=output, stderr=output, cwd=self.folder)
        await_port(self.port, self.process, log=log)

    def stop(self):
        """Ends the server; its keys are lost."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(60)
            self.process = None

    def client(self, **more):
        """A client of the tests."""
        from redis import Redis

        return Redis.from_url(self.url, password=self.password, **more)


def _program():
    found = shutil.which("redis-server", path="/usr/bin:/usr/sbin:/usr/local/bin")
    if found is None:
        pytest.skip("no redis-server; install the Debian package redis-server")
    return found


@contextmanager
def running_redis():
    """A server until left; skips the test where the server or its client is not installed."""
    pytest.importorskip("redis", reason="no client of Redis; install redis")
    _program()
    folder = Path(tempfile.mkdtemp(prefix="sinet-tests-redis-"))
    server = RedisServer(folder, free_port(), secrets.token_hex(12))
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
