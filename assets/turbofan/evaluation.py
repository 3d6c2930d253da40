"""Evaluation: compares candidates, baselines and the champion on engines that none was fitted on; class `feature`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl

from assets.framework.corrected import difference_entries, keep_corrected, with_present_values
from assets.framework.evaluation import (
    GATE,
    choice_of,
    gate_result,
    keep_verdict,
    log_figures,
    newest_candidates,
    overall_of,
)
from assets.framework.lineage import copied, derived, joined
from assets.framework.pictures import keep_pictures
from assets.framework.regional import here, once, per_region, regions_of
from assets.framework.reports import agreements_entry, corrected_entries, entries_of, made
from assets.turbofan.candidates import SEED
from assets.turbofan.evaluated import evaluated_cycles, evaluation_inputs
from assets.turbofan.evaluation_pages import coverage_table, error_by_slice, error_glance, evaluation_charts
from assets.turbofan.gates import judge_challenger
from assets.turbofan.keys import everywhere, global_key, regional_key
from assets.turbofan.lineage import sequences_of
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.markdown import shown
from resources.placement import bind
from resources.regions import RegionResource
from sinet_pipelines.applications.turbofan.families import BASELINES, CANDIDATE_NAMES, FAMILIES
from sinet_pipelines.applications.turbofan.features.known import sequences_as_known
from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.applications.turbofan.schemas.features import (
    EVALUATION_RESULTS,
    EVALUATION_SEQUENCES,
    EVALUATION_SET,
    MAX_RUL_CYCLES,
    TRAINING_SET,
    WINDOW_FEATURES,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import VALIDATED_TELEMETRY
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.features.as_known import read_as_known
from sinet_pipelines.inventory.names import EAST
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.arrival import corrected_of
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.fingerprint import fingerprint

if TYPE_CHECKING:
    from sinet_pipelines.evaluation.gate import Verdict
    from sinet_pipelines.models.model import Inputs, Model
    from sinet_pipelines.training.candidate import Candidate

MODEL = "turbofan_remaining_useful_life"
EXPERIMENTS_MODEL = f"{MODEL}_experiments"  # registered separately: no server can load them, so they get no alias
CANDIDATES = CANDIDATE_NAMES
COVERAGE_GATE = "intervals_cover_as_promised"


@per_region
def evaluation_sequences(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """The channels of every row of the evaluation, as inputs of the served model (30 cycles x 24 channels).

    Channels are those known at the end of the cycle's day. Class `sequence`: goes to EAST for training, to WEST for
    calibration and to NULL_ISLAND for experiments under the region's agreements.
    """

    @dg.asset(
        key=regional_key(region, "evaluation_sequences"),
        deps=[regional_key(region, name) for name in ("validated_telemetry", "failure_events", "truth_events")],
        metadata=entries_of(EVALUATION_SEQUENCES, sources=sequences_of(regional_key(region, "validated_telemetry"))),
        **bind(region, cadence=Cadence.TRAINING, data_class=DataClass.SEQUENCE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        evaluated = evaluated_cycles(context, region)
        engines = pl.col("unit").is_in(evaluated["unit"].unique())
        telemetry = settled(tables.scan(VALIDATED_TELEMETRY).filter(engines).collect())
        there = evaluated.join(telemetry.select("unit", "cycle", "event_date", "row_hash"), on=["unit", "cycle"])
        written = tables.replace(EVALUATION_SEQUENCES, sequences_as_known(tables, telemetry, at=there))
        gone = evaluated.height - there.height
        return made(context, written, entries={"cycles_without_row": gone})

    return asset


@once
def evaluation_set(deployment: Deployment) -> dg.AssetsDefinition:
    """Engines on which no model is trained, each at several moments, with their remaining cycles (not capped).

    A fifth of the history engines, each at eight random moments, and the live engines whose truth has arrived. Features
    are those known at the end of the cycle's day: a value that arrived later, or a later correction, is not used.
    """

    @dg.asset(
        key=global_key("evaluation_set"),
        deps=[
            *everywhere(deployment, "window_features"),
            *everywhere(deployment, "failure_events"),
            *everywhere(deployment, "truth_events"),
        ],
        metadata=entries_of(
            EVALUATION_SET,
            sources={
                **copied(EVALUATION_SET, of=WINDOW_FEATURES, keys=everywhere(deployment, "window_features")),
                **joined(
                    derived(["rul_cycles"], ["cycle"], keys=everywhere(deployment, "failure_events")),
                    derived(["rul_cycles"], ["rul_cycles"], keys=everywhere(deployment, "truth_events")),
                ),
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
        parts, present = [], []
        for region in regions_of(context):
            evaluated, tables = evaluated_cycles(context, region), here(context, region).tables
            features = tables.scan(WINDOW_FEATURES).filter(pl.col("unit").is_in(evaluated["unit"].unique())).collect()
            rows = read_as_known(tables, WINDOW_FEATURES, features)
            present.append(evaluated.join(features, on=["unit", "cycle"]).with_columns(region=pl.lit(region.name)))
            parts.append(evaluated.join(rows, on=["unit", "cycle"]).with_columns(region=pl.lit(region.name)))
        rows = settled(pl.concat(parts)).sort("unit", "cycle")
        keep_corrected(here(context, EAST).tables, EVALUATION_SET, known=rows, present=settled(pl.concat(present)))
        written = here(context, EAST).tables.replace(EVALUATION_SET, rows)
        return made(context, written, entries={"engines": rows["unit"].n_unique(), **corrected_entries(rows)})

    return asset


def _gate_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            GATE,
            asset=key,
            description="The challenger's squared error per engine is not clearly above the champion's (paired t, 5 %; "
            "RMSE at most 10 % more). A worse challenger is a warning, not a failure: the champion continues to serve.",
        ),
        dg.AssetCheckSpec(
            COVERAGE_GATE,
            asset=key,
            description="Of live engines with truth, as many lie inside their 90 % interval as chance allows "
            "(binomial, two-sided 95 %). An over-confident challenger does not get the champion's place.",
        ),
    ]


@once
def evaluation(deployment: Deployment) -> dg.AssetsDefinition:
    """Errors in cycles (RMSE and PHM08 score, truth capped at 125 and not capped) over all, each region and origin.

    The candidate with the least out-of-fold error challenges the champion. Both predict the same rows, and are compared
    engine by engine. The results also contain the other candidates, two baselines (a constant and a ridge on the same
    features), and the coverage of the challenger's intervals.
    """

    @dg.asset(
        key=global_key("evaluation"),
        deps=[
            *(global_key(name) for name in CANDIDATES),
            global_key("training_set"),
            global_key("evaluation_set"),
            *everywhere(deployment, "evaluation_sequences"),
        ],
        check_specs=_gate_specs(global_key("evaluation")),
        metadata={**entries_of(EVALUATION_RESULTS), **agreements_entry(deployment, EVALUATION_SEQUENCES, to=EAST)},
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
        from sinet_pipelines.evaluation.judge import judge
        from sinet_pipelines.storage.tables import content_hash

        place = here(context, EAST)
        rows = place.tables.read(EVALUATION_SET).sort("unit", "cycle")
        candidates = newest_candidates(place.blobs, CANDIDATES)
        choice = choice_of(candidates, RUL.metric)
        inputs = evaluation_inputs(context, rows, candidates[choice.name])
        predictions = {name: _predict(place, one, inputs) for name, one in candidates.items()}
        baselines = _baselines(place)
        predictions |= {name: model.predict(inputs) for name, model in baselines.items()}
        results = judge(rows, predictions, task=RUL, results=EVALUATION_RESULTS)
        predicted, challenger = predictions[choice.name], candidates[choice.name]
        gates = judge_challenger(context, rows, predicted, challenger)
        verdict = gates.verdict
        keep_verdict(place.blobs, verdict, choice, coverage=gates.covered.to_dicts())
        written = place.tables.replace(EVALUATION_RESULTS, results)
        overall = overall_of(results)
        log_figures(context, candidates, overall, ("rmse_capped", "rmse_uncapped", "score_capped"))
        return made(
            context,
            fingerprint(content_hash(results, EVALUATION_RESULTS), choice.name, verdict.passed, verdict.reason),
            entries={
                "decision": verdict.reason,
                "challenger": choice.name,
                **_errors(overall, challenger=choice.name),
                "error_by_true_rul": error_glance(rows, predicted),
                "choice": choice.reason,
                "by_slice": shown(error_by_slice(results, challenger=choice.name)),
                "coverage": shown(coverage_table(gates.covered)),
                **_difference(place, rows, overall, candidates, baselines),
                "summary": f"{_summary(overall, challenger=choice.name)}; {verdict.reason}",
                **keep_pictures(place.blobs, "evaluation", evaluation_charts(rows, predicted, challenger)),
                "dagster/row_count": written.rows,
            },
            checks=[_result(GATE, gates.not_worse), _result(COVERAGE_GATE, gates.coverage)],
        )

    return asset


def _result(name: str, gate: "Verdict") -> dg.AssetCheckResult:
    return gate_result(name, passed=gate.passed, reason=gate.reason, numbers=gate.numbers)


def _baselines(place: RegionResource) -> "dict[str, Model]":
    """The baselines, fitted on the training set, by name."""
    from sinet_pipelines.applications.turbofan.labels import examples_of

    examples = examples_of(place.tables.read(TRAINING_SET).sort("unit", "cycle"))
    return {family.name: family.fit(examples, seed=SEED) for family in BASELINES}


def _errors(overall: Mapping[str, Mapping[str, float]], *, challenger: str) -> dict[str, float]:
    """The challenger's errors over all rows, and those of the baselines beside the first of them."""
    own = overall[challenger]
    return {
        "rmse_capped_cycles": round(own["rmse_capped"], 3),
        "rmse_capped_ridge_cycles": round(overall["ridge"]["rmse_capped"], 3),
        "rmse_capped_constant_cycles": round(overall["constant"]["rmse_capped"], 3),
        "rmse_uncapped_cycles": round(own["rmse_uncapped"], 3),
        "score_capped": round(own["score_capped"], 1),
    }


