"""One model of one task in one region: a candidate fitted on a table, its graph, and its versions in the registry.

For applications whose features are columns of a table. The tables `training_set` and `evaluation_set` and the model are
in one region.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import dagster as dg

from assets.framework.candidates import Fitted, Uncertainty, log_and_keep, validate_and_fit
from assets.framework.regional import here
from assets.framework.reports import made
from resources.code_versions import code_of
from resources.keys import Cadence
from resources.placement import bind
from sinet_pipelines.applications.application import Application
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.models.model import Family
from sinet_pipelines.registry.promotion import ALIAS_REMOVED, may_be_promoted
from sinet_pipelines.schemas.contract import Contract, DataClass

if TYPE_CHECKING:
    import polars as pl

    from sinet_pipelines.models.task import Task

SEED = 0
FOLDS = 5
AGREEMENT = "graph_agrees_with_its_source"
GRAPH = "graphs/served"  # the ref of the newest graph that agrees, among the region's blobs


def candidate_of(
    application: Application, region: Region, family: Family, *, training_set: Contract
) -> dg.AssetsDefinition:
    """The asset of a family that is validated out of fold, fitted on the training set, and stored.

    Args:
        application: with the task.
        region: where the training set lies and the family is fitted.
        family: with its settings.
        training_set: has the task's features, group, order and target as columns.
    """
    task, experiment = application.require_task(), application.name

    @dg.asset(
        key=dg.AssetKey(application.key(family.name)),
        deps=[dg.AssetKey(application.key(training_set.name, region=region.name))],
        description=f"The family {family.name}, which predicts {task.target}: validated on {FOLDS} folds, then fitted "
        "on the whole training set.",
        **bind(region, cadence=Cadence.TRAINING, data_class=DataClass.MODEL, uses=["tracking"], kinds={"mlflow"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.columns import examples_of
        from sinet_pipelines.registry.runs import RunRecord
        from sinet_pipelines.storage.tables import content_hash
        from sinet_pipelines.training.fit import require_not_held_out, score_of

        place = here(context, region)
        rows = require_not_held_out(place.tables.read(training_set), task).sort(task.group, task.order)
        fitted = validate_and_fit(context, family, examples_of(rows, task), folds=FOLDS, seed=SEED)
        score = score_of(fitted.validated.predicted_B, fitted.examples)
        record = RunRecord(
            experiment=experiment,
            name=family.name,
            params=asdict(family),  # type: ignore[call-overload]
            metrics={f"oof_{task.metric.name.lower()}": score},
            artifacts={},
            data_versions={training_set.name: content_hash(rows, training_set)},
            code_version=code_of(context),
        )
        kept = log_and_keep(
            context,
            place.blobs,
            fitted,
            record,
            seed=SEED,
            score=score,
            training_set=training_set.name,
            uncertainty=_uncertainty(fitted),
        )
        entries = {
            f"{task.metric.name.lower()}_out_of_fold": round(score, 4),
            "rows": rows.height,
            "folds": FOLDS,
            "mlflow_run": dg.MetadataValue.url(kept.run_url),
            "summary": f"{family.name} has {task.metric.name} {task.metric.with_unit(task.metric.text(score))} out of "
            f"fold on {rows.height} rows",
        }
        return made(context, kept.version, entries=entries)

    return asset


def _uncertainty(fitted: Fitted) -> Uncertainty:
    """The interval of a regression, or the decision of a classification, from predictions out of fold."""
    from sinet_pipelines.training.calibration import fit_decision
    from sinet_pipelines.training.conformal import conformal_interval, covered_out_of_fold, weighted_coverage

    examples, predicted_B = fitted.examples, fitted.validated.predicted_B
    task = examples.task
    if not task.is_regression:
        return Uncertainty(decision=fit_decision(predicted_B, examples.truth_B == 1.0))
    covered_B = covered_out_of_fold(predicted_B, examples, folds=FOLDS, seed=SEED)
    groups = len(set(examples.group_B.tolist()))
    return Uncertainty(
        conformal_interval(predicted_B, examples.truth_B, examples.weight_B, task=task, groups=groups),
        weighted_coverage(covered_B, examples),
    )


def graph_of(
    application: Application, region: Region, family: Family, *, evaluation_set: Contract
) -> dg.AssetsDefinition:
    """The asset of a candidate's ONNX graph; one that does not predict as its source is refused.

    Args:
        application: with the task.
        region: where the candidate and the rows lie.
        family: of the candidate.
        evaluation_set: rows on which both are compared; its columns bound what may be requested.
    """
    task, name, key = application.require_task(), family.name, dg.AssetKey(application.key("onnx_model"))

    @dg.asset(
        key=key,
        deps=[
            dg.AssetKey(application.key(name)),
            dg.AssetKey(application.key(evaluation_set.name, region=region.name)),
        ],
        description="The model as one ONNX graph: the features in, the outputs of the task out.",
        check_specs=[
            dg.AssetCheckSpec(
                AGREEMENT,
                asset=key,
                blocking=True,
                description="On every row of the evaluation set the graph predicts what the model predicts.",
            )
        ],
        **bind(region, cadence=Cadence.TRAINING, data_class=DataClass.MODEL, kinds={"onnx"}),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        from sinet_pipelines.applications.columns import ColumnInputs, feature_columns, graph_rows_of, inputs_of
        from sinet_pipelines.quantization.agreement import check_agreement
        from sinet_pipelines.quantization.export import export
        from sinet_pipelines.training.candidate import load_model, newest_candidate

        place = here(context, region)
        candidate = newest_candidate(place.blobs, name)
        model = load_model(place.blobs, candidate, task=task, families={name: family})
        preparation = ColumnInputs(feature_columns(task, evaluation_set))
        graph = export(
            model,
            preparation=preparation,
            family=name,
            interval=candidate.interval,
            decision=candidate.decision,
        )
        rows = place.tables.read(evaluation_set)
        source_B = model.predict(inputs_of(rows, task))
        if candidate.decision is not None:
            source_B = candidate.decision.probability(source_B)
        found = check_agreement(graph, graph_rows_of(rows, task), source_B, output=task.outputs[0])
        yield dg.AssetCheckResult(passed=found.passed, check_name=AGREEMENT, description=found.reason)
        found.require()
        blob = place.blobs.put(graph)
        place.blobs.point(GRAPH, blob)
        yield made(context, blob[:16], entries={"agreement": found.reason, "bytes": len(graph), "sha256": blob})

    return asset


def registered_model_of(
    application: Application, region: Region, family: Family, *, evaluation_set: Contract
) -> dg.AssetsDefinition:
    """The asset of the model's versions in the registry, with the champion's alias where the graph is not worse.

    Args:
        application: with the task and the model's name.
        region: where the graph and the rows lie.
        family: of the graph.
        evaluation_set: rows by which the graph is compared with the champion.
    """
    task, model, name = application.require_task(), application.model, family.name

    @dg.asset(
        key=dg.AssetKey(application.key("registered_model")),
        deps=[
            dg.AssetKey(application.key("onnx_model")),
            dg.AssetKey(application.key(name)),
            dg.AssetKey(application.key(evaluation_set.name, region=region.name)),
        ],
        description=f"Versions of {model} in MLflow, one a content. A graph that is not worse than the champion on the "
        "evaluation set gets the alias `champion`.",
        **bind(
            region,
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            uses=["registry", "tracking"],
            kinds={"mlflow"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.evaluation.gate import is_not_worse
        from sinet_pipelines.training.candidate import newest_candidate

        place, registry = here(context, region), context.resources.registry
        rows, graph = place.tables.read(evaluation_set), place.blobs.get_ref(GRAPH)
        champion, last = registry.champion(model), registry.last_promoted(model)
        current = None if champion is None else _predictions(registry.load(champion), rows, task)
        verdict = is_not_worse(_predictions(graph, rows, task), current, task=task)
        may_serve = may_be_promoted(
            hashlib.sha256(graph).hexdigest(), champion=champion, last_promoted=last, has_passed=verdict.passed
        )
        version = registry.register(
            model,
            graph,
            family=name,
            run_id=newest_candidate(place.blobs, name).run_id,
            alias="champion" if may_serve else None,
        )
        state = "champion" if "champion" in version.aliases else "challenger"
        entries = {
            "decision": verdict.reason if may_serve or champion is not None else ALIAS_REMOVED,
            "version": version.version,
            "family": version.family,
            "aliases": ", ".join(version.aliases) or "none",
            "mlflow_model": dg.MetadataValue.url(registry.version_url(version)),
            "sha256": version.sha256,
        }
        return made(context, f"{version.sha256[:16]}-{state}", entries=entries)

    return asset


def _predictions(graph: bytes, rows: "pl.DataFrame", task: "Task") -> "pl.DataFrame":
    """The prediction of a graph for each row, with the truth."""
    import polars as pl

    from sinet_pipelines.applications.columns import graph_rows_of
    from sinet_pipelines.quantization.session import answer, open_session

    graph_rows, output = graph_rows_of(rows, task), task.outputs[0]
    predicted_B = answer(open_session(graph, inputs=graph_rows.shapes, output=output), graph_rows)[output]
    named = rows.select(task.group, task.order, pl.col(task.target).cast(pl.Float64))
    return named.with_columns(pl.Series(task.predicted, predicted_B, dtype=pl.Float64))
