"""Downloads a file over HTTP: conditional, resumed, limited in size, with credentials for its host alone.

Source: RFC 9110, sections 13 (conditional requests) and 14 (range requests).
"""

import http.client
import json
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sinet_pipelines.errors import ForbiddenError, SourceError, StorageError, UnreachableError
from sinet_pipelines.storage.files import write_whole

TIMEOUT_S = 30.0  # until a response begins or continues
TRIES = 4  # without a new byte
PAUSE_S = 0.5
REDIRECTS = 5
_BLOCK_BYTES = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
#: What a connection raises when the server goes away.
_BROKEN = (OSError, http.client.HTTPException)


class Client:
    """Sends GET requests; headers with credentials go to the host of the URL alone.

    Args:
        headers: headers with credentials.
        ca_file: certificates of the authority that signed the server's; empty for those of the system.

    Raises:
        SourceError: the file of certificates cannot be read.
    """

    def __init__(self, headers: Mapping[str, str], *, ca_file: str = "") -> None:
        self._headers = dict(headers)
        try:
            context = ssl.create_default_context(cafile=ca_file or None)
        except (OSError, ValueError) as error:
            raise SourceError(f"{ca_file} is no file of certificates ({type(error).__name__}); correct it") from error
        self._opener = urllib.request.build_opener(_Redirects(), urllib.request.HTTPSHandler(context=context))

    def get(self, url: str, headers: Mapping[str, str]) -> Any:
        """The response, also one with an error status; it must be closed.

        Raises:
            OSError, HTTPException: there is no response.
            SourceError: a redirect leads to what may not be followed.
        """
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - http or https, checked above
        for name, value in self._headers.items():
            request.add_unredirected_header(name, value)
        try:
            return self._opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            return error

    def read_small(self, url: str, *, most_bytes: int, shown: str) -> bytes | None:
        """A small file, None where there is none.

        Raises:
            UnreachableError: the server does not answer.
        """
        try:
            with self.get(url, {}) as found:
                return found.read(most_bytes) if found.status == 200 else None
        except _BROKEN as error:
            raise unreachable(shown, error) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        before, after = _origin(req.full_url), _origin(newurl)
        if after[0] not in ("http", "https") or (before[0] == "https" and after[0] == "http"):
            raise SourceError(
                f"{before[1]} redirects from {before[0]} to {after[0]}, which is not followed; give the URL that it "
                "redirects to"
            )
        if made is not None and before == after:
            for name, value in req.unredirected_hdrs.items():
                if name != "Host":
                    made.add_unredirected_header(name, value)
        return made


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


