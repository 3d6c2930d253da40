"""Access to a region's Redis server: password and TLS files, read at each new connection and never stored.

    $SINET_CREDENTIALS/<REGION>/online/password   the folder; also ca.crt, tls.crt and tls.key
    SINET_<REGION>_ONLINE_PASSWORD                without a folder; also ..._CA_FILE, ..._CERT_FILE and ..._KEY_FILE

A replaced password is used by the next connection; no program needs a restart.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinet_pipelines.errors import ForbiddenError, StorageError, UnreachableError, UsageError, first_line
from sinet_pipelines.storage.credentials import FOLDER

if TYPE_CHECKING:
    from redis import Redis

CONNECT_S, ANSWER_S = 2.0, 10.0
RETRIES = 1  # of a command whose connection broke, as after a restart of the server
_FILES = {"CA_FILE": "ca.crt", "CERT_FILE": "tls.crt", "KEY_FILE": "tls.key"}
_SSL = {"CA_FILE": "ssl_ca_certs", "CERT_FILE": "ssl_certfile", "KEY_FILE": "ssl_keyfile"}


@dataclass(frozen=True)
class OnlineAccess:
    """The address of a region's Redis server.

    Attributes:
        region: the region with the credentials.
        url: `redis://host:port/database`, or `rediss://` for TLS; without a password.
        user: user of the server; empty for its default user.
    """

    region: str
    url: str
    user: str = ""

    def connect(self) -> "Redis":
        """A client of the server; it connects at its first command.

        Raises:
            UsageError: the client library is not installed.
            StorageError: a file of a credential cannot be read, or others can read it.
        """
        try:
            from redis import Redis
            from redis.backoff import ExponentialBackoff
            from redis.retry import Retry
        except ModuleNotFoundError as error:
            raise UsageError(
                f"{self.url} needs the module {error.name}; install it with `pip install 'sinet-pipelines[clusters]'`"
            ) from error
        tls = {_SSL[name]: path for name in _FILES if (path := _file(self.region, name, os.environ))}
        more: dict[str, Any] = {**tls, "ssl_check_hostname": True} if self.url.startswith("rediss://") else {}
        return Redis.from_url(
            self.url,
            credential_provider=_Credentials(self),
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), RETRIES),
            **more,
        )


@dataclass(frozen=True)
class _Credentials:
    """The user and the password, as the client library requests them for each new connection."""

    access: OnlineAccess

    def get_credentials(self) -> tuple[str, ...]:
        """User and password, the password alone, or nothing."""
        password = read_password(self.access.region)
        user = (self.access.user,) if self.access.user else ()
        return (*user, password) if password else ()


def read_password(region: str, *, environ: Mapping[str, str] | None = None) -> str:
    """The password of a region at its Redis server; empty where none is set.

    Args:
        region: its name.
        environ: the environment; None for that of this process.

    Raises:
        StorageError: the file cannot be read, or others can read it.
    """
    environ = os.environ if environ is None else environ
    if FOLDER not in environ:
        return environ.get(f"SINET_{region}_ONLINE_PASSWORD", "").strip()
    path = Path(environ[FOLDER], region, "online", "password")
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXO | stat.S_IWGRP):  # a mounted Secret may be readable by the group of its pod
            raise StorageError(
                f"{path} can be read or changed by others (mode {stat.S_IMODE(mode):o}, allowed: 600, 440); its "
                "password is then no secret: run `chmod 600` on it"
            )
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read ({type(error).__name__}); mount it as a readable file") from error


def _file(region: str, name: str, environ: Mapping[str, str]) -> str:
    """The path of a TLS file; empty where there is none."""
    if FOLDER not in environ:
        return environ.get(f"SINET_{region}_ONLINE_{name}", "")
    path = Path(environ[FOLDER], region, "online", _FILES[name])
    return str(path) if path.is_file() else ""


@contextmanager
def server_errors(access: OnlineAccess) -> Iterator[None]:
    """Makes errors of the platform of those that the client library raises in the block.

    Raises:
        ForbiddenError: the server rejects the credentials, or a command of this user.
        UnreachableError: it does not answer in time.
        StorageError: it rejects a command, for example without memory.
    """
    from redis import exceptions

    place = f"the online store of {access.region} at {access.url}"
    try:
        yield
    except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
        raise ForbiddenError(
            f"{place} rejects the credentials ({first_line(error)}); correct the password file or "
            f"SINET_{access.region}_ONLINE_PASSWORD, and `user` in inventory.yaml"
        ) from error
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
        raise UnreachableError(
            f"{place} does not answer ({first_line(error)}); start it, or correct `online_store` in inventory.yaml"
        ) from error
    except exceptions.RedisError as error:
        raise StorageError(f"{place} rejects a command ({first_line(error)}); correct that and run again") from error
