"""Reads a folder in NASA's C-MAPSS format: engines run to failure, engines cut before it, and their remaining cycles.

Text without a header, 26 columns separated by blanks, one row per engine and flight cycle (readme of the data set). A
value that is not a number is kept as text, so that its row lands and validation moves it to quarantine; a line that is
not a row (another number of columns, no engine number) raises an error that names it.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, LAST_CYCLE
from sinet_pipelines.errors import SourceError

SOURCE = (
    'C-MAPSS turbofan degradation data (simulated by NASA): A. Saxena, K. Goebel 2008, "Turbofan Engine Degradation '
    'Simulation Data Set", NASA Prognostics Data Repository, NASA Ames Research Center'
)
LICENCE = (
    "NASA's own files are a US Government work, in the public domain in the United States; rows of a folder that "
    "somebody else provided are under that person's terms, which the files do not state"
)

_COLUMNS = ("unit", "cycle", *CHANNELS)
_FILE = re.compile(r"(?:train|test|RUL)_(\w{1,32})\.txt", re.ASCII)
_SUBSET = re.compile(r"\w{1,32}", re.ASCII)
_LAST_UNIT = 9_999_999


@dataclass(frozen=True)
class CmapssSubset:
    """One fleet in the form of C-MAPSS; a simulated fleet has the same form.

    Attributes:
        name: name of the subset, `FD001`; part of every engine's name.
        train: rows of engines run to failure: `unit` (int32), `cycle` (int32, string where one is not an integer from
            1 to 100,000), then the 24 channels (float64, string where a value is not a number); sorted by engine,
            then cycle.
        test: rows of engines cut before failure, same columns.
        rul: remaining cycles of each test engine after its last row: `unit`, `rul_cycles` (int32).
        digest: SHA-256 of the source of the subset.
    """

    name: str
    train: pl.DataFrame
    test: pl.DataFrame
    rul: pl.DataFrame
    digest: str

    @property
    def longest(self) -> int:
        """The last cycle of the engine with the longest life."""
        return max(last_cycles(self.train)["last_cycle"].max(), last_cycles(self.test)["last_cycle"].max())  # type: ignore[type-var, return-value]


def find_subsets(folder: Path) -> list[str]:
    """Names of the subsets in a folder, sorted; a subset with missing files is included, so that reading it fails.

    Raises:
        SourceError: the folder does not exist, or has no C-MAPSS file.
    """
    if not folder.is_dir():
        raise SourceError(
            f"no folder {folder}; name one with files like train_FD001.txt, test_FD001.txt, RUL_FD001.txt"
        )
    found = sorted({match[1] for path in folder.iterdir() if (match := _FILE.fullmatch(path.name))})
    if not found:
        raise SourceError(f"{folder} has no train_*.txt, test_*.txt or RUL_*.txt; name a folder in C-MAPSS format")
    return found


def read_cmapss(folder: Path, subset: str) -> CmapssSubset:
    """The three files of a subset.

    The returned rows are sorted; repeated cycles are kept.

    Raises:
        SourceError: a file is missing, empty or not such a table; the message names the file and the line.
    """
    found = find_subsets(folder)
    if not _SUBSET.fullmatch(subset) or subset not in found:
        raise SourceError(f"no subset {subset!r} in {folder} (there: {', '.join(found)}); name one of these")
    digest = hashlib.sha256()
    train, test = (_read_rows(folder / f"{part}_{subset}.txt", digest) for part in ("train", "test"))
    rul = _read_rul(folder / f"RUL_{subset}.txt", digest, units=test["unit"].unique().sort())
    return CmapssSubset(subset, train, test, rul, digest.hexdigest())


def counted_cycle() -> pl.Expr:
    """The cycle of each row (int32): its own; where it has none, that of the engine's previous or next row."""
    number = pl.col("cycle").cast(pl.Float64, strict=False)
    own = pl.when((number == number.floor()) & number.is_between(1, LAST_CYCLE)).then(number)
    return own.forward_fill().over("unit").fill_null(own.backward_fill().over("unit")).fill_null(1).cast(pl.Int32)


def last_cycles(rows: pl.DataFrame) -> pl.DataFrame:
    """The last cycle of every engine: `unit`, `last_cycle` (int32), sorted by engine."""
    counted = rows.select("unit", last_cycle=counted_cycle())
    return counted.group_by("unit").agg(pl.col("last_cycle").max()).sort("unit")


def _read_rows(path: Path, digest: "hashlib._Hash") -> pl.DataFrame:
    table, lines = _read_table(path, _COLUMNS, digest)
    rows = table.with_columns(_units(table["unit"], path=path, lines=lines), _whole_cycles(table["cycle"]))
    counted = rows.with_columns(_counted=counted_cycle())
    return counted.sort("unit", "_counted", maintain_order=True).drop("_counted")


