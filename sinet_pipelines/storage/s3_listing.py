"""Lists a bucket page by page over HTTP, requests signed by AWS Signature Version 4; keys are returned unchanged.

Source: Amazon S3 API reference, ListObjectsV2, and "Authenticating Requests (AWS Signature Version 4)".
"""

import hashlib
import hmac
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote_plus, urlsplit
from xml.etree import ElementTree

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.objects import Object

TRIES = 3
_EMPTY = hashlib.sha256(b"").hexdigest()
_PAUSE_S = 0.2
Page = tuple[list[Object], list[str]]  # objects, and folders of deeper objects, each with `/` at its end
Failure = Callable[[str, int, str], StorageError]  # of a key, an HTTP status (0: no response) and the store's code


@dataclass(frozen=True)
class Access:
    """The access to a bucket.

    Attributes:
        endpoint: URL of the store, without a path at its end.
        region: region name of the store.
        key_id: id of the access key.
        secret: secret of the access key.
        token: token of temporary credentials; empty for permanent ones.
    """

    endpoint: str
    region: str
    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The endpoint in the form for messages: without user name and password."""
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


def list_pages(
    access: Access, bucket: str, prefix: str, *, timeout_s: float, failure: Failure, is_deep: bool = True
) -> Iterator[Page]:
    """The objects whose keys begin with the prefix, in the order of their keys, up to 1,000 a page.

    Args:
        access: endpoint and credentials.
        bucket: its name.
        prefix: ends with `/`, or is empty.
        timeout_s: time until a response begins or continues.
        failure: makes the error for a response that is not a page.
        is_deep: whether to list keys with another `/` after the prefix; else their folders are listed.

    Raises:
        StorageError: the error of `failure` for a response that is not a page.
    """
    token = ""
    while True:
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
        query |= {} if is_deep else {"delimiter": "/"}
        query |= {"continuation-token": token} if token else {}
        root = _page(access, bucket, query, timeout_s, failure)
        yield (
            [_object(one) for one in root if _name(one) == "Contents"],
            [unquote_plus(_text(one, "Prefix")) for one in root if _name(one) == "CommonPrefixes"],
        )
        token = _text(root, "NextContinuationToken")
        if not token:
            return


def _page(
    access: Access, bucket: str, query: dict[str, str], timeout_s: float, failure: Failure
) -> ElementTree.Element:
    met: StorageError | None = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(_PAUSE_S * 2**attempt)
        try:
            with urllib.request.urlopen(_request(access, bucket, query), timeout=timeout_s) as answer:  # noqa: S310 - http
                return ElementTree.fromstring(answer.read())  # noqa: S314 - of the region's own store
        except urllib.error.HTTPError as error:
            met = failure("", error.code, _code(error.read()))
            if error.code < 500:
                raise met from None
        except TimeoutError:
            raise failure("", 0, "") from None  # no retry, so that the wait is bounded
        except (OSError, ElementTree.ParseError):
            met = failure("", 0, "")
    raise met or failure("", 0, "")


def _request(access: Access, bucket: str, query: dict[str, str]) -> urllib.request.Request:
    """The signed request of a page."""
    parts = urlsplit(access.endpoint)
    host = parts.netloc.rpartition("@")[2]
    path = quote(f"{parts.path}/{bucket}")
    encoded = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in sorted(query.items()))
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    headers = {"host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": now}
    if access.token:
        headers["x-amz-security-token"] = access.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"GET\n{path}\n{encoded}\n{lines}\n{names}\n{_EMPTY}"
    scope = f"{now[:8]}/{access.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{access.secret}".encode()
    for word in (*scope.split("/"), text):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access.key_id}/{scope},SignedHeaders={names},Signature={key.hex()}"
    )
    return urllib.request.Request(f"{parts.scheme}://{host}{path}?{encoded}", headers=headers)  # noqa: S310 - http


def _object(entry: ElementTree.Element) -> Object:
    at = datetime.fromisoformat(_text(entry, "LastModified"))
    return Object(unquote_plus(_text(entry, "Key")), int(_text(entry, "Size")), _text(entry, "ETag") or str(at), at)


def _code(body: bytes) -> str:
    try:
        return _text(ElementTree.fromstring(body), "Code")  # noqa: S314 - of the region's own store
    except ElementTree.ParseError:
        return ""


def _text(element: ElementTree.Element, name: str) -> str:
    """The text of a child, whose name may be in a namespace."""
    return next((child.text or "" for child in element if _name(child) == name), "")


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
