"""What processes look up and connect to, recorded below Python: native libraries open connections of their own."""

import ipaddress
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.no_sync import preloaded

SOURCE = Path(__file__).with_name("outgoing.c")
LOCAL_NAMES = {"-", "localhost", "localhost.localdomain"}


@dataclass(frozen=True)
class Outgoing:
    """A library to preload, what it records, and a home folder of one's own to look for files in.

    Attributes:
        library: for `LD_PRELOAD`.
        record: file with a line for each look-up and connection.
        home: empty folder for `HOME`.
    """

    library: Path
    record: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": preloaded(self.library), "HOME": str(self.home)}

    def lines(self) -> list[str]:
        """Every record: `lookup NAME PID` or `connect ADDRESS PID`."""
        return self.record.read_text().splitlines() if self.record.exists() else []

    def beyond(self) -> list[str]:
        """The records that leave this machine."""
        return [line for line in self.lines() if not _is_local(line.split()[1])]

    def queued(self) -> list[Path]:
        """Files in which Microsoft's libraries queue events and keep the number of a machine."""
        return sorted(self.home.glob(".cache/Microsoft/**/*"))


def build(folder: Path) -> Outgoing:
    """Compiles the library; a test is skipped where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (gcc or cc) to record native look-ups with")
    found = Outgoing(folder / "outgoing.so", folder / "outgoing.txt", folder / "home")
    found.home.mkdir()
    defined = f'-DTRACE_FILE="{found.record}"'
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", defined, "-o", str(found.library), str(SOURCE), "-ldl"], check=True
    )
    return found


def _is_local(name: str) -> bool:
    if name in LOCAL_NAMES or name == os.uname().nodename:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified
