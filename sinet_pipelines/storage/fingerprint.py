"""A fingerprint: a short hash of the inputs of an object; equal parts in equal order have equal fingerprints."""

import hashlib


def fingerprint(*parts: object) -> str:
    """The first 16 hex digits of the SHA-256 of the parts as text, a separator between them.

    >>> fingerprint("raw", 1)
    'ba4581ca6603590a'
    """
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:16]
