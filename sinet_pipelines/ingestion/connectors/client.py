"""Sends requests over HTTP: with a limit of time, and with credentials for the host of the URL alone."""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sinet_pipelines.errors import ForbiddenError, SourceError, UnreachableError

TIMEOUT_S = 30.0  # until a response begins or continues
TRIES = 4  # without a new byte
PAUSE_S = 0.5
REDIRECTS = 5
#: What a connection raises when the server goes away.
BROKEN = (OSError, http.client.HTTPException)


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

        A store answers 403 for a file that is not there, if its user may not list the others.

        Raises:
            ForbiddenError: the server rejects the credentials.
            UnreachableError: it does not answer, or neither with the file nor that there is none.
        """
        why: Exception = UnreachableError("no answer")
        for attempt in range(TRIES):
            if attempt:
                pause(attempt)
            try:
                with self.get(url, {}) as found:
                    if found.status == 200:
                        content: bytes = found.read(most_bytes)
                        return content
                    status = found.status
            except BROKEN as error:
                why = error
                continue
            if status in (403, 404, 410):
                return None
            if status == 401:
                raise rejected(shown, status)
            why = UnreachableError(f"it answers {status}")
            if not is_busy(status):
                break
        raise unreachable(shown, why) from why


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


def pause(tries: int) -> None:
    """Waits before another try, longer after each one."""
    time.sleep(PAUSE_S * 2**tries)


def is_busy(status: int) -> bool:
    """Whether a later request may be answered."""
    return status >= 500 or status == 429


def rejected(shown: str, status: int) -> ForbiddenError:
    """The error for credentials that the server rejects."""
    return ForbiddenError(
        f"{shown} rejects the credentials (status {status}); correct user, password or token in the file of --options"
    )


def unreachable(shown: str, error: Exception, *, also: str = "") -> UnreachableError:
    """The error for a server that does not answer."""
    reason = getattr(error, "reason", None) or error
    why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return UnreachableError(
        f"{shown} does not answer{also}: {why}; start its server, or check the network, and try again"
    )
