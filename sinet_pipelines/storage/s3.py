"""Objects below a prefix of an S3-compatible bucket. No message, representation or log has the credentials.

Single objects use `obstore`; listings use `s3_listing.py`, since one key that obstore does not support (`a//b`) would
make its whole listing fail.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any, BinaryIO

from sinet_pipelines.errors import AbsentError, ConflictError, DiskError, ForbiddenError, StorageError, UnreachableError
from sinet_pipelines.storage.files import temporary_file
from sinet_pipelines.storage.objects import IN_MEMORY_BYTES, Children, Object, Tagged, is_listed, require_key
from sinet_pipelines.storage.s3_listing import Access, Page, list_pages

TIMEOUT_S = 30.0  # until a response begins or continues
CONNECT_S = 5.0
RETRIES = 3
LONGEST_S = 600.0  # of one request, whose body may be a large object
_CHUNK = 4 << 20
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def open_s3(root: str, options: Mapping[str, str]) -> "S3Objects":
    """The objects under `s3://bucket/prefix`.

    Args:
        root: bucket and prefix; the prefix may be empty.
        options: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and where needed `AWS_SESSION_TOKEN`, `AWS_REGION`,
            `AWS_ENDPOINT_URL`.

    Raises:
        StorageError: the bucket's name is invalid, the prefix could lead out of it, or a credential is missing.
    """
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/")
    if not _BUCKET.fullmatch(bucket):
        raise StorageError(f"{root!r} names no bucket (allowed: s3://bucket/prefix, a-z, 0-9, . and -); correct it")
    if prefix:
        require_key(prefix)
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    if missing := [name for name in names if not options.get(name)]:
        raise StorageError(f"no credentials for {root}: {', '.join(missing)} missing; set them for its region")
    region = options.get("AWS_REGION") or "us-east-1"
    endpoint = (options.get("AWS_ENDPOINT_URL") or f"https://s3.{region}.amazonaws.com").rstrip("/")
    if not endpoint.startswith(("http://", "https://")):
        raise StorageError(f"the endpoint of {root} is no URL of a store (allowed: http://, https://); correct it")
    access = Access(
        endpoint=endpoint,
        region=region,
        key_id=options["AWS_ACCESS_KEY_ID"],
        secret=options["AWS_SECRET_ACCESS_KEY"],
        token=options.get("AWS_SESSION_TOKEN", ""),
    )
    return S3Objects(bucket, prefix, access)


@dataclass(frozen=True)
class S3Objects:
    """The objects below a prefix; each method as in `Objects`.

    Attributes:
        bucket: its name.
        prefix: without `/` at its ends; may be empty.
        access: endpoint and credentials.
        timeout_s: time until a response begins or continues; a slower store counts as unreachable.
    """

    bucket: str
    prefix: str
    access: Access = field(repr=False)
    timeout_s: float = TIMEOUT_S

    @property
    def root(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def walk(self, prefix: str = "") -> Iterator[Object]:
        """All objects below a folder of the root, page by page, without markers of folders (`a/`)."""
        for found, _ in self._pages(prefix, is_deep=True):
            yield from self._visible(found)

    def children(self, prefix: str = "") -> Children:
        """The folders and objects directly below a folder of the root."""
        objects: list[Object] = []
        folders: list[str] = []
        for found, deeper in self._pages(prefix, is_deep=False):
            objects += self._visible(found)
            folders += [name.rstrip("/").rpartition("/")[2] for name in deeper]
        return Children(tuple(name for name in folders if name and is_listed(name)), tuple(objects))

    def stat(self, key: str) -> Object | None:
        """The object as `walk` returns it, None where there is none."""
        import obstore

        try:
            return self._object(key, obstore.head(self._store, require_key(key, prefix=self.prefix)))
        except FileNotFoundError:
            return None  # the response to HEAD is the same for a missing bucket and a missing object
        except obstore.exceptions.BaseError as error:
            raise self._translated(key, error) from error

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Its bytes from `start` on."""
        found = self._fetched(key, start, length)
        if found is None:
            raise AbsentError(f"there is no {key} in {self.root}; write it first")
        return found.content

    def get(self, key: str) -> Tagged | None:
        """Its bytes and their ETag."""
        return self._fetched(key, 0, None)

    @contextmanager
    def open(self, key: str) -> Iterator[tuple[Object, BinaryIO]]:
        """The object from one request: in memory if it is small, else as a temporary file."""
        with temporary_file("sinet-object-", in_memory_bytes=IN_MEMORY_BYTES) as file:
            one = self._download(key, file)
            file.seek(0)
            yield one, file

    def put(self, key: str, content: bytes) -> None:
        """Writes the object; a large one in parts, which become visible together."""
        self._put(key, content, None)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Writes the object unless it exists."""
        import obstore

        try:
            self._put(key, content, "create")
        except ConflictError as error:
            if isinstance(error.__cause__, obstore.exceptions.AlreadyExistsError):
                return False
            raise
        return True

    def swap(self, key: str, content: bytes, *, tag: str) -> str:
        """Replaces the object with this ETag."""
        return self._put(key, content, {"e_tag": tag})

    def delete(self, key: str) -> None:
        """Deletes the object."""
        import obstore

        try:
            obstore.delete(self._store, require_key(key, prefix=self.prefix))
        except FileNotFoundError as error:
            if self._code(error) == "NoSuchBucket":
                raise self._translated(key, error) from error
        except obstore.exceptions.BaseError as error:
            raise self._translated(key, error) from error

    @property
    def _store(self) -> Any:
        return _client(self.bucket, self.prefix, self.access, self.timeout_s)

    def _download(self, key: str, file: BinaryIO) -> Object:
        import obstore

        try:
            found = obstore.get(self._store, require_key(key, prefix=self.prefix))
            for chunk in found.stream(min_chunk_size=_CHUNK):
                file.write(chunk)
            file.flush()
        except (FileNotFoundError, obstore.exceptions.BaseError) as error:
            raise self._translated(key, error) from error
        except OSError as error:
            raise DiskError(f"{key} in {self.root} does not fit on this disk: {error.strerror}") from error
        return self._object(key, found.meta)

    def _pages(self, prefix: str, *, is_deep: bool) -> Iterator[Page]:
        below = "/".join(part for part in (self.prefix, prefix and require_key(prefix)) if part)
        begin = f"{below}/" if below else ""
        return list_pages(
            self.access, self.bucket, begin, timeout_s=self.timeout_s, failure=self._failure, is_deep=is_deep
        )

    def _visible(self, found: Iterable[Object]) -> Iterator[Object]:
        begin = f"{self.prefix}/" if self.prefix else ""
        for one in found:
            key = one.key.removeprefix(begin)
            if not key.endswith("/") and is_listed(key):
                yield Object(key, one.size, one.state, one.modified_at)

    def _fetched(self, key: str, start: int, length: int | None) -> Tagged | None:
        import obstore

        options: Any = {}
        if length == 0:
            return Tagged(b"", "")
        if length is not None:
            options["range"] = (start, start + length)
        elif start:
            options["range"] = {"offset": start}
        try:
            found = obstore.get(self._store, require_key(key, prefix=self.prefix), options=options)
            return Tagged(bytes(found.bytes()), found.meta["e_tag"] or "")
        except (FileNotFoundError, obstore.exceptions.BaseError) as error:
            if self._code(error) == "InvalidRange":
                return Tagged(b"", "")
            if isinstance(error, FileNotFoundError) and self._code(error) != "NoSuchBucket":
                return None
            raise self._translated(key, error) from error

    def _put(self, key: str, content: bytes, mode: Any) -> str:
        import obstore

        try:
            return obstore.put(self._store, require_key(key, prefix=self.prefix), content, mode=mode)["e_tag"] or ""
        except (FileNotFoundError, obstore.exceptions.BaseError) as error:
            raise self._translated(key, error) from error

    def _object(self, key: str, meta: Any) -> Object:
        return Object(key, meta["size"], meta["e_tag"] or str(meta["last_modified"]), meta["last_modified"])

    def _code(self, error: Exception) -> str:
        found = _CODE.search(str(error))
        return found.group(1) if found else ""

    def _translated(self, key: str, error: Exception) -> StorageError:
        """The error for an error of obstore, without obstore's text, which quotes requests."""
        from obstore import exceptions

        if isinstance(error, exceptions.PreconditionError | exceptions.AlreadyExistsError):
            return ConflictError(f"{key} in {self.root} was changed by another writer; read it again and repeat")
        status = _STATUS.search(str(error))
        return self._failure(key, int(status.group(1)) if status else 0, self._code(error))

    def _failure(self, key: str, status: int, code: str) -> StorageError:
        """The error for a response.

        Args:
            key: the object; empty for a listing.
            status: the HTTP status, 0 where no response came in time.
            code: the store's code of the error.
        """
        what = f"{key} in {self.root}" if key else self.root
        at = self.access.shown
        if status == 0:
            return UnreachableError(
                f"{what}: {at} does not answer within {self.timeout_s:g} s; check the endpoint and the network, and "
                "try again"
            )
        if status in (401, 403):
            return ForbiddenError(
                f"{what}: {at} refuses it ({code or status}); check the credentials of this region and the policy of "
                f"the bucket {self.bucket}"
            )
        if code == "NoSuchBucket":
            return AbsentError(f"{what}: there is no bucket {self.bucket} at {at}; create it or correct the root")
        if status == 404:
            return AbsentError(f"there is no {what}; write it first")
        if status in (409, 412):
            return ConflictError(f"{what} was changed by another writer; read it again and repeat")
        if status >= 500 or status == 429:
            return UnreachableError(f"{what}: {at} answers {status} {code}; try again when the store is well".strip())
        return StorageError(f"{what}: {at} answers {status} {code}; see its log for the request".strip())


@lru_cache(maxsize=32)
def _client(bucket: str, prefix: str, access: Access, timeout_s: float) -> Any:
    """The client of a store, cached with its connections; a new one takes 0.1 s, since it reads all certificates."""
    from obstore.store import S3Store

    config: Any = {
        "endpoint": access.endpoint,
        "region": access.region,
        "access_key_id": access.key_id,
        "secret_access_key": access.secret,
        "virtual_hosted_style_request": False,
        "conditional_put": "etag",
        # a bulk deletion has status 200 also if the store rejects it
        "disable_bulk_delete": True,
    }
    if access.token:
        config["session_token"] = access.token
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        client_options={
            "allow_http": access.endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=min(CONNECT_S, timeout_s)),
            "read_timeout": timedelta(seconds=timeout_s),
            "timeout": timedelta(seconds=LONGEST_S),
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=timeout_s)},
    )


os.register_at_fork(after_in_child=_client.cache_clear)  # connections belong to the process that opened them
