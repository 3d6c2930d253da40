"""Evaluation: candidates on held-out products, compared with baselines and the champion; class `feature`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from assets.framework.corrected import difference_entries, keep_corrected, with_present_values
from assets.framework.evaluation import (
    GATE,
    champion_graph,
    choice_of,
    gate_result,
    keep_verdict,
    log_figures,
    newest_candidates,
    overall_of,
)
from assets.framework.lineage import copied
from assets.framework.regional import here, once, per_region, regions_of
from assets.framework.reports import agreements_entry, corrected_entries, entries_of, made
from assets.milling.candidates import SEED
from assets.milling.keys import everywhere, global_key, regional_key
from assets.milling.training import learnt_from
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.markdown import shown
from resources.placement import bind
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.families import BASELINES, CANDIDATE_NAMES, CANDIDATES
from sinet_pipelines.applications.milling.tables import (
    EVALUATION_RECORDS,
    EVALUATION_RESULTS,
    EVALUATION_SET,
    OUTCOME_EVENTS,
    PROCESS_FEATURES,
    VALIDATED_RECORDS,
)
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.features.as_known import read_as_known
from sinet_pipelines.inventory.names import EAST
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.markdown import Markdown, table
from sinet_pipelines.schemas.arrival import corrected_of
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.fingerprint import fingerprint

if TYPE_CHECKING:
    from sinet_pipelines.applications.milling.evaluation import Judged
    from sinet_pipelines.evaluation.gate import Verdict

MODEL = MILLING.model
FIGURES = ("f1", "pr_auc", "precision", "recall", "brier")


@once
def evaluation_set(deployment: Deployment) -> dg.AssetsDefinition:
    """Products outside of the training set, with their outcome: a fifth of all, and those of the newest five days.

    Features are those known at the end of the product's day.
    """

    @dg.asset(
        key=global_key("evaluation_set"),
        deps=[*everywhere(deployment, "process_features"), *everywhere(deployment, "outcome_events")],
        metadata=entries_of(
            EVALUATION_SET,
            sources={
                **copied(EVALUATION_SET, of=OUTCOME_EVENTS, keys=everywhere(deployment, "outcome_events")),
                **copied(EVALUATION_SET, of=PROCESS_FEATURES, keys=everywhere(deployment, "process_features")),
            },
        ),
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.FEATURE,
            reads=deployment.regions,
            kinds={"deltalake"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.milling.labels import evaluation_rows

        features, outcomes, last_day = learnt_from(context)
        rows = evaluation_rows(features, outcomes, last_day=last_day)
        now, _, _ = learnt_from(context, is_present=True)
        present = evaluation_rows(now, outcomes, last_day=last_day)
        keep_corrected(here(context, EAST).tables, EVALUATION_SET, known=rows, present=present)
        written = here(context, EAST).tables.replace(EVALUATION_SET, rows)
        failures = int(rows["machine_failure"].sum())
        return made(
            context,
            written,
            entries={"failures": failures, "newest_day": str(last_day), **corrected_entries(rows)},
        )

    return asset


@per_region
def evaluation_records(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """The process values of the region's rows of the evaluation set, as inputs of the served model.

    Class `sequence`: moves to WEST, under the region's agreement, for the comparison of graphs with their models.
    """
    validated_key = regional_key(region, "validated_records")

    @dg.asset(
        key=regional_key(region, "evaluation_records"),
        deps=[validated_key, global_key("evaluation_set")],
        metadata=entries_of(
            EVALUATION_RECORDS, sources=copied(EVALUATION_RECORDS, of=VALIDATED_RECORDS, keys=[validated_key])
        ),
        **bind(
            region,
            cadence=Cadence.TRAINING,
            data_class=DataClass.SEQUENCE,
            reads=[deployment.region(EAST)],
            kinds={"deltalake"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        evaluated = here(context, EAST).tables.read(EVALUATION_SET, columns=["product_id", "region"])
        own = evaluated.filter(pl.col("region") == region.name)
        present = tables.read(VALIDATED_RECORDS).join(own, on="product_id", how="semi")
        rows = read_as_known(tables, VALIDATED_RECORDS, present).sort("product_id")
        written = tables.replace(EVALUATION_RECORDS, rows.select(EVALUATION_RECORDS.schema.names))
        return made(context, written)

    return asset


@once
def evaluation(deployment: Deployment) -> dg.AssetsDefinition:
    """F1, PR-AUC, precision, recall and Brier score over all, and by type of product, region and origin.

    The candidate with the greatest out-of-fold PR-AUC is compared with the champion, product by product. The table also
    has the other candidates and two baselines: logistic regression, and the published limits.
    """

    @dg.asset(
        key=global_key("evaluation"),
        deps=[
            *(global_key(name) for name in (*CANDIDATE_NAMES, "training_set", "evaluation_set")),
            *everywhere(deployment, "evaluation_records"),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                GATE,
                asset=global_key("evaluation"),
                description="The challenger's log loss per product is not clearly above the champion's (paired t, 5 %; "
                "at most 10 % more). A worse challenger is a warning, not a failure: the champion continues to serve.",
            )
        ],
        metadata={**entries_of(EVALUATION_RESULTS), **agreements_entry(deployment, EVALUATION_RECORDS, to=EAST)},
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.FEATURE,
            reads=deployment.regions,
            uses=["registry", "tracking"],
            kinds={"deltalake"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.milling.evaluation import results_of
        from sinet_pipelines.storage.tables import content_hash

        place = here(context, EAST)
        rows = place.tables.read(EVALUATION_SET).sort("record_id", "product_id")
        candidates = newest_candidates(place.blobs, CANDIDATE_NAMES)
        choice = choice_of(candidates, FAILURE.metric)
        predictions = _predictions(context, rows)
        results = results_of(rows, predictions)
        verdict = _compared_with_champion(context, rows, predictions[choice.name])
        keep_verdict(place.blobs, verdict, choice)
        written = place.tables.replace(EVALUATION_RESULTS, results)
        overall = overall_of(results)
        log_figures(context, candidates, overall, FIGURES)
        return made(
            context,
            fingerprint(content_hash(results, EVALUATION_RESULTS), choice.name, verdict.passed, verdict.reason),
            entries={
                "decision": verdict.reason,
                "challenger": choice.name,
                **{figure: round(overall[choice.name][figure], 4) for figure in FIGURES},
                **{f"f1_{one.name}": round(overall[one.name]["f1"], 4) for one in BASELINES},
                **{f"pr_auc_{one.name}": round(overall[one.name]["pr_auc"], 4) for one in BASELINES},
                "choice": choice.reason,
                "by_slice": shown(_slices(results, challenger=choice.name)),
                **_difference(context, rows, overall),
                "dagster/row_count": written.rows,
                "summary": _summary(overall, challenger=choice.name),
            },
            checks=[gate_result(GATE, passed=verdict.passed, reason=verdict.reason, numbers=verdict.numbers)],
        )

    return asset


def _summary(overall: Mapping[str, Mapping[str, Any]], *, challenger: str) -> str:
    own = overall[challenger]
    return (
        f"{challenger} has F1 {own['f1']:.3f} and PR-AUC {own['pr_auc']:.3f} on {own['products']} products it never "
        f"saw; logistic regression has F1 {overall['logistic']['f1']:.3f}, the published limits "
        f"{overall['published_rules']['f1']:.3f}"
    )


def _difference(
    context: dg.AssetExecutionContext, rows: pl.DataFrame, overall: Mapping[str, Mapping[str, float]]
) -> dict[str, object]:
    """F1 and PR-AUC with the values known at the end of each product's day, and with present ones."""
    from sinet_pipelines.applications.milling.evaluation import results_of

    tables, figures = here(context, EAST).tables, ("f1", "pr_auc")
    now = with_present_values(tables, EVALUATION_SET, rows)
    if now is None:
        return difference_entries(0, {}, {}, figures=())
    results = results_of(now, _predictions(context, now)).filter(pl.col("slice") == "all")
    return difference_entries(
        tables.extent(corrected_of(EVALUATION_SET))[0],
        {name: [row[figure] for figure in figures] for name, row in overall.items()},
        {row["predictor"]: [row[figure] for figure in figures] for row in results.iter_rows(named=True)},
        figures=["F1", "PR-AUC"],
    )


