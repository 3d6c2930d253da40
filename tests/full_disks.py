"""A disk that is full, for this process: no file can grow beyond a size."""

import resource
from contextlib import contextmanager


@contextmanager
def full_disk(*, after_bytes):
    """Each write beyond this size of a file fails in the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
