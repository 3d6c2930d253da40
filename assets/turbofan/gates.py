"""Gates of the challenger: it is not worse than the champion, and its intervals cover the truth."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl

from assets.framework.evaluation import champion_graph
from assets.turbofan.evaluated import sequences_of_all
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.task import RUL

if TYPE_CHECKING:
    from sinet_pipelines.evaluation.gate import Verdict
    from sinet_pipelines.training.candidate import Candidate


@dataclass(frozen=True)
class Gates:
    """The decision about a challenger.

    Attributes:
        not_worse: the comparison with the champion.
        coverage: the comparison of its intervals with the truth.
        verdict: of both.
        covered: the coverage of its intervals, by origin and region.
    """

    not_worse: "Verdict"
    coverage: "Verdict"
    verdict: "Verdict"
    covered: pl.DataFrame


def judge_challenger(
    context: dg.AssetExecutionContext, rows: pl.DataFrame, predicted: np.ndarray, challenger: "Candidate"
) -> Gates:
    """Compares the challenger with the champion, and its intervals with the truth.

    Args:
        context: of the step.
        rows: (n_rows,) of the evaluation set, sorted by unit and cycle.
        predicted: (n_rows,) the challenger's predictions in cycles.
        challenger: the candidate.
    """
    from sinet_pipelines.evaluation.coverage import coverage_of
    from sinet_pipelines.evaluation.gate import has_nominal_coverage, is_not_worse, may_serve

    champion = champion_answers(context, rows)
    answers = rows.select("unit", "cycle", "rul_cycles").with_columns(pl.Series("predicted_cycles", predicted))
    if champion is not None:
        answers = answers.join(champion, on=["unit", "cycle"], how="semi")
    not_worse = is_not_worse(answers, champion, task=RUL)
    covered = coverage_of(rows, predicted, challenger.require_interval(), task=RUL, independent="live")
    coverage = has_nominal_coverage(*_live(covered), groups="live engines")
    return Gates(not_worse, coverage, may_serve(not_worse, coverage, has_champion=champion is not None), covered)


def _live(covered: pl.DataFrame) -> tuple[int, int]:
    """Number of live engines' truths inside their intervals, and number of intervals."""
    for row in covered.filter((pl.col("origin") == "live") & (pl.col("region") == "all")).iter_rows(named=True):
        return row["covered"], row["n"]
    return 0, 0


def champion_answers(context: dg.AssetExecutionContext, rows: pl.DataFrame) -> pl.DataFrame | None:
    """The served champion's predictions for the rows that a graph can predict; None as in `champion_graph`."""
    from sinet_pipelines.applications.turbofan.graph.served import graph_rows_of
    from sinet_pipelines.quantization.session import answer, open_session

    graph = champion_graph(context, TURBOFAN.model)
    if graph is None:
        return None
    sequences = sequences_of_all(context)
    graph_rows, output = graph_rows_of(sequences), RUL.outputs[0]
    session = open_session(graph, inputs=graph_rows.shapes, output=output)
    predictions = pl.DataFrame(
        {
            "unit": sequences.unit,
            "cycle": sequences.cycle_B,
            "predicted_cycles": answer(session, graph_rows)[output].astype(np.float64),
        }
    ).filter(pl.Series(graph_rows.is_answerable_B, dtype=pl.Boolean))
    return rows.select("unit", "cycle", "rul_cycles").join(predictions, on=["unit", "cycle"])