def _read_rul(path: Path, digest: "hashlib._Hash", *, units: pl.Series) -> pl.DataFrame:
    table, lines = _read_table(path, ("rul_cycles",), digest)
    left = table["rul_cycles"]
    wrong = _not_whole(left, minimum=0, maximum=LAST_CYCLE)
    if wrong is not None:
        raise SourceError(
            f"{path}, line {lines[wrong]}: {left[wrong]!r} is no remaining useful life "
            f"(allowed: a whole number of cycles from 0); mend the line"
        )
    if len(left) != len(units):
        raise SourceError(
            f"{path} has {len(left)} lines (allowed: {len(units)}, one for each engine of the test file); "
            "take both files from the same data set"
        )
    return pl.DataFrame({"unit": units, "rul_cycles": left.cast(pl.Float64).cast(pl.Int32)})


def _units(units: pl.Series, *, path: Path, lines: np.ndarray) -> pl.Series:
    wrong = _not_whole(units, minimum=1, maximum=_LAST_UNIT)
    if wrong is not None:
        raise SourceError(
            f"{path}, line {lines[wrong]}: {units[wrong]!r} is no engine number (allowed: a whole number from 1); "
            "mend or remove the line, a row without its engine cannot land anywhere"
        )
    return units.cast(pl.Float64).cast(pl.Int32)


def _whole_cycles(cycles: pl.Series) -> pl.Series:
    """Integers if all values are integers; else the original text, for validation to reject."""
    if _not_whole(cycles, minimum=1, maximum=LAST_CYCLE) is None:
        return cycles.cast(pl.Float64).cast(pl.Int32)
    return cycles.cast(pl.String)


def _not_whole(values: pl.Series, *, minimum: int, maximum: int) -> int | None:
    """Index of the first value that is not an integer within the bounds, else None."""
    number = values.cast(pl.Float64, strict=False)
    whole = ((number == number.floor()) & number.is_between(minimum, maximum)).fill_null(False)
    return (~whole).arg_max() if not whole.all() else None


def _read_table(path: Path, columns: Sequence[str], digest: "hashlib._Hash") -> tuple[pl.DataFrame, np.ndarray]:
    """The table in a file, and the line number of each row."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise SourceError(f"no file {path}; a subset is three files: train_, test_ and RUL_<subset>.txt") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); make it a readable file") from error
    digest.update(hashlib.sha256(content).digest())
    compact, lines, widths = _squeeze(content.removeprefix(b"\xef\xbb\xbf"))
    if not len(lines):
        raise SourceError(f"{path} is empty (allowed: one row a line); take the file from the data set again")
    wrong = np.flatnonzero(widths != len(columns))
    if len(wrong):
        raise SourceError(
            f"{path}, line {lines[wrong[0]]}: {widths[wrong[0]]} columns (allowed: {len(columns)}), "
            f"as on {len(wrong)} of {len(lines)} lines; mend or remove them"
        )
    return _parse(compact, columns), lines


def _squeeze(content: bytes) -> tuple[bytes, np.ndarray, np.ndarray]:
    """The text with one blank between words and no empty lines; the number and the word count of each kept line."""
    text = np.frombuffer(content + b"\n", dtype=np.uint8).copy()
    ends = text == ord("\n")
    gaps = ends | (text == ord(" ")) | ((text >= ord("\t")) & (text <= ord("\r")))
    starts = np.flatnonzero(~gaps & np.concatenate(([True], gaps[:-1])))
    line_ends = np.flatnonzero(ends)
    words_until = np.searchsorted(starts, line_ends)
    words = np.diff(words_until, prepend=0)
    inner = np.ones(len(starts), dtype=bool)  # words that are not the first on their line
    inner[(words_until - words)[words > 0]] = False
    text[starts[inner] - 1] = ord(" ")
    keep = ~gaps
    keep[starts[inner] - 1] = True
    keep[line_ends[words > 0]] = True
    return text[keep].tobytes(), np.flatnonzero(words) + 1, words[words > 0]


def _parse(compact: bytes, columns: Sequence[str]) -> pl.DataFrame:
    """The columns: numbers where every value of a column is a number, else text."""
    try:
        return _read_csv(compact, dict.fromkeys(columns, pl.Float64))
    except pl.exceptions.ComputeError:
        text = _read_csv(compact, dict.fromkeys(columns, pl.String))
    numbers = text.select(pl.all().cast(pl.Float64, strict=False))
    return text.with_columns(numbers[name] for name in columns if not numbers[name].null_count())


def _read_csv(compact: bytes, schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    return pl.read_csv(compact, separator=" ", has_header=False, schema=schema, quote_char=None, encoding="utf8-lossy")
