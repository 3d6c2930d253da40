"""A second reading of bucket policies, and a store that enforces one: a checking process in front of another store."""

import http.client
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from tests.waiting import LIMIT_S

_KEY = re.compile(r"Credential=([^/]+)/")


def allows(policy, user, action, resource, *, prefix=None, now=None) -> bool:
    """Whether a policy lets a user do something: some statement allows it, and none denies it."""
    requested = {"s3:prefix": prefix, "aws:CurrentTime": (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    effects = {
        one["Effect"]
        for one in policy["Statement"]
        if _concerns(one, user)
        and any(fnmatchcase(action, wanted) for wanted in _listed(one["Action"]))
        and any(fnmatchcase(resource, wanted) for wanted in _listed(one["Resource"]))
        and _holds(one.get("Condition", {}), requested)
    }
    return effects == {"Allow"}


def _listed(found):
    return [found] if isinstance(found, str) else found


def _concerns(statement, user) -> bool:
    if "NotPrincipal" in statement:
        return user not in statement["NotPrincipal"]["AWS"]
    return user in statement["Principal"]["AWS"]


def _holds(condition, requested) -> bool:
    known = {"StringLike": fnmatchcase, "DateLessThan": lambda now, end: now < end}
    return all(
        requested[name] is not None and any(known[kind](requested[name], value) for value in _listed(values))
        for kind, wanted in condition.items()
        for name, values in wanted.items()
    )


@contextmanager
def enforcing(port: int, policies: Mapping[str, dict], users: Mapping[str, str]) -> Iterator[str]:
    """The address of a store that passes on what the policy of the bucket allows, and refuses the rest.

    Args:
        port: of the store behind it.
        policies: by bucket.
        users: the user of each access key; a request by another key is refused.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            body = self._body()
            if not self._is_allowed():
                self._answer(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
                return
            store = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
            store.request(self.command, self.path, body=body, headers=dict(self.headers.items()))
            found = store.getresponse()
            self._answer(found.status, dict(found.getheaders()), found.read(), length=found.getheader("content-length"))
            store.close()

        def _body(self):
            assert "chunked" not in self.headers.get("transfer-encoding", "")
            return self.rfile.read(int(self.headers.get("content-length") or 0))

        def _is_allowed(self):
            url = urlsplit(self.path)
            bucket, _, key = unquote(url.path).lstrip("/").partition("/")
            signed = _KEY.search(self.headers.get("authorization", ""))
            user = users.get(signed.group(1) if signed else "", "")
            requested = parse_qs(url.query, keep_blank_values=True)
            action = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "DELETE": "s3:DeleteObject"}.get(
                self.command, "s3:PutObject"
            )
            resource, prefix = f"arn:aws:s3:::{bucket}/{key}", None
            if not key:
                action, resource = "s3:ListBucket", f"arn:aws:s3:::{bucket}"
                prefix = requested.get("prefix", [""])[0]
            return bucket in policies and allows(policies[bucket], user, action, resource, prefix=prefix)

        def _answer(self, status, headers, body, *, length=None):
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("content-length", length if self.command == "HEAD" and length else str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = pass_on

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
