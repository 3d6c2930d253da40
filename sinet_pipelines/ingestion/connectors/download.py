"""Downloads a file over HTTP: conditional, resumed, limited in size.

Source: RFC 9110, sections 13 (conditional requests) and 14 (range requests).
"""

import http.client
import json
import re
import ssl
import urllib.error
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sinet_pipelines.errors import SourceError, UnreachableError
from sinet_pipelines.ingestion.connectors.client import BROKEN, TRIES, Client, is_busy, pause, rejected, unreachable
from sinet_pipelines.storage.files import disk_errors, write_whole

_BLOCK_BYTES = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


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
            except BROKEN as error:
                why = error
            finally:
                self.close()
            tries = 0 if self._size() > before else tries + 1
            if tries >= TRIES:
                raise unreachable(self._shown, why, also=f" ({self._size():,} bytes are here, the next pull continues)")
            pause(tries)

    def close(self) -> None:
        """Ends the present response."""
        if self._response is not None:
            self._response.close()
        self._response = None

    def remove(self) -> None:
        """Removes the file and its validator."""
        with disk_errors(self.partial):
            self.partial.unlink(missing_ok=True)
            self._state.unlink(missing_ok=True)

    def _request(self, headers: Mapping[str, str]) -> Any:
        """A response with status 200, 206 or 304."""
        why: Exception | None = None
        for attempt in range(TRIES):
            if attempt:
                pause(attempt)
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
            except BROKEN as error:
                why = error
                continue
            if found.status == 416:  # what is here is no beginning of the present file
                found.close()
                self.remove()
                headers = {}
            elif not is_busy(found.status):
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
            raise rejected(self._shown, found.status)
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
        with self._opened(start, etag if etag and not etag.startswith("W/") else modified) as file:
            size = start
            while block := response.read(_BLOCK_BYTES):
                size += len(block)
                if size > self._most:
                    raise self._too_large(size)
                with disk_errors(self.partial):
                    self._append(file, block)
                self._report(len(block))
        return total is None or size == total

    def _opened(self, start: int, validator: str) -> Any:
        """The file, which ends at the offset."""
        with disk_errors(self.partial):
            self.partial.parent.mkdir(parents=True, exist_ok=True)
            if not start:
                self.partial.unlink(missing_ok=True)
                write_whole(self._state, json.dumps({"validator": validator}).encode())
            with self.partial.open("ab") as file:
                file.truncate(start)
            return self.partial.open("ab", buffering=0)

    def _append(self, file: Any, block: bytes) -> None:
        rest = memoryview(block)
        while rest:  # without a buffer, a write may be short
            rest = rest[file.write(rest) :]

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
        except (FileNotFoundError, NotADirectoryError):
            return 0
