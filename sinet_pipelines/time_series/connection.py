"""Requests to a time-series store over HTTP: with limits of time, repeated where a later one may succeed.

A redirect is refused, since rows and token would go elsewhere. No proxy of the environment is used. The token is read
for each request, so a rotated one works at once.
"""

import http.client
import os
import ssl
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from sinet_pipelines.errors import ForbiddenError, StorageError, UnreachableError, UsageError
from sinet_pipelines.inventory.time_series import TimeSeries

TIMEOUT_S = 30.0  # until a response begins or continues, and for a whole response
TRIES = 5
PAUSE_S = 0.5  # before the second attempt; doubled after each, so that all take 8 seconds
LONGEST_PAUSE_S = 30.0  # of a store that names the pause itself
MOST_BYTES = 1 << 20  # of a response: counts and messages are small
BROKEN = (OSError, http.client.HTTPException)


def token_of(region: str, settings: TimeSeries, environ: Mapping[str, str] | None = None) -> str:
    """The token of a region at its time-series store, read at each call; empty for none.

    Args:
        region: name of the region.
        settings: with the file of the token, if it is in one.
        environ: the environment; None for that of this process.

    Raises:
        UsageError: others can read the file, or the variable has no token of one line.
        StorageError: the file cannot be read, or has no token.
    """
    if not settings.token_file:
        name = variable(region)
        token = (os.environ if environ is None else environ).get(name, "").strip()
        if token and not _is_token(token):
            raise UsageError(f"{name} has no token of one line of ASCII characters; write the token into it")
        return token
    path = Path(settings.token_file)
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise UsageError(
                    f"{path} can be read by others (mode {stat.S_IMODE(mode):o}, allowed: 600); its token is then no "
                    "secret: run `chmod 600` on it"
                )
            token = file.read(MOST_BYTES).strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise StorageError(f"the token file {path} cannot be read ({why}); write the token into it") from error
    if not _is_token(token):
        raise StorageError(f"the token file {path} has no token of one line; write the token into it")
    return token


def _is_token(text: str) -> bool:
    return bool(text) and text.isprintable() and text.isascii()


def variable(region: str) -> str:
    """The environment variable of a region's token.

    >>> variable("EAST")
    'SINET_EAST_TIME_SERIES_TOKEN'
    """
    return f"SINET_{region}_TIME_SERIES_TOKEN"


class Connection:
    """Requests to one store; used by one thread.

    Args:
        region: whose rows are sent; its token is used.
        settings: of the store.

    Raises:
        UsageError: the certificates cannot be read.
    """

    def __init__(self, region: str, settings: TimeSeries) -> None:
        self._region, self._settings = region, settings
        self._root = urlsplit(settings.url)
        self.shown = f"{self._root.scheme}://{self._root.netloc}{self._root.path}"
        try:
            is_https = self._root.scheme == "https"
            self._tls = ssl.create_default_context(cafile=settings.ca_file or None) if is_https else None
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{settings.ca_file} is no file of certificates ({type(error).__name__}); correct `ca_file`"
            ) from error

    @property
    def path(self) -> str:
        """The path of the URL, without a slash at its end."""
        return self._root.path.rstrip("/")

    @property
    def query(self) -> str:
        """The query of the URL."""
        return self._root.query

    def post(
        self, path: str, body: bytes = b"", *, query: str | Mapping[str, str] = "", form: bool = False
    ) -> tuple[int, bytes]:
        """The status and content of the response: of success, or of a request that the store rejects (400, 413, 422).

        Args:
            path: of the request.
            body: lines, or a form.
            query: of the request.
            form: whether the body is a form.

        Raises:
            UnreachableError: the store does not respond in time, or has no place.
            ForbiddenError: it rejects the token.
            StorageError: it redirects, or has no such path.
        """
        target = f"{path or '/'}?{query if isinstance(query, str) else urlencode(query)}".rstrip("?")
        why = "no answer"
        for attempt in range(TRIES):
            try:
                status, headers, content = self._once(target, body, form=form)
            except ssl.SSLCertVerificationError as error:
                raise ForbiddenError(
                    f"the certificate of {self.shown} is not trusted ({error.verify_message}); name its authority's "
                    "file as `ca_file`"
                ) from error
            except BROKEN as error:
                why = getattr(error, "strerror", None) or str(error) or type(error).__name__
                self._wait(attempt)
                continue
            if status < 300 or status in (400, 413, 422):
                return status, content
            self._refuse(status, headers)
            why = f"it answers {status}{_reason(content) if form else ''}"  # of lines, it may repeat values of rows
            self._wait(attempt, named=headers.get("retry-after", ""))
        raise UnreachableError(
            f"the time-series store {self.shown} does not take rows: {why} ({TRIES} attempts); start it, or give it "
            "space; days that are not made are sent by the next run"
        )

    def _wait(self, attempt: int, *, named: str = "") -> None:
        if attempt + 1 < TRIES:
            own = PAUSE_S * 2**attempt
            time.sleep(min(max(own, float(named)), LONGEST_PAUSE_S) if named.isdecimal() else own)

    def _once(self, target: str, body: bytes, *, form: bool) -> tuple[int, dict[str, str], bytes]:
        headers = {"Content-Type": "application/x-www-form-urlencoded" if form else "text/plain; charset=utf-8"}
        if token := token_of(self._region, self._settings):
            headers["Authorization"] = f"{self._settings.token_scheme} {token}"
        host, port = self._root.hostname or "", self._root.port
        opened = (
            http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
            if self._tls is None
            else http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self._tls)
        )
        try:
            opened.request("POST", target, body, headers)
            response = opened.getresponse()
            content = _read(response)
        finally:
            opened.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, content

    def _refuse(self, status: int, headers: Mapping[str, str]) -> None:
        """Raises for a status that no later attempt changes."""
        if 300 <= status < 400:
            to = urlsplit(headers.get("location", ""))
            raise StorageError(
                f"{self.shown} redirects to {to.scheme}://{to.hostname or ''}, which is not followed, since rows and "
                "token would go there; write the URL of the store into the region's row"
            )
        if status in (401, 403):
            where = self._settings.token_file or variable(self._region)
            raise ForbiddenError(f"{self.shown} rejects the token (status {status}); correct it in {where}")
        if status < 500 and status not in (408, 425, 429):
            raise StorageError(
                f"{self.shown} answers {status}: it is no store of kind {self._settings.kind}, or lacks the database; "
                "correct `url` and `kind` of time_series in the region's row"
            )


def _read(response: http.client.HTTPResponse) -> bytes:
    """The content, up to a limit of size and time: a store that sends a byte now and then ends here.

    Raises:
        TimeoutError: it takes longer.
    """
    until, content = time.monotonic() + TIMEOUT_S, b""
    while len(content) < MOST_BYTES and (part := response.read1(1 << 16)):
        content += part
        if time.monotonic() > until:
            raise TimeoutError(f"its answer was not complete after {TIMEOUT_S:g} s")
    return content


def _reason(content: bytes) -> str:
    text = " ".join(content.decode(errors="replace").split())[:200]
    return f" ({text})" if text else ""