def _summary(overall: Mapping[str, Mapping[str, float]], *, challenger: str) -> str:
    ridge, constant = overall["ridge"]["rmse_capped"], overall["constant"]["rmse_capped"]
    return (
        f"challenger {challenger}: RMSE {overall[challenger]['rmse_capped']:.2f} cycles on engines never seen (ridge "
        f"{ridge:.2f}, constant {constant:.2f}; truth capped at {MAX_RUL_CYCLES})"
    )


def _difference(
    place: RegionResource,
    rows: pl.DataFrame,
    overall: Mapping[str, Mapping[str, float]],
    candidates: "Mapping[str, Candidate]",
    baselines: "Mapping[str, Model]",
) -> dict[str, object]:
    """The RMSE of the predictors without sequences, with the values known at each cycle and with present ones."""
    from sinet_pipelines.applications.turbofan.labels import inputs_of
    from sinet_pipelines.evaluation.judge import judge

    now = with_present_values(place.tables, EVALUATION_SET, rows)
    if now is None:
        return difference_entries(0, {}, {}, figures=())
    inputs = inputs_of(now)
    answers = {name: model.predict(inputs) for name, model in baselines.items()}
    plain = {name: one for name, one in candidates.items() if not FAMILIES[name].needs_sequences}
    answers |= {name: _predict(place, one, inputs) for name, one in plain.items()}
    results = judge(now, answers, task=RUL, results=EVALUATION_RESULTS).filter(pl.col("slice") == "all")
    return difference_entries(
        place.tables.extent(corrected_of(EVALUATION_SET))[0],
        {name: [overall[name]["rmse_capped"]] for name in answers},
        {row["predictor"]: [row["rmse_capped"]] for row in results.iter_rows(named=True)},
        figures=["RMSE in cycles"],
    )


def _predict(place: RegionResource, candidate: "Candidate", inputs: "Inputs") -> np.ndarray:
    from sinet_pipelines.training.candidate import load_model

    return load_model(place.blobs, candidate, task=RUL, families=FAMILIES).predict(inputs)
