"""The time in which a pass over landing zones may open files.

Only opened files count: a pass lists every zone however long that takes, and files that are known take no time of the
others. So each pass reads at least one new file of each zone, and a zone with many leaves some time to the others.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

LEAST_S = 0.5  # for each zone, whatever the zones before it needed: some hundred small files


class ReadingTime:
    """A time in which files are opened.

    Attributes:
        seconds: how long files may be opened; no file is where it is not positive.
        spent_s: how long files were opened.
    """

    def __init__(self, seconds: float, *, within: "ReadingTime | None" = None) -> None:
        self.seconds = seconds
        self.spent_s = 0.0
        self._within = within

    @property
    def is_over(self) -> bool:
        """Whether no further file is opened; a file that is open is read to its end."""
        return self.spent_s >= self.seconds

    def share(self, zones: int) -> "ReadingTime":
        """The time of the next of some zones: the rest of this time, or a small time if the rest is smaller.

        All zones together take twice this time at most, but for the last file of each.
        """
        return ReadingTime(max(self.seconds - self.spent_s, min(LEAST_S, self.seconds / zones)), within=self)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts the time of its body, also of the time of which this is a share."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._spend(time.monotonic() - start)

    def _spend(self, seconds: float) -> None:
        self.spent_s += seconds
        if self._within is not None:
            self._within._spend(seconds)