class Download:
    """One download, whose first bytes may be on disk from an earlier process.

    Args:
        client: sends the requests.
        url: URL of the file.
        shown: the URL in the form for messages.
        partial: the file; its validator is in a file beside it.
        most_bytes: size of the largest accepted file.
        report: is called with the number of bytes whenever some were read.
    """

    def __init__(
        self,
        client: Client,
        url: str,
        *,
        shown: str,
        partial: Path,
        most_bytes: int,
        report: Callable[[int], None],
    ) -> None:
        self.partial = partial
        self._client, self._url, self._shown, self._most = client, url, shown, most_bytes
        self._state = partial.with_suffix(".json")
        self._report = report
        self._response: Any = None
        self._version = ""

    def start(self, known: str) -> bool:
        """Sends the first request; returns whether the file is another than the known version.

        Args:
            known: version of the file that was read last; empty for none.

        Raises:
            SourceError: there is no such file, or the server rejects the request.
            ForbiddenError: it rejects the credentials.
            UnreachableError: it does not answer.
        """
        etag, _, modified = known.partition("\n")
        headers = {"If-None-Match": etag} if etag else {"If-Modified-Since": modified} if modified else {}
        self._response = self._request(self._resuming() or headers)
        if self._response.status == 304:
            self._response.close()
            return False
        return True

    def finish(self) -> str:
        """Downloads the rest, as often as the server goes away; returns the version.

        Raises:
            SourceError: the file is too large, or was removed.
            ForbiddenError: as in `start`.
            UnreachableError: the server went away for good; what is here is continued by the next pull.
        """
        tries = 0
        while True:
            before = self._size()
            why: Exception = http.client.IncompleteRead(b"")
            try:
                if self._response is None:
                    self._response = self._request(self._resuming() or {})
                if self._take():
                    return self._version
            except _BROKEN as error:
                why = error
            finally:
                if self._response is not None:
                    self._response.close()
                self._response = None
            tries = 0 if self._size() > before else tries + 1
            if tries >= TRIES:
                raise unreachable(self._shown, why, also=f" ({self._size():,} bytes are here, the next pull continues)")
            time.sleep(PAUSE_S * 2**tries)

    def remove(self) -> None:
        """Removes the file and its validator."""
        self.partial.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def _request(self, headers: Mapping[str, str]) -> Any:
        """A response with status 200, 206 or 304."""
        why: Exception | None = None
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE_S * 2**attempt)
            try:
                found = self._client.get(self._url, headers)
            except ssl.SSLError as error:
                raise unreachable(self._shown, error) from error
            except urllib.error.URLError as error:
                if isinstance(error.reason, ssl.SSLCertVerificationError):
                    raise SourceError(
                        f"the certificate of {self._shown} is not trusted ({error.reason.verify_message}); give its "
                        "authority with the option ca_file"
                    ) from error
                why = error
                continue
            except _BROKEN as error:
                why = error
                continue
            if found.status == 416:  # what is here is no beginning of the present file
                found.close()
                self.remove()
                headers = {}
            elif found.status < 500 and found.status != 429:
                return self._accepted(found)
            else:
                found.close()
                why = UnreachableError(f"it answers {found.status}")
        raise unreachable(self._shown, why or UnreachableError("it answers 416"))

    def _accepted(self, found: Any) -> Any:
        if found.status in (200, 206, 304):
            return found
        found.close()
        if found.status in (401, 403):
            raise ForbiddenError(
                f"{self._shown} rejects the credentials (status {found.status}); correct user, password or token in "
                "the file of --options"
            )
        raise SourceError(f"{self._shown} answers {found.status}; correct the URL, or put the file there again")

    def _resuming(self) -> dict[str, str]:
        """The headers that request the rest of the file; empty where nothing is here."""
        try:
            validator = str(json.loads(self._state.read_text())["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        size = self._size()
        return {"Range": f"bytes={size}-", "If-Range": validator} if size and validator else {}

    def _take(self) -> bool:
        """Appends the body of the response; returns whether the file is complete."""
        response = self._response
        start, total = self._place(response)
        if start is None:
            self.remove()  # the range is not the requested one
            return False
        if total is not None and total > self._most:
            raise self._too_large(total)
        etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
        self._version = f"{etag}\n{modified}" if etag or modified else ""
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        if not start:
            validator = etag if etag and not etag.startswith("W/") else modified
            self.partial.unlink(missing_ok=True)
            write_whole(self._state, json.dumps({"validator": validator}).encode())
        size = start
        with self.partial.open("ab", buffering=0) as file:
            file.truncate(start)
            while block := response.read(_BLOCK_BYTES):
                size += len(block)
                if size > self._most:
                    raise self._too_large(size)
                self._append(file, block)
                self._report(len(block))
        return total is None or size == total

    def _append(self, file: Any, block: bytes) -> None:
        try:
            rest = memoryview(block)
            while rest:  # without a buffer, a write may be short
                rest = rest[file.write(rest) :]
        except OSError as error:  # of this disk, not of the connection
            raise StorageError(
                f"{self.partial} cannot be written: {error.strerror}; free space and try again"
            ) from error

    def _place(self, response: Any) -> tuple[int | None, int | None]:
        """The offset of the body's first byte, None for an unusable one, and the size of the file, None if unknown."""
        if response.status != 206:
            length = response.headers.get("Content-Length", "")
            return 0, int(length) if length.isdigit() else None
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        requested, etag = self._resuming().get("If-Range", ""), response.headers.get("ETag", "")
        is_other = requested.startswith('"') and etag.startswith('"') and requested != etag  # it ignored If-Range
        if found is None or is_other or int(found.group(1)) > self._size():
            return None, None
        return int(found.group(1)), None if found.group(3) == "*" else int(found.group(3))

    def _too_large(self, size: int) -> SourceError:
        self.remove()
        return SourceError(
            f"{self._shown} has {size:,} bytes or more (allowed: {self._most:,}); raise the option max_bytes"
        )

    def _size(self) -> int:
        try:
            return self.partial.stat().st_size
        except FileNotFoundError:
            return 0


def unreachable(shown: str, error: Exception, *, also: str = "") -> UnreachableError:
    """The error for a server that does not answer."""
    reason = getattr(error, "reason", None) or error
    why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return UnreachableError(
        f"{shown} does not answer{also}: {why}; start its server, or check the network, and try again"
    )
