"""Keeps what was found of the days of landing zones in a cache file, so that a restarted process need not look again.

An entry is valid for one state of the day's files and one version of the code. The file may be removed at any time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from sinet_pipelines.ingestion.scan import UnusedFile
from sinet_pipelines.ingestion.zone_observation import DayFound
from sinet_pipelines.storage.cache import read_cache, write_cache

Days = dict[date, DayFound]


@contextmanager
def observed_days(path: Path | None, zone: str, *, code: str) -> Iterator[Days]:
    """The days that were found in a zone; what is different afterwards is stored.

    Args:
        path: the cache file; a damaged one is ignored and rewritten. None to store nothing.
        zone: region and application.
        code: version of the code that observes; days found by another one are ignored.
    """
    if path is None:
        yield {}
        return
    kept = _read(read_cache(path).get(zone), code)
    found = dict(kept)
    yield found
    if found != kept:
        days = {day.isoformat(): asdict(one) for day, one in found.items() if one.state}
        write_cache(path, {**read_cache(path), zone: {"code": code, "days": days}})


def _read(entry: Any, code: str) -> Days:
    """The days of an entry of the file; none where it is damaged or of other code."""
    try:
        if entry["code"] != code:
            return {}
        return {date.fromisoformat(day): _day(**one) for day, one in entry["days"].items()}
    except (TypeError, KeyError, ValueError, AttributeError):
        return {}


def _day(
    content: str,
    ids: list[str],
    unused: list[dict[str, str]],
    state: str,
    may_pass: bool = False,  # noqa: FBT001, FBT002
) -> DayFound:
    return DayFound(
        str(content), tuple(map(str, ids)), tuple(UnusedFile(**one) for one in unused), str(state), bool(may_pass)
    )
