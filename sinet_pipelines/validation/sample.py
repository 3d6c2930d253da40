"""Great Expectations on a sample of every partition: the library confirms what the compiled pass found.

The sample has rows that were set aside and good rows of each day. Where the library finds a good row broken, or another
result for the sample than the compiled pass, the platform has a defect, and the step fails.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import TYPE_CHECKING

import polars as pl

from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.tables import DAY_COLUMN
from sinet_pipelines.validation.compiled import check_rows
from sinet_pipelines.validation.expectations import results_of, rule_of, run_great_expectations

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult

ROWS_OF_A_DAY = 20  # of each kind: a run of the library takes as long for 20 rows as for 2,000
IS_GOOD = "is_good"  # column of a sample's rows: whether the pass over the day found the row good
_COMPARED = ("element_count", "missing_count", "unexpected_index_list")
_NAMED_ROWS = 10  # of a difference


@dataclass(frozen=True)
class Confirmation:
    """The result of Great Expectations for a sample.

    Attributes:
        result: of the library.
        differences: where it differs from what the compiled pass found: rule, days and rows of the sample, without
            values. Each one is a defect of the platform.
    """

    result: "ExpectationSuiteValidationResult"
    differences: tuple[str, ...]


def sample_of(good: Iterable[pl.DataFrame], bad: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Up to 20 bad and 20 good rows of each day, the first ones, in the columns of raw rows and `is_good`.

    Args:
        good: frames of rows that satisfy the contract.
        bad: frames of the others, also with `reason`.
    """
    kept: list[pl.DataFrame] = []
    for frames, is_good in ((bad, False), (good, True)):
        first = [one.drop("reason", strict=False).group_by(DAY_COLUMN).head(ROWS_OF_A_DAY) for one in frames]
        whole = [pl.concat(first).group_by(DAY_COLUMN).head(ROWS_OF_A_DAY)] if first else []
        kept += [one.with_columns(pl.lit(is_good).alias(IS_GOOD)) for one in whole]
    columns = list(chain.from_iterable(one.columns for one in kept[:1]))
    return pl.concat(one.select(columns) for one in kept).sort(DAY_COLUMN, maintain_order=True)


def confirm(sample: pl.DataFrame, contract: Contract) -> Confirmation:
    """Runs Great Expectations on a sample and compares its result with those of the compiled pass.

    A part of the rows has no key twice that all rows have once, so a good row satisfies every rule in the sample too.

    Args:
        sample: (n, columns) of `sample_of`.
        contract: contract of the validated table.
    """
    rows = sample.drop(IS_GOOD)
    theirs = run_great_expectations(rows, contract)
    ours = results_of(check_rows(rows, contract))
    found: list[str] = []
    for one, other in zip(ours.results, theirs.results, strict=True):
        found += [f"rule {rule_of(other)!r}: {difference}" for difference in _differences(one, other, sample)]
    return Confirmation(theirs, tuple(found))


def _differences(
    ours: "ExpectationValidationResult", theirs: "ExpectationValidationResult", sample: pl.DataFrame
) -> Iterator[str]:
    broken = theirs.result.get("unexpected_index_list") or []
    if wrong := [row for row in broken if sample[IS_GOOD][row]]:
        yield f"Great Expectations finds rows broken that were found good ({_places(wrong, sample)})"
    differing = [name for name in _COMPARED if ours.result.get(name) != theirs.result.get(name)]
    if ours.success != theirs.success or differing:
        others = frozenset(ours.result.get("unexpected_index_list") or [])
        rows = sorted(others.symmetric_difference(broken))
        where = f" ({_places(rows, sample)})" if rows else ""
        yield f"the compiled pass and Great Expectations differ in {', '.join(differing) or 'success'}{where}"


def _places(rows: Sequence[int], sample: pl.DataFrame) -> str:
    """Days and numbers of rows of a sample, without their values."""
    days: dict[date | None, None] = dict.fromkeys(sample[DAY_COLUMN].gather(list(rows)).to_list())
    more = ", ..." if len(rows) > _NAMED_ROWS else ""
    return f"{', '.join(map(str, days))}: rows {', '.join(map(str, rows[:_NAMED_ROWS]))}{more} of {sample.height}"
