"""How long unneeded data are kept, by kind; the only place of these numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

#: Runs that are kept however old they are: estimates of backfills are learnt from the newest ones.
NEWEST_RUNS = 60
#: Added to the age of the oldest run in progress: its first step may have opened a table before the run's record.
MARGIN = timedelta(hours=1)
#: How long a tick of a sensor that requested nothing is kept: there are 13,000 a day.
FRUITLESS_TICKS = timedelta(hours=1)


class Kind(StrEnum):
    """The kinds of data that are removed."""

    TABLE_FILES = "table files"  # of versions that were replaced
    STREAM_ROWS = "landed rows of streams"  # copies of rows that are in drops since
    TRAINING_SETS = "training sets"  # earlier ones, with their files
    BLOBS = "blobs"  # models, graphs and regimes by content
    MLFLOW_FILES = "MLflow files"  # artifacts of runs that made no registered version
    RUNS = "runs"  # in Dagster's event log
    OUTPUT = "output of runs"  # standard output of steps and ticks


#: Kinds whose things carry no time since which nothing needs them: it is counted from the first look without a need.
OBSERVED = (Kind.TRAINING_SETS, Kind.BLOBS, Kind.MLFLOW_FILES)

#: Kinds whose things lie under the root of a region; their names begin with it.
IN_REGIONS = (Kind.TABLE_FILES, Kind.STREAM_ROWS, Kind.TRAINING_SETS, Kind.BLOBS)

_PERIODS = {
    Kind.TABLE_FILES: timedelta(hours=2),  # a step reads a table within minutes of opening it
    Kind.STREAM_ROWS: timedelta(days=30),  # a broker repeats messages of minutes, or of the absence of its client
    Kind.TRAINING_SETS: timedelta(days=30),
    Kind.BLOBS: timedelta(days=30),
    Kind.MLFLOW_FILES: timedelta(days=90),
    Kind.RUNS: timedelta(days=180),
    Kind.OUTPUT: timedelta(days=30),
}


@dataclass(frozen=True)
class Policy:
    """How long unneeded data are kept.

    Attributes:
        periods: by kind.
        newest_runs: number of runs that are kept however old they are.
    """

    periods: Mapping[Kind, timedelta] = field(default_factory=lambda: MappingProxyType(_PERIODS))
    newest_runs: int = NEWEST_RUNS

    def period(self, kind: Kind) -> timedelta:
        """How long unneeded things of this kind are kept."""
        return self.periods[kind]
