"""Access to a region's Redis server: password and TLS files, read at each new connection and never stored.

    $SINET_CREDENTIALS/<REGION>/online/password   the folder; also ca.crt, tls.crt and tls.key
    SINET_<REGION>_ONLINE_PASSWORD                without this folder; also ..._CA_FILE, ..._CERT_FILE and ..._KEY_FILE

The folder of a pod has the credentials of stores, and often none of the online store: then the variables are used.
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
            StorageError: a file of a credential cannot be read, or others can read it; or the url is without TLS and
                there are files for it.
        """
        try:
            from redis import Redis
            from redis.backoff import ExponentialBackoff
            from redis.retry import Retry
        except ModuleNotFoundError as error:
            raise UsageError(
                f"{self.url} needs the module {error.name}; install it with `pip install 'sinet-pipelines[clusters]'`"
            ) from error
        tls = tls_files(self.region, self.url, environ=os.environ)
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
    folder = _folder(region, environ)
    if folder is None:
        return environ.get(f"SINET_{region}_ONLINE_PASSWORD", "").strip()
    path = folder / "password"
    try:
        content = path.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    _refuse_if_open(path)
    return content


def tls_files(region: str, url: str, *, environ: Mapping[str, str]) -> dict[str, str]:
    """The paths of the TLS files that a region has, by the argument of the client library.

    Args:
        region: its name.
        url: of its server.
        environ: the environment.

    Raises:
        StorageError: a file cannot be read, others can read the key, or the url is without TLS.
    """
    folder, found = _folder(region, environ), dict[str, str]()
    for name, file in _FILES.items():
        written = environ.get(f"SINET_{region}_ONLINE_{name}", "") if folder is None else str(folder / file)
        if not written or (folder is not None and not Path(written).exists()):
            continue
        try:
            with Path(written).open("rb"):
                found[_SSL[name]] = written
        except OSError as error:
            raise _unreadable(Path(written), error) from error
        if name == "KEY_FILE":
            _refuse_if_open(Path(written))
    if found and not url.startswith("rediss://"):
        raise StorageError(
            f"{', '.join(found.values())}: files for TLS, and {url} is without TLS, so that the password could be read "
            "on the network; write rediss:// in inventory.yaml, or remove the files"
        )
    return found


def _folder(region: str, environ: Mapping[str, str]) -> Path | None:
    """The folder with the files of a region; None where the variables are used."""
    if FOLDER not in environ:
        return None
    folder = Path(environ[FOLDER], region, "online")
    try:
        return folder if folder.is_dir() else None
    except OSError as error:
        raise _unreadable(folder, error) from error


def _refuse_if_open(path: Path) -> None:
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXO | stat.S_IWGRP):  # a mounted Secret may be readable by the group of its pod
        raise StorageError(
            f"{path} can be read or changed by others (mode {stat.S_IMODE(mode):o}, allowed: 600, 640, 440); its "
            "content is then no secret: run `chmod 600` on it"
        )


def _unreadable(path: Path, error: Exception) -> StorageError:
    return StorageError(f"{path} cannot be read ({type(error).__name__}); mount it as a readable file")


@contextmanager
def server_errors(access: OnlineAccess) -> Iterator[None]:
    """Makes errors of the platform of those that the client library raises in the block.

    Raises:
        ForbiddenError: the server rejects the credentials, or this user may not run a command.
        UnreachableError: it does not answer in time.
        StorageError: it rejects a command, for example without memory.
    """
    from redis import exceptions

    place = f"the online store of {access.region} at {access.url}"
    try:
        yield
    except exceptions.NoPermissionError as error:
        raise ForbiddenError(
            f"{place} does not let its user run a command ({first_line(error)}); grant the commands and keys of "
            "docs/online.md to this user"
        ) from error
    except exceptions.AuthenticationError as error:
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
