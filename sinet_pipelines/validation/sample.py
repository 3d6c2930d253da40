"""Great Expectations on a sample of every partition: the library confirms what the compiled pass found.

The sample has rows that were set aside and good rows of each day. Where the library finds another result, the platform
has a defect, and the step fails.
"""

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

import polars as pl

from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.tables import DAY_COLUMN
from sinet_pipelines.validation.compiled import check_rows
from sinet_pipelines.validation.expectations import results_of, rule_of, run_great_expectations

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult

ROWS_OF_A_DAY = 20  # of each kind: a run of the library takes as long for 20 rows as for 2,000
_COMPARED = ("element_count", "missing_count", "unexpected_index_list")


def sample_of(good: Iterable[pl.DataFrame], bad: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Up to 20 bad and 20 good rows of each day, the first ones, in the columns of raw rows.

    Args:
        good: frames of rows that satisfy the contract.
        bad: frames of the others, also with `reason`.
    """
    kept: list[pl.DataFrame] = []
    for frames in (bad, good):
        first = [one.drop("reason", strict=False).group_by(DAY_COLUMN).head(ROWS_OF_A_DAY) for one in frames]
        kept += [pl.concat(first).group_by(DAY_COLUMN).head(ROWS_OF_A_DAY)] if first else []
    columns = list(chain.from_iterable(one.columns for one in kept[:1]))
    return pl.concat(one.select(columns) for one in kept).sort(DAY_COLUMN, maintain_order=True)


def confirm(sample: pl.DataFrame, contract: Contract) -> "ExpectationSuiteValidationResult":
    """The result of Great Expectations for a sample, equal to that of the compiled pass.

    Args:
        sample: (n, columns) raw rows.
        contract: contract of the validated table.

    Raises:
        RuntimeError: the two results differ, which is a defect of the platform.
    """
    theirs = run_great_expectations(sample, contract)
    ours = results_of(check_rows(sample, contract))
    for one, other in zip(ours.results, theirs.results, strict=True):
        differing = [name for name in _COMPARED if one.result.get(name) != other.result.get(name)]
        if one.success != other.success or differing:
            raise RuntimeError(
                f"rule {rule_of(other)!r} of {contract.name}: the compiled pass and Great Expectations differ in "
                f"{', '.join(differing) or 'success'} on {sample.height} rows; report it as a defect with these rows"
            )
    return theirs
