"""The past failures that are most similar to a unit of a home: by the index of each region, or without it.

An index that is missing, damaged, or made with other features or another standard is not used: the windows of that
region are then compared one by one: the same windows as in an index, every n-th before a failure.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from sinet_pipelines.applications.application import Application
from sinet_pipelines.errors import StorageError, UsageError
from sinet_pipelines.features.nearest import COUNT, LEFT, Neighbours, PastFailures, from_bytes
from sinet_pipelines.notebook.frames import ReadRows
from sinet_pipelines.storage.blobs import blobs_of
from sinet_pipelines.storage.tables import TableStore, tables_of

SHOWN = 5  # names of units in a message


@dataclass(frozen=True)
class SimilarFailures(ReadRows):
    """The past failures most similar to a unit at its newest complete window.

    Attributes:
        unit: the unit.
        region: where that window is.
        cycle: of that window.
        rows: the most similar first: `unit`, `region`, `cycles_to_failure` at its most similar window, and `distance`.
        notes: sentences on fewer failures than requested, on regions whose index was not used, and on an incomplete
            newest window.
    """

    unit: str
    region: str
    cycle: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FailureSearch:
    """Searches the past failures of all regions of a home; reads the index of each region once.

    Attributes:
        home: with the tables and the indexes.
        application: of the units.
        regions: names of the regions.
    """

    home: Path
    application: Application
    regions: tuple[str, ...]
    _read: dict[tuple[str, str], tuple[Neighbours, str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.application.past_failures is None:
            raise UsageError(
                f"application {self.application.name} declares no past failures to search; name another application"
            )

    def similar_to(self, unit: str, *, count: int = COUNT) -> SimilarFailures:
        """The past failures whose windows are nearest to the newest complete window of a unit.

        Args:
            unit: its name; its own failure, if it has one, is left out.
            count: number of failures, 1 or more.

        Raises:
            UsageError: the unit has no complete window, or one without a number, or `count` is below 1.
            StorageError: a table of the windows is damaged.
        """
        if count < 1:
            raise UsageError(f"{count} failures were requested (allowed: 1 or more); request at least one")
        past = self._past
        region, window, newer = self._newest_window(unit)
        vector_D, standard, cycle = past.embedding.of(window)[0], str(window[past.standard][0]), window[past.order][0]
        if not np.isfinite(vector_D).all():
            pairs = zip(past.embedding.columns, vector_D, strict=True)
            lacking = ", ".join([name for name, value in pairs if not np.isfinite(value)][:SHOWN])
            raise UsageError(
                f"the newest window of {unit} ({past.order} {cycle}) has no number for {lacking}; correct its rows, "
                "then `sinet run` makes the window again"
            )
        parts, notes = [], [newer] if newer else []
        for one in self.regions:
            index, note = self._neighbours(one, standard)
            notes += [note] if note else []
            found = index.nearest_groups(vector_D, count, group=past.group, but=unit)
            parts.append(found.select(unit=past.group, region=pl.lit(one), cycles_to_failure=LEFT, distance="distance"))
        rows = pl.concat(parts).sort("distance", "unit", "region").unique("unit", keep="first", maintain_order=True)
        if rows.height < count:
            notes.append(f"{rows.height} past failures with complete windows are known (requested: {count})")
        return SimilarFailures(unit, region, int(cycle), notes=tuple(notes), rows=rows.head(count))

    @property
    def _past(self) -> PastFailures:
        assert self.application.past_failures is not None  # checked when it was made
        return self.application.past_failures

    def _tables(self, region: str) -> TableStore:
        return tables_of(self.home, region, self.application.name)

    def _newest_window(self, unit: str) -> tuple[str, pl.DataFrame, str]:
        """The region and the newest complete window of a unit, and a note where the newest one is incomplete.

        Without a complete window the newest one is used. A window whose cycle occurs twice is not used, as in an index.

        Raises:
            UsageError: it has none; the message names units that have one.
        """
        past, found, newest = self._past, dict[str, pl.DataFrame](), -1
        for one in self.regions:
            windows = self._tables(one).scan(past.table).filter(pl.col(past.group) == unit)
            rows = windows.select(*past.columns, is_whole=past.is_whole.fill_null(value=False)).collect()
            newest = max([newest, *rows[past.order].to_list()])
            settled = rows.filter(pl.col(past.order).is_unique())
            if settled.height:
                found[one] = settled.sort("is_whole", past.order).tail(1)
        if found:
            region, window = max(found.items(), key=lambda item: (item[1]["is_whole"][0], item[1][past.order][0]))
            return region, window, _incomplete(unit, window, past, newest=newest)
        if newest >= 0:
            raise UsageError(f"each window of {unit} occurs twice; withdraw one of its drops, then `sinet run`")
        names = pl.concat(self._tables(one).scan(past.table).select(past.group) for one in self.regions).unique()
        there = sorted(names.collect()[past.group])
        more = f" and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
        raise UsageError(
            f"{unit!r} has no window in {past.table.name} of any region (there: {', '.join(there[:SHOWN]) or 'none'}"
            f"{more}); name one of those, or land its rows and `sinet run`"
        )

    def _neighbours(self, region: str, standard: str) -> tuple[Neighbours, str]:
        """The windows of a region to search, and why its index is not used; an empty text where it is."""
        if (region, standard) not in self._read:
            self._read[region, standard] = self._read_neighbours(region, standard)
        return self._read[region, standard]

    def _read_neighbours(self, region: str, standard: str) -> tuple[Neighbours, str]:
        past = self._past
        try:
            blobs = blobs_of(self.home, region, self.application.name)
            if blobs.resolve(past.ref) is None:
                why = f"{region} has no index of the present features; `sinet run` makes it unless its check fails"
            else:
                index, facts = from_bytes(blobs.get_ref(past.ref))
                if set(facts["standards"]) <= {standard}:
                    return index, ""
                why = f"the index of {region} was made with another {past.standard}; `sinet run` makes it again"
        except (StorageError, UsageError) as error:  # damaged, or usearch is not installed
            why = f"the index of {region} cannot be used: {error}"
        windows = past.windows(self._tables(region)).filter(pl.col(past.standard) == standard)
        rows = windows.filter(pl.col(LEFT) % past.every == 0)
        vectors_BD = past.embedding.of(rows)
        is_finite_B = np.isfinite(vectors_BD).all(axis=1)
        found = Neighbours(rows.filter(pl.Series(is_finite_B, dtype=pl.Boolean)), vectors_BD[is_finite_B])
        return found, f"{why} (its windows were compared one by one instead)"


def _incomplete(unit: str, window: pl.DataFrame, past: PastFailures, *, newest: int) -> str:
    """A note where the window that is used is incomplete, or is not the newest one; else an empty text."""
    used = int(window[past.order][0])
    if not window["is_whole"][0]:
        return (
            f"{unit} has no complete window (needed: {past.whole[1]} cycles); that of {past.order} {used} was used, "
            "and its distances have more noise"
        )
    if used < newest:
        return (
            f"the newest window of {unit} ({past.order} {newest}) is incomplete or occurs twice; that of {past.order} "
            f"{used} was used"
        )
    return ""
