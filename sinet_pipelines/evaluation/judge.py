"""Computes errors by slice: the model and its baselines over all rows and over the task's slices."""

from collections.abc import Mapping

import polars as pl

from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.model import Floats
from sinet_pipelines.models.task import Task
from sinet_pipelines.schemas.contract import Contract


def judge(
    evaluation_set: pl.DataFrame, predictions: Mapping[str, Floats], *, task: Task, results: Contract
) -> pl.DataFrame:
    """Errors of each predictor over each slice.

    Args:
        evaluation_set: n rows with the task's group, slices and target.
        predictions: (n,) predictions in the order of the rows, by predictor (a family, `constant`, `ridge`).
        task: the task.
        results: contract of the result: `slice`, `value`, `predictor`, the number of groups in a column of their
            name, and the task's errors.

    Returns:
        One row for each slice and predictor. The slice `all` is first; the others follow in the task's order.

    Raises:
        ContractError: when there is no row.
    """
    if evaluation_set.is_empty():
        raise ContractError(f"no row to evaluate on (needed: {task.groups} with known {task.target}); land more data")
    rows = evaluation_set.select(task.group, *task.slices, task.target).with_columns(
        pl.Series(f"predicted_{name}", values) for name, values in predictions.items()
    )
    slices = [("all", "all", rows)]
    for name in task.slices:
        slices += [(name, str(value), rows.filter(pl.col(name) == value)) for value in rows[name].unique().sort()]
    found = [
        {"slice": name, "value": value, "predictor": predictor, **_errors(part, predictor, task)}
        for name, value, part in slices
        for predictor in predictions
    ]
    return pl.DataFrame(found).select(results.schema.names)


def _errors(part: pl.DataFrame, predictor: str, task: Task) -> dict[str, float]:
    errors = task.errors(part[f"predicted_{predictor}"].to_numpy(), part[task.target].to_numpy())
    return {task.groups: part[task.group].n_unique(), **errors}
