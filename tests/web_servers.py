"""A web server on a port of this machine: ETag, ranges, redirects, credentials, and what goes wrong on purpose."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class WebServer:
    """Files at a port.

    Attributes:
        files: content by path.
        redirects: target by path.
        requests: path and headers of each request.
        breaks: for each path, after how many bytes of each of the next answers the connection ends.
        authorization: the header that is needed; empty for none.
        ignores_range: whether ranges are ignored.
        range_shift: bytes by which a range begins earlier than requested.
        status: by path, a status instead of the file.
        has_etag: whether answers have an ETag.
    """

    def __init__(self):
        self.files, self.redirects, self.status = {}, {}, {}
        self.requests, self.breaks, self.authorization = [], {}, ""
        self.ignores_range, self.range_shift, self.has_etag = False, 0, True
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self):
        """The address of its root."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        return Handler

    def answer(self, request):
        """Answers one request and closes the connection."""
        request.close_connection = True
        path = unquote(urlsplit(request.path).path)
        self.requests.append((path, dict(request.headers)))
        if path in self.redirects:
            return self._head(request, 302, {"Location": self.redirects[path], "Content-Length": "0"})
        if self.authorization and request.headers.get("Authorization") != self.authorization:
            return self._head(request, 401, {"Content-Length": "0"})
        if path in self.status or path not in self.files:
            return self._head(request, self.status.get(path, 404), {"Content-Length": "0"})
        content = self.files[path]
        etag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
        tags = {"ETag": etag} if self.has_etag else {}
        if request.headers.get("If-None-Match") == etag:
            return self._head(request, 304, tags)
        asked = request.headers.get("Range")
        if asked and not self.ignores_range and request.headers.get("If-Range") == etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self._head(request, 416, {"Content-Length": "0"})
            start = max(0, start - self.range_shift)
            place = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            return self._body(request, path, 206, content[start:], {**tags, **place})
        return self._body(request, path, 200, content, tags)

    def _body(self, request, path, status, content, headers):
        self._head(request, status, {**headers, "Content-Length": str(len(content))})
        breaks = self.breaks.get(path)
        request.wfile.write(content[: breaks.pop(0)] if breaks else content)

    def _head(self, request, status, headers):
        request.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            request.send_header(name, value)
        request.end_headers()
