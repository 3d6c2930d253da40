"""The evaluation stage of an application with several candidates: the choice, the champion's graph, and the verdict."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from assets.framework.registry import VERDICT
from sinet_pipelines.errors import ModelNotFoundError, StorageError
from sinet_pipelines.models.task import Metric
from sinet_pipelines.storage.blobs import BlobStore

if TYPE_CHECKING:
    from sinet_pipelines.evaluation.choice import Choice
    from sinet_pipelines.evaluation.gate import Verdict
    from sinet_pipelines.training.candidate import Candidate

GATE = "challenger_is_not_worse"


def newest_candidates(blobs: BlobStore, names: Iterable[str]) -> "dict[str, Candidate]":
    """The newest candidate of each family, by the family's name."""
    from sinet_pipelines.training.candidate import newest_candidate

    return {name: newest_candidate(blobs, name) for name in names}


def choice_of(candidates: "Mapping[str, Candidate]", metric: Metric) -> "Choice":
    """The candidate with the best out-of-fold score, which becomes the challenger."""
    from sinet_pipelines.evaluation.choice import choose

    return choose({name: one.score_out_of_fold for name, one in candidates.items()}, metric)


def champion_graph(context: dg.AssetExecutionContext, model: str) -> bytes | None:
    """The graph of the served champion; None without a champion.

    None, too, where the champion's file is lost or not from the platform: users may set the alias on any version. The
    challenger is then evaluated as if no model served.
    """
    registry = context.resources.registry
    champion = registry.champion(model)
    if champion is None:
        return None
    try:
        graph: bytes = registry.load(champion)
    except (StorageError, ModelNotFoundError) as error:
        context.log.warning(f"no comparison with the champion: {error}")
        return None
    return graph


def keep_verdict(blobs: BlobStore, verdict: "Verdict", choice: "Choice", **more: object) -> None:
    """Stores the verdict about the challenger, which the stage of the registry and the model card read.

    Args:
        blobs: of the region of training.
        verdict: whether the challenger may serve.
        choice: the challenger.
        **more: further facts for the model card.
    """
    content = {**asdict(verdict), "family": choice.name, "choice": choice.reason, **more}
    blobs.point(VERDICT, blobs.put(json.dumps(content, sort_keys=True).encode()))


def overall_of(results: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """The figures of each predictor over all rows, by its name.

    Args:
        results: rows with `slice` and `predictor`.
    """
    return {row["predictor"]: row for row in results.filter(pl.col("slice") == "all").iter_rows(named=True)}


def log_figures(
    context: dg.AssetExecutionContext,
    candidates: "Mapping[str, Candidate]",
    overall: Mapping[str, Mapping[str, Any]],
    figures: Sequence[str],
) -> None:
    """Adds the figures of the evaluation to each candidate's run in MLflow.

    Args:
        context: of the step.
        candidates: by name.
        overall: result of `overall_of`.
        figures: columns to log.
    """
    for name, one in candidates.items():
        found = {f"eval_{figure}": overall[name][figure] for figure in figures}
        context.resources.tracking.add_metrics(one.run_id, found)


def gate_result(name: str, *, passed: bool, reason: str, numbers: Mapping[str, float]) -> dg.AssetCheckResult:
    """The result of a gate as a check: a warning, since the champion continues to serve.

    Args:
        name: of the check.
        passed: whether the challenger may serve.
        reason: one sentence.
        numbers: the figures behind the decision, by name.
    """
    return dg.AssetCheckResult(
        passed=passed,
        check_name=name,
        severity=dg.AssetCheckSeverity.WARN,
        description=reason,
        metadata={name: round(float(value), 4) for name, value in numbers.items()},
    )
