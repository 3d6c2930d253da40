"""What a user requests of a backfill: selection, days, limits; checked before anything is read."""

import math
from dataclasses import dataclass
from datetime import date

from sinet_pipelines.errors import UsageError

Span = tuple[date, date]
EXAMPLE = "2026-03-01:2026-03-05"
SECONDS_A_MINUTE = 60


@dataclass(frozen=True)
class BackfillOrder:
    """A request.

    Attributes:
        selection: of assets, in Dagster's syntax.
        days: first and last day, both included; None for all landed days.
        redo: whether days that are up to date are made again, too.
        budget_usd: the most that it may cost; None for no limit.
        budget_s: the most seconds that it may take; None for no limit.
        days_per_run: the most days of one run; None to choose it.
    """

    selection: str
    days: Span | None = None
    redo: bool = False
    budget_usd: float | None = None
    budget_s: float | None = None
    days_per_run: int | None = None

    @staticmethod
    def read(
        selection: str,
        *,
        days: str | None = None,
        redo: bool = False,
        budget_usd: float | None = None,
        budget_minutes: float | None = None,
        days_per_run: int | None = None,
    ) -> "BackfillOrder":
        """The request of a command's options.

        Raises:
            UsageError: an option that is not allowed.
        """
        if budget_usd is not None and budget_minutes is not None:
            raise UsageError("both --budget-usd and --budget-minutes are given; choose one")
        for option, value in (("--budget-usd", budget_usd), ("--budget-minutes", budget_minutes)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UsageError(f"{option} is {value:g}; allowed is a number above 0; omit it for no limit")
        if days_per_run is not None and days_per_run < 1:
            raise UsageError(f"--days-per-run is {days_per_run}; allowed are whole numbers from 1 on")
        seconds = None if budget_minutes is None else budget_minutes * SECONDS_A_MINUTE
        return BackfillOrder(selection, parse_days(days), redo, budget_usd, seconds, days_per_run)


def parse_days(text: str | None) -> Span | None:
    """The first and last day of `A:B`, or of one day `A`; None for no text.

    Raises:
        UsageError: no such days, or A is after B.

    >>> [str(day) for day in parse_days("2026-03-01:2026-03-05") or ()]
    ['2026-03-01', '2026-03-05']
    """
    if text is None:
        return None
    first, colon, last = text.strip().partition(":")
    days = _day(first, text), _day(last if colon else first, text)
    if days[0] > days[1]:
        raise UsageError(f"--days is {text}, and {days[0]} is after {days[1]}; write the earlier day first: {EXAMPLE}")
    return days


def _day(text: str, whole: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--days is {whole!r}; allowed are two days as {EXAMPLE}, or one") from error
    if day.isoformat() != text:
        raise UsageError(f"--days is {whole!r}; allowed are two days as {EXAMPLE}, or one")
    return day
