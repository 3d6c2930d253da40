"""Connects a stream again when the file with its options changes, for example to a new password or certificate.

What was read is stored first, and the stream continues after the stored offsets. A new file that cannot be used is
reported, and the old connection stays. A broker that does not answer, or that rejects the new options, is waited for,
since it may learn them later than this machine.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sinet_pipelines.errors import RejectedError, SourceError, UnreachableError, UsageError
from sinet_pipelines.ingestion.streams.ingester import Ingester
from sinet_pipelines.ingestion.streams.source import StreamSource, read_options

LOOK_S = 1.0  # between two looks at the files
RETRY_S = 2.0  # between two tries to connect

Connect = Callable[[], StreamSource]  # reads the options; raises SourceError or UsageError where they cannot be used
_State = tuple[tuple[str, int, int, int], ...]


class Options:
    """The options of a stream's client in a file, and the files that they name.

    Args:
        path: the file; None for no options, which never change.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._looked_at = time.monotonic()
        self._state = self._read_state()

    def have_changed(self) -> bool:
        """Whether a file was replaced or rewritten since this was last true; looks once a second."""
        now = time.monotonic()
        if self._path is None or now - self._looked_at < LOOK_S:
            return False
        self._looked_at = now
        state = self._read_state()
        is_other, self._state = bool(state) and state != self._state, state or self._state
        return is_other

    def _read_state(self) -> _State:
        """Inode, size and time of each file; empty while the options cannot be read, which is so during a change."""
        if self._path is None:
            return ()
        try:
            named = [one for _, one in sorted(read_options(self._path).items()) if isinstance(one, str)]
            files = [self._path, *(Path(one) for one in named if os.path.isfile(one))]  # noqa: PTH113 any text, of any length
            found = [(str(path), path.stat()) for path in files]
        except (SourceError, OSError):
            return ()
        return tuple((name, one.st_ino, one.st_size, one.st_mtime_ns) for name, one in found)


def run_with_rotation(
    ingester: Ingester,
    options: Options,
    connect: Connect,
    *,
    stop: Callable[[], bool],
    idle_s: float | None = None,
    report: Callable[[], None],
    notify: Callable[[str], None],
) -> None:
    """Runs an ingester until it is stopped, over changes of its options; errors are those of `Ingester.run`.

    Args:
        ingester: of the stream.
        options: of its client.
        connect: returns a source with the present options.
        stop: whether to end.
        idle_s: as in `Ingester.run`.
        report: as in `Ingester.run`.
        notify: prints a sentence about a change.
    """
    following: list[StreamSource] = []

    def is_renewed() -> bool:
        if not following and options.have_changed():
            try:
                following.append(connect())
            except (SourceError, UsageError) as error:
                notify(f"the new options are not used: {error}")
        return bool(following)

    ingester.run(lambda: stop() or is_renewed(), idle_s=idle_s, report=report)
    while following and not stop():
        ingester.connect_by(following.pop())
        notify("connects again with the new options")
        try:
            ingester.run(lambda: stop() or is_renewed(), idle_s=idle_s, report=report)
        except (UnreachableError, RejectedError) as error:
            notify(f"waits: {error}")
            while not (following or stop() or is_renewed()):
                _wait(lambda: stop() or is_renewed())
                with suppress(SourceError, UsageError):  # a file that is being replaced; it was reported
                    following += [] if following else [connect()]


def _wait(is_over: Callable[[], bool]) -> None:
    end = time.monotonic() + RETRY_S
    while time.monotonic() < end and not is_over():
        time.sleep(0.1)
