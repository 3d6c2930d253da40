"""Credentials of one region at the store of a region, from a mounted folder or the environment, never stored.

    $SINET_CREDENTIALS/<REGION>/<STORE>/access_key_id   the folder; also secret_access_key and session_token
    SINET_<REGION>_AT_<STORE>_ACCESS_KEY_ID             without a folder; also ..._SECRET_ACCESS_KEY, ..._SESSION_TOKEN

`<REGION>` is the region with this identity, `<STORE>` the region of the opened store: with `EAST/WEST/`, EAST reads in
WEST. A pod mounts only its own region's credentials, for the stores that its edges need.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from sinet_pipelines.errors import StorageError

FOLDER = "SINET_CREDENTIALS"
NEEDED = ("access_key_id", "secret_access_key")
OPTIONAL = ("session_token",)


def credentials(reader: str, *, store: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The credentials of a region at a store, as options (`AWS_ACCESS_KEY_ID`, ...), read at each call.

    Args:
        reader: the region with this identity.
        store: the region of the store.
        environ: the environment; None for that of this process.

    Raises:
        StorageError: one of them is missing or cannot be read; the message has the expected place.
    """
    environ = os.environ if environ is None else environ
    found = {name: _value(reader, store, name, environ) for name in (*NEEDED, *OPTIONAL)}
    if missing := [_place(reader, store, name, environ) for name in NEEDED if not found[name]]:
        raise StorageError(
            f"{reader} has no credentials at the store of {store}: {' and '.join(missing)} missing; set them, or "
            f"mount the Secret of that store"
        )
    return {f"AWS_{name.upper()}": value for name, value in found.items() if value}


def has_credentials(reader: str, *, store: str, environ: Mapping[str, str] | None = None) -> bool:
    """Whether any credential of a region at a store is set or mounted."""
    environ = os.environ if environ is None else environ
    return any(_value(reader, store, name, environ) for name in NEEDED)


def variable(reader: str, store: str, name: str) -> str:
    """The environment variable of a credential.

    >>> variable("EAST", "NULL_ISLAND", "access_key_id")
    'SINET_EAST_AT_NULL_ISLAND_ACCESS_KEY_ID'
    """
    return f"SINET_{reader}_AT_{store}_{name.upper()}"


def _place(reader: str, store: str, name: str, environ: Mapping[str, str]) -> str:
    if folder := environ.get(FOLDER):
        return str(Path(folder, reader, store, name))
    return variable(reader, store, name)


def _value(reader: str, store: str, name: str, environ: Mapping[str, str]) -> str:
    if FOLDER not in environ:
        return environ.get(variable(reader, store, name), "").strip()
    path = Path(_place(reader, store, name, environ))
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read ({type(error).__name__}); mount it as a readable file") from error