def _predictions(context: dg.AssetExecutionContext, rows: pl.DataFrame) -> "dict[str, Judged]":
    """The predictions of every candidate and every baseline for the rows."""
    from assets.milling.candidates import FOLDS, training_rows
    from sinet_pipelines.applications.milling.evaluation import judged
    from sinet_pipelines.applications.milling.features import examples_of, inputs_of
    from sinet_pipelines.training.calibration import fit_decision
    from sinet_pipelines.training.candidate import load_model, newest_candidate
    from sinet_pipelines.training.fit import cross_validate

    blobs, inputs = here(context, EAST).blobs, inputs_of(rows)
    families = {family.name: family for family in CANDIDATES}
    found = {}
    for name in CANDIDATE_NAMES:
        candidate = newest_candidate(blobs, name)
        model = load_model(blobs, candidate, task=FAILURE, families=families)
        found[name] = judged(model.predict(inputs), candidate.require_decision())
    examples = examples_of(training_rows(context))
    for baseline in BASELINES:
        out_of_fold_B = cross_validate(examples, family=baseline, seed=SEED, folds=FOLDS).predicted_B
        decision = fit_decision(out_of_fold_B, examples.truth_B == 1.0)
        found[baseline.name] = judged(baseline.fit(examples, seed=SEED).predict(inputs), decision)
    return found


