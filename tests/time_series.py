"""Time-series stores on ports of this machine: VictoriaMetrics, InfluxDB, and one that answers as a test decides."""

import json
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.loopback import await_port, free_port


class VictoriaMetrics:
    """The Debian package's server with a folder of its own; skips the test where it is not installed."""

    def __init__(self, folder, *, retention="10y"):
        program = shutil.which("victoria-metrics")
        if program is None:
            pytest.skip("no victoria-metrics in the PATH; install the Debian package victoria-metrics")
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "server.log"
        command = [program, f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{self.port}"]
        with log.open("ab") as output:
            self._process = subprocess.Popen([*command, f"-retentionPeriod={retention}"], stdout=output, stderr=output)
        await_port(self.port, self._process, log=log)

    @property
    def url(self):
        """Its root."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        """Ends it."""
        self._process.terminate()
        self._process.wait(60)

    def rows(self, match):
        """The samples of all series that match, as it exports them, each as (labels, instant in ms, value)."""
        self._post("/internal/force_flush", {})
        lines = self._post("/api/v1/export", {"match[]": match}).splitlines()
        found = [json.loads(line) for line in lines]
        return sorted(
            (sorted(one["metric"].items()), at, value)
            for one in found
            for at, value in zip(one["timestamps"], one["values"], strict=True)
        )

    def _post(self, path, form):
        with urlopen(Request(self.url + path, data=urlencode(form).encode()), timeout=30) as answer:
            return answer.read()


class InfluxDB:
    """The Debian package's server with the database `plant`; skips the test where it is not installed."""

    def __init__(self, folder):
        program = shutil.which("influxd")
        if program is None:
            pytest.skip("no influxd in the PATH; install the Debian package influxdb")
        port, backup = free_port(), free_port()
        folder.mkdir(parents=True, exist_ok=True)
        settings, log = folder / "influx.conf", folder / "server.log"
        settings.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{backup}"\n[meta]\ndir = "{folder}/meta"\n'
            f'[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n[http]\nbind-address = "127.0.0.1:{port}"\n'
        )
        with log.open("ab") as output:
            self._process = subprocess.Popen([program, "-config", str(settings)], stdout=output, stderr=output)
        await_port(port, self._process, log=log)
        self.url = f"http://127.0.0.1:{port}/plant"
        form = urlencode({"q": "CREATE DATABASE plant"}).encode()
        with urlopen(Request(f"http://127.0.0.1:{port}/query", data=form), timeout=30):
            pass

    def stop(self):
        """Ends it."""
        self._process.terminate()
        self._process.wait(60)


class LineServer:
    """A server that takes lines, and answers as a test decides.

    Attributes:
        lines: all lines that it took.
        requests: path, headers and body of each request.
        answers: status and headers of the next answers; then 204.
        rejects: a line with this text is answered with 400; empty for none.
        delay_s: before each answer.
    """

    def __init__(self, context=None):
        self.lines, self.requests, self.answers, self.rejects, self.delay_s = [], [], [], "", 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self):
        """The URL that takes lines."""
        return f"http://127.0.0.1:{self.port}/api/v2/write?org=plant&bucket=all%20rows"

    def stop(self):
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                server.requests.append((self.path, dict(self.headers), body))
                time.sleep(server.delay_s)
                status, headers, content = server.answer(body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        return Handler

    def answer(self, body):
        """The status, headers and content for a body."""
        if self.answers:
            return (*self.answers.pop(0), b"")
        if self.rejects and self.rejects in body:
            return 400, {}, b'{"message": "unable to parse"}'
        self.lines += body.splitlines()
        return 204, {}, b""
