"""Caches arrays of a training in memory-mapped Arrow files, up to a total size; the least recently used go first.

A process that finds its arrays there reads only the pages that it uses, and several processes share them in memory.
"""

import os
import re
import secrets
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sinet_pipelines.words import counted

MAX_BYTES = 4 << 30  # of all files of a cache
UNUSED_DAYS = 7  # after which a file goes: sequences stay no longer beside an agreement than trainings use them
SUFFIX = ".arrow"
_NAME = re.compile(rf"[0-9a-f]{{16}}{re.escape(SUFFIX)}")

Arrays = Mapping[str, NDArray[Any]]


@dataclass
class ArrayCache:
    """Named arrays by key, in one folder.

    Attributes:
        folder: of the files; it may be removed at any time.
        max_bytes: total size of the files; an entry that is larger is not stored.
        hits: number of calls of this object that found their arrays.
        misses: number of calls that made them.
        seconds: duration of the last call.
    """

    folder: Path
    max_bytes: int = MAX_BYTES
    hits: int = field(default=0, init=False)
    misses: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)

    def arrays(self, key: str, make: Callable[[], Arrays]) -> dict[str, NDArray[Any]]:
        """The arrays of a key, read-only where they come from a file; a damaged file is made again.

        Args:
            key: 16 hex digits, a hash of everything that the arrays depend on.
            make: makes the arrays: of numbers or booleans, of any shape.
        """
        started = time.perf_counter()
        path = self.folder / f"{key}{SUFFIX}"
        found = _read(path)
        if found is not None:
            self.hits += 1
            with suppress(OSError):  # a read-only folder: the order of removal is then that of writing
                os.utime(path)
        else:
            self.misses += 1
            found = {name: np.ascontiguousarray(array) for name, array in make().items()}
            self._write(path, found)
        self._shrink(but=path)
        self.seconds = time.perf_counter() - started
        return found

    @property
    def summary(self) -> str:
        """One sentence: hit rate, duration of the last call, size."""
        size = sum(size for _, size, _ in self._files())
        calls = counted(self.hits + self.misses, "read")
        return f"training cache: {self.hits} of {calls} found, the last in {self.seconds:.2f} s; {size / 1e6:.1f} MB"

    def _write(self, path: Path, arrays: Arrays) -> None:
        """Writes the file in one step and removes what is over the limit; without space there is no file."""
        if sum(array.nbytes for array in arrays.values()) > self.max_bytes:
            return
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_table(partial, arrays)
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _shrink(self, *, but: Path) -> None:
        """Removes files that were not used for some days, then the least recently used ones over the limit."""
        files, oldest = sorted(self._files()), time.time() - UNUSED_DAYS * 86_400
        total = sum(size for _, size, _ in files)
        for used_at, size, path in files:
            if path != but and (total > self.max_bytes or used_at < oldest):
                with suppress(OSError):  # a read-only folder
                    path.unlink(missing_ok=True)
                total -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        """Time of the last use, size and path of each file; files of other names are not of the cache."""
        found = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            if _NAME.fullmatch(path.name):
                with suppress(FileNotFoundError):
                    state = path.stat()
                    found.append((state.st_mtime, state.st_size, path))
        return found


def _write_table(path: Path, arrays: Arrays) -> None:
    """One row with the bytes of each array; type, shape and checksum are metadata of its column."""
    fields, columns = [], []
    for name, array in arrays.items():
        content = pa.py_buffer(array)
        facts = {"dtype": array.dtype.str, "shape": ",".join(map(str, array.shape)), "crc32": str(zlib.crc32(content))}
        fields.append(pa.field(name, pa.large_binary(), nullable=False, metadata=facts))
        offsets = pa.py_buffer(np.array([0, array.nbytes], dtype=np.int64))
        columns.append(pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, content]))
    schema = pa.schema(fields)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file as views of its mapped pages; None where it is missing or damaged."""
    try:
        batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        return {field.name: _array(batch.column(field.name), field) for field in batch.schema}
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def _array(column: pa.Array, described: pa.Field) -> NDArray[Any]:
    facts = {key.decode(): value.decode() for key, value in described.metadata.items()}
    content = column.buffers()[2]
    shape = tuple(int(part) for part in facts["shape"].split(",") if part)
    dtype = np.dtype(facts["dtype"])
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    view = memoryview(content)[:size] if content is not None else memoryview(b"")
    if zlib.crc32(view) != int(facts["crc32"]):
        raise ValueError(f"column {described.name} has another checksum; it is made again")
    return np.frombuffer(view, dtype=dtype).reshape(shape)
