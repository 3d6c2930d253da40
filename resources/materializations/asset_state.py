"""The state of an asset, composed of its landed days, those that are made and the results of its checks.

Nothing here imports Dagster: what the log records comes from `state.py` through Dagster, or from
`log_file.py` without it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

CONTRACT_CHECK = "every_day_keeps_its_contract"  # the check of a table's days; one result a day


@dataclass(frozen=True)
class Failure:
    """A check that failed.

    Attributes:
        check: its name.
        day: the day that failed it; None where the whole asset did.
        reason: what was found; empty where the check recorded none.
    """

    check: str
    day: date | None
    reason: str


@dataclass(frozen=True)
class AssetState:
    """The last state of one asset.

    Attributes:
        key: of the asset.
        group: its stage.
        region: where it is bound.
        hardware: the kind it is bound to.
        state: missing, partial, done, failed or running; an asset is running only while one of its steps is in
            progress.
        done: landed days that are made.
        failed: landed days that are not made and whose newest check failed.
        missing: landed days that are neither.
        checks: name and whether it passed, of every check that ran.
        failed_days: landed days whose newest check failed, whether or not the day was made before.
        made_at: when it was last materialised, UTC; None for never.
        failures: each failed check with its reason, once for each day that failed it.
        faults: data of the asset that storage has lost, one sentence for each loss.
    """

    key: str
    group: str
    region: str
    hardware: str
    state: str
    done: int = 0
    failed: int = 0
    missing: int = 0
    checks: Mapping[str, bool] = field(default_factory=dict)
    failed_days: Sequence[date] = ()
    made_at: datetime | None = None
    failures: Sequence[Failure] = ()
    faults: Sequence[str] = ()


@dataclass(frozen=True)
class Described:
    """The declaration of an asset, as far as its state depends on it.

    Attributes:
        path: of its key.
        group: its stage.
        region: where it is bound.
        hardware: the kind it is bound to.
        checks: names of its checks, sorted.
        days: first and last partition, as ISO dates; empty for an asset without days.
        table: that it writes; None for none.
        data_class: of its rows; empty where it writes no table.
        store: the folder in a home of the feature store that it fills; None where it fills none.
    """

    path: Sequence[str]
    group: str
    region: str
    hardware: str
    checks: Sequence[str] = ()
    days: Sequence[str] = ()
    table: str | None = None
    data_class: str = ""
    store: str | None = None

    @property
    def key(self) -> str:
        """The key as it is shown: `EAST/turbofan/raw_telemetry`."""
        return "/".join(self.path)

    def landed(self, days: Iterable[date]) -> frozenset[date]:
        """Those of the days that are partitions."""
        first, last = self.days
        return frozenset(day for day in days if first <= day.isoformat() <= last)


@dataclass(frozen=True)
class Days:
    """Landed days of an asset: those made, and for each check those whose newest result failed, with the reason."""

    landed: frozenset[date]
    made: frozenset[date]
    refused: Mapping[str, Mapping[date, str]]

    @property
    def failures(self) -> list[Failure]:
        """The failures of each check, with the reason, by day."""
        return [
            Failure(name, day, reason) for name, days in self.refused.items() for day, reason in sorted(days.items())
        ]

    @property
    def failed(self) -> frozenset[date]:
        """Days that failed a check."""
        return frozenset[date]().union(*self.refused.values())

    @property
    def state(self) -> str:
        """Done, partial, failed or missing."""
        if self.landed and self.made == self.landed:
            return "done"
        if self.made:
            return "partial"
        return "failed" if self.failed else "missing"

    @property
    def checks(self) -> dict[str, bool]:
        """Whether each check that ran passed on all landed days."""
        return {name: not days for name, days in self.refused.items() if self.made or days}


def state_by_day(
    described: Described, days: Days, *, made_at: datetime | None, faults: Sequence[str], is_running: bool = False
) -> AssetState:
    """The state of an asset with days."""
    return AssetState(
        key=described.key,
        group=described.group,
        region=described.region,
        hardware=described.hardware,
        made_at=made_at,
        state="running" if is_running else days.state,
        done=len(days.made),
        failed=len(days.failed - days.made),
        missing=len(days.landed - days.made - days.failed),
        checks=days.checks,
        failed_days=sorted(days.failed),
        failures=days.failures,
        faults=faults,
    )


def state_as_a_whole(
    described: Described,
    state: str,
    outcomes: Mapping[str, tuple[bool, str]],
    *,
    made_at: datetime | None,
    faults: Sequence[str],
) -> AssetState:
    """The state of an asset without days.

    Args:
        described: the asset.
        state: missing, done, failed or running.
        outcomes: whether the newest result of each check that ran passed, and what was found.
        made_at: when it was last materialised, UTC; None for never.
        faults: what storage lost of it, a sentence each.
    """
    return AssetState(
        key=described.key,
        group=described.group,
        region=described.region,
        hardware=described.hardware,
        made_at=made_at,
        state=state,
        checks={name: passed for name, (passed, _) in outcomes.items()},
        failures=[Failure(name, None, reason) for name, (passed, reason) in outcomes.items() if not passed],
        faults=faults,
    )