def _compared_with_champion(context: dg.AssetExecutionContext, rows: pl.DataFrame, predicted: "Judged") -> "Verdict":
    """Whether the challenger is not worse than the champion on the products that both predict."""
    from sinet_pipelines.evaluation.gate import is_not_worse

    named = rows.select(FAILURE.group, FAILURE.order, FAILURE.target)
    challenger = named.with_columns(pl.Series(FAILURE.predicted, predicted.probability_B))
    champion = _champion_answers(context, rows)
    if champion is not None:
        challenger = challenger.join(champion, on=FAILURE.group, how="semi")
    return is_not_worse(challenger, champion, task=FAILURE)


def _champion_answers(context: dg.AssetExecutionContext, rows: pl.DataFrame) -> pl.DataFrame | None:
    """The predictions of the served champion; None as in `champion_graph`."""
    from sinet_pipelines.applications.milling.served import graph_rows_of
    from sinet_pipelines.quantization.session import answer, open_session

    graph = champion_graph(context, MODEL)
    if graph is None:
        return None
    records = evaluated_records(context)
    graph_rows, output = graph_rows_of(records), FAILURE.outputs[0]
    probability_B = answer(open_session(graph, inputs=graph_rows.shapes, output=output), graph_rows)[output].astype(
        np.float64
    )
    answers = pl.DataFrame({FAILURE.group: records[FAILURE.group], FAILURE.predicted: probability_B})
    return rows.select(FAILURE.group, FAILURE.order, FAILURE.target).join(answers, on=FAILURE.group)


def evaluated_records(context: dg.AssetExecutionContext) -> pl.DataFrame:
    """The process values of the evaluation set, of all regions."""
    parts = pl.concat(here(context, region).tables.read(EVALUATION_RECORDS) for region in regions_of(context))
    return parts.filter(pl.col("product_id").is_unique()).sort("product_id")


def _slices(results: pl.DataFrame, *, challenger: str) -> Markdown:
    """F1 and PR-AUC by slice: the challenger, its baselines, then the other candidates."""
    names = [challenger, *(one.name for one in BASELINES), *(name for name in CANDIDATE_NAMES if name != challenger)]
    by_slice = results.with_columns(shown=pl.format("{} / {}", pl.col("f1").round(3), pl.col("pr_auc").round(3)))
    wide = by_slice.pivot(
        on="predictor", index=["slice", "value", "products", "failures"], values="shown", maintain_order=True
    )
    rows = [
        (row["value"], row["products"], row["failures"], *(row[name] for name in names))
        for row in wide.iter_rows(named=True)
    ]
    return table(("F1 / PR-AUC", "products", "failures", *names), rows, numeric=range(1, 3 + len(names)))
