"""How data enter a home: the request to an application, and its report.

An application reads its own formats, or simulates rows without a folder, and writes them into its landing zones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from sinet_pipelines.errors import SourceError
from sinet_pipelines.ingestion.record import Record


@dataclass(frozen=True)
class Order:
    """A requested delivery.

    Attributes:
        home: home of the landing zones.
        folder: folder of the data; None for simulated data.
        form: the format of the folder; None for the one that the application recognises.
        subsets: subsets to land; empty for all of the folder.
        first_day: first day of the layout; None for that of the home, or the day that makes yesterday the last.
        cycles_per_day: cycles of one unit per day; None for that of the home, or the application's default.
        today: the present day, UTC; None to read the clock.
        restore: whether files that landed and were later removed are written again.
        regions: names of the regions of the deployment.
    """

    home: Path
    folder: Path | None = None
    form: str | None = None
    subsets: tuple[str, ...] = ()
    first_day: date | None = None
    cycles_per_day: int | None = None
    today: date | None = None
    restore: bool = True
    regions: tuple[str, ...] = field(kw_only=True)


@dataclass(frozen=True)
class LandReport:
    """The data that a delivery wrote into a home, or that the home already had.

    Attributes:
        home: the home.
        application: application of the data.
        name: name of the folder, or `simulated`.
        simulated: whether all rows are simulated.
        subsets: subsets of this delivery.
        regions: regions with landed data.
        first_day: first day of the layout, UTC.
        last_day: last day of the layout.
        rows: number of rows in the drops, including copies.
        drops: number of files of rows.
        new_drops: number of new files of rows.
        days: number of days of a region with rows, over all regions.
        events: number of events by kind.
        planted: planted faults.
    """

    home: Path
    application: str
    name: str
    simulated: bool
    subsets: tuple[str, ...]
    regions: tuple[str, ...]
    first_day: date
    last_day: date
    rows: int
    drops: int
    new_drops: int
    days: int
    events: Mapping[str, int] = field(default_factory=dict)
    planted: int = 0


@dataclass(frozen=True)
class Source:
    """The source of an application's data.

    Attributes:
        formats: content of a folder of each format, by name of the format.
        format_of: the format of a folder, from the names of its files; None for none of these.
        subsets: names of the subsets in a folder; raises SourceError where it lacks files of its format.
        deliver: lands the data of an order; landing them again changes nothing.
        parse: makes the application's record of a home from the record's fields.
    """

    formats: Mapping[str, str]
    format_of: Callable[[Path], str | None]
    subsets: Callable[[Path], Sequence[str]]
    deliver: Callable[[Order], LandReport]
    parse: Callable[[Mapping[str, Any]], Any] = Record.of


def recognising(sources: Mapping[str, Source], folder: Path, *, form: str | None = None) -> dict[str, str]:
    """The applications that can land a folder, each with the folder's format.

    Args:
        sources: sources by application.
        folder: the data.
        form: name of a format; None for the format that each application recognises.

    Raises:
        SourceError: no application has the format, or none recognises the folder.
    """
    known = {name: words for source in sources.values() for name, words in source.formats.items()}
    if form is not None:
        if form not in known:
            raise SourceError(f"no format {form!r} (allowed: {', '.join(known)}); give one of them with --format")
        return {name: form for name, source in sources.items() if form in source.formats}
    found = {
        name: recognised for name, source in sources.items() if (recognised := source.format_of(folder)) is not None
    }
    if not found:
        formats = "; ".join(f"{name}: {words}" for name, words in known.items())
        raise SourceError(f"no application recognises {folder} (formats: {formats}); give a folder of one of these")
    return found
