"""Evaluation: compares candidates, baselines and the champion on engines that none was fitted on; class `feature`."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl

from assets.framework.corrected import difference_entries, keep_corrected, with_present_values
from assets.framework.lineage import copied, derived, joined
from assets.framework.pictures import glance_of_bars, keep_pictures
from assets.framework.regional import here, once, per_region, regions_of
from assets.framework.registry import VERDICT
from assets.framework.reports import agreements_entry, corrected_entries, entries_of, made
from assets.turbofan.candidates import SEED, regimes_of
from assets.turbofan.keys import everywhere, global_key, regional_key
from assets.turbofan.lineage import sequences_of
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.markdown import shown
from resources.placement import bind
from resources.regions import RegionResource
from sinet_pipelines.applications.turbofan.families import BASELINE_NAMES, BASELINES, CANDIDATE_NAMES, FAMILIES
from sinet_pipelines.applications.turbofan.features.known import sequences_as_known
from sinet_pipelines.applications.turbofan.features.sequences import Sequences, sequences_from_table
from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS, TRUTH_EVENTS
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
from sinet_pipelines.errors import ContractError, ModelNotFoundError, StorageError
from sinet_pipelines.features.as_known import read_as_known
from sinet_pipelines.inventory.names import EAST
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.markdown import Markdown, table
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
GATE = "challenger_is_not_worse"
COVERAGE_GATE = "intervals_cover_as_promised"


def _evaluated_cycles(context: dg.AssetExecutionContext, region: Region) -> pl.DataFrame:
    """The rows of the evaluation, of engines that no model is trained on: `unit`, `cycle`, `rul_cycles`, `origin`."""
    from sinet_pipelines.applications.turbofan.cuts import held_out_cuts, newest_truths

    tables = here(context, region).tables
    cuts = held_out_cuts(tables.read(FAILURE_EVENTS)).with_columns(origin=pl.lit("history"))
    truth = newest_truths(tables.read(TRUTH_EVENTS)).select("unit", "cycle", "rul_cycles", origin=pl.lit("live"))
    return pl.concat([cuts, truth]).sort("unit", "cycle")


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
        evaluated = _evaluated_cycles(context, region)
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
            evaluated, tables = _evaluated_cycles(context, region), here(context, region).tables
            features = tables.scan(WINDOW_FEATURES).filter(pl.col("unit").is_in(evaluated["unit"].unique())).collect()
            rows = read_as_known(tables, WINDOW_FEATURES, features)
            present.append(evaluated.join(features, on=["unit", "cycle"]).with_columns(region=pl.lit(region.name)))
            parts.append(evaluated.join(rows, on=["unit", "cycle"]).with_columns(region=pl.lit(region.name)))
        rows = settled(pl.concat(parts)).sort("unit", "cycle")
        keep_corrected(here(context, EAST).tables, EVALUATION_SET, known=rows, present=settled(pl.concat(present)))
        written = here(context, EAST).tables.replace(EVALUATION_SET, rows)
        return made(context, written, entries={"engines": rows["unit"].n_unique(), **corrected_entries(rows)})

    return asset


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
        check_specs=[
            dg.AssetCheckSpec(
                GATE,
                asset=global_key("evaluation"),
                description="The challenger's squared error per engine is not clearly above the champion's (paired t, "
                "5 %; RMSE at most 10 % more). A worse challenger is a warning, not a failure: the champion continues "
                "to serve.",
            ),
            dg.AssetCheckSpec(
                COVERAGE_GATE,
                asset=global_key("evaluation"),
                description="Of live engines with truth, as many lie inside their 90 % interval as chance "
                "allows (binomial, two-sided 95 %). An over-confident challenger does not get the champion's place.",
            ),
        ],
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
        from sinet_pipelines.applications.turbofan.labels import examples_of
        from sinet_pipelines.evaluation.choice import choose
        from sinet_pipelines.evaluation.coverage import coverage_of
        from sinet_pipelines.evaluation.gate import has_nominal_coverage, is_not_worse, may_serve
        from sinet_pipelines.evaluation.judge import judge
        from sinet_pipelines.storage.tables import content_hash
        from sinet_pipelines.training.candidate import newest_candidate

        place = here(context, EAST)
        rows = place.tables.read(EVALUATION_SET).sort("unit", "cycle")
        candidates = {name: newest_candidate(place.blobs, name) for name in CANDIDATES}
        choice = choose({name: one.score_out_of_fold for name, one in candidates.items()}, RUL.metric)
        inputs = evaluation_inputs(context, rows, candidates[choice.name])
        answers = {name: _predict(place, one, inputs) for name, one in candidates.items()}
        examples = examples_of(place.tables.read(TRAINING_SET).sort("unit", "cycle"))
        baselines = {family.name: family.fit(examples, seed=SEED) for family in BASELINES}
        answers |= {name: model.predict(inputs) for name, model in baselines.items()}
        results = judge(rows, answers, task=RUL, results=EVALUATION_RESULTS)
        champion = _champion_answers(context, rows)
        challenger = _answers(rows, answers[choice.name])
        not_worse = is_not_worse(
            challenger if champion is None else challenger.join(champion, on=["unit", "cycle"], how="semi"),
            champion,
            task=RUL,
        )
        interval = candidates[choice.name].require_interval()
        covered = coverage_of(rows, answers[choice.name], interval, task=RUL, independent="live")
        coverage = has_nominal_coverage(*_live(covered), groups="live engines")
        verdict = may_serve(not_worse, coverage, has_champion=champion is not None)
        content = {**asdict(verdict), "family": choice.name, "choice": choice.reason, "coverage": covered.to_dicts()}
        place.blobs.point(VERDICT, place.blobs.put(json.dumps(content, sort_keys=True).encode()))
        written = place.tables.replace(EVALUATION_RESULTS, results)
        overall = {row["predictor"]: row for row in results.filter(pl.col("slice") == "all").iter_rows(named=True)}
        for name, one in candidates.items():
            figures = ("rmse_capped", "rmse_uncapped", "score_capped")
            context.resources.tracking.add_metrics(
                one.run_id, {f"eval_{figure}": overall[name][figure] for figure in figures}
            )
        own = overall[choice.name]
        return made(
            context,
            fingerprint(content_hash(results, EVALUATION_RESULTS), choice.name, verdict.passed, verdict.reason),
            entries={
                "decision": verdict.reason,
                "challenger": choice.name,
                "rmse_capped_cycles": round(own["rmse_capped"], 3),
                "rmse_capped_ridge_cycles": round(overall["ridge"]["rmse_capped"], 3),
                "rmse_capped_constant_cycles": round(overall["constant"]["rmse_capped"], 3),
                "rmse_uncapped_cycles": round(own["rmse_uncapped"], 3),
                "score_capped": round(own["score_capped"], 1),
                "error_by_true_rul": _error_glance(rows, answers[choice.name]),
                "choice": choice.reason,
                "by_slice": shown(_slices(results, challenger=choice.name)),
                "coverage": shown(_coverage_table(covered)),
                **_difference(place, rows, overall, candidates, baselines),
                "summary": f"challenger {choice.name}: RMSE {own['rmse_capped']:.2f} cycles on engines never seen "
                f"(ridge {overall['ridge']['rmse_capped']:.2f}, constant {overall['constant']['rmse_capped']:.2f}; "
                f"truth capped at {MAX_RUL_CYCLES}); {verdict.reason}",
                **keep_pictures(place.blobs, "evaluation", _plots(rows, answers[choice.name], candidates[choice.name])),
                "dagster/row_count": written.rows,
            },
            checks=[_as_check(GATE, not_worse), _as_check(COVERAGE_GATE, coverage)],
        )

    return asset


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


def _error_glance(rows: pl.DataFrame, predicted: np.ndarray) -> dg.MetadataValue:
    """Mean absolute error by true remaining cycles, in steps of ten cycles."""
    true = np.minimum(rows["rul_cycles"].to_numpy(), MAX_RUL_CYCLES)
    step = (true // 10).astype(np.int64)
    counts = np.bincount(step)
    means = np.divide(
        np.bincount(step, weights=np.abs(predicted - true)), counts, out=np.full(len(counts), np.nan), where=counts > 0
    )
    return glance_of_bars(means, label="mean error by true RUL, 0 to 125 in tens", unit="cycles")


def _plots(rows: pl.DataFrame, predicted: np.ndarray, candidate: "Candidate") -> dict[str, bytes]:
    """The challenger's predictions for the rows of the evaluation, as pictures by name."""
    from sinet_pipelines.pictures.charts import error_against_truth, predicted_against_true

    true = np.minimum(rows["rul_cycles"].to_numpy(), MAX_RUL_CYCLES)
    lower, upper = candidate.require_interval().around(predicted)
    return {
        "predicted_against_true": predicted_against_true(true, predicted, lower_B=lower, upper_B=upper),
        "error_against_truth": error_against_truth(true, predicted),
    }


def _as_check(name: str, verdict: "Verdict") -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=verdict.passed,
        check_name=name,
        severity=dg.AssetCheckSeverity.WARN,
        description=verdict.reason,
        metadata={name: round(float(value), 4) for name, value in verdict.numbers.items()},
    )


def evaluation_inputs(context: dg.AssetExecutionContext, rows: pl.DataFrame, candidate: "Candidate") -> "Inputs":
    """The inputs of models: the features of the evaluation set and its scaled sensors.

    Args:
        context: of the step.
        rows: of the evaluation set, sorted by unit and cycle.
        candidate: its regimes scale the sensors.
    """
    from sinet_pipelines.applications.turbofan.features.scaled import scaled_windows
    from sinet_pipelines.applications.turbofan.labels import inputs_of

    regimes = regimes_of(here(context, EAST).blobs, candidate)
    sequences = sequences_at(sequences_of_all(context), rows)
    return inputs_of(rows, sequences=scaled_windows(sequences, regimes))


def sequences_at(sequences: Sequences, rows: pl.DataFrame) -> Sequences:
    """The sequences of the rows, in their order.

    Raises:
        ContractError: when a row has none.
    """
    types = pl.Schema({"unit": pl.String(), "cycle": rows.schema["cycle"]})  # without sequences there are no types
    known = pl.DataFrame({"unit": sequences.unit, "cycle": sequences.cycle_B}, schema=types).with_row_index("place")
    places = rows.select("unit", "cycle").join(known, on=["unit", "cycle"], how="left", maintain_order="left")
    gone = places["place"].null_count()
    if gone:
        raise ContractError(
            f"{gone} of {rows.height} rows of the evaluation set have no sequence; materialise evaluation_sequences"
        )
    return sequences.take(places["place"].to_numpy())


def _predict(place: RegionResource, candidate: "Candidate", inputs: "Inputs") -> np.ndarray:
    from sinet_pipelines.training.candidate import load_model

    return load_model(place.blobs, candidate, task=RUL, families=FAMILIES).predict(inputs)


def _live(covered: pl.DataFrame) -> tuple[int, int]:
    """Number of live engines' truths inside their intervals, and number of intervals."""
    for row in covered.filter((pl.col("origin") == "live") & (pl.col("region") == "all")).iter_rows(named=True):
        return row["covered"], row["n"]
    return 0, 0


def _coverage_table(covered: pl.DataFrame) -> Markdown:
    rows = []
    for row in covered.iter_rows(named=True):
        band = "predicted eight times each" if row["least"] is None else f"{row['least']} to {row['most']}"
        rows.append((row["origin"], row["region"], row["n"], row["covered"], f"{row['share']:.1%}", band))
    return table(("engines", "region", "n", "inside", "share", "chance allows"), rows, numeric=(2, 3, 4))


def _answers(rows: pl.DataFrame, predicted: np.ndarray) -> pl.DataFrame:
    return rows.select("unit", "cycle", "rul_cycles").with_columns(pl.Series("predicted_cycles", predicted))


def _champion_answers(context: dg.AssetExecutionContext, rows: pl.DataFrame) -> pl.DataFrame | None:
    """The served champion's predictions for the rows that a graph can predict; None without a champion.

    None, too, where the champion's file is lost or not from the platform: users may set the alias on any version.
    """
    from sinet_pipelines.applications.turbofan.graph.served import graph_rows_of
    from sinet_pipelines.quantization.session import answer, open_session

    registry = context.resources.registry
    champion = registry.champion(MODEL)
    if champion is None:
        return None
    try:
        graph = registry.load(champion)
    except (StorageError, ModelNotFoundError) as error:  # evaluated as if no model served
        context.log.warning(f"no comparison with the champion: {error}")
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


def sequences_of_all(context: dg.AssetExecutionContext) -> Sequences:
    """The evaluation's sequences of all regions, sorted by unit and cycle."""
    parts = pl.concat(here(context, region).tables.read(EVALUATION_SEQUENCES) for region in regions_of(context))
    return sequences_from_table(settled(parts).sort("unit", "cycle").to_arrow())


def _slices(results: pl.DataFrame, *, challenger: str) -> Markdown:
    """Capped RMSE by slice: the challenger, its baselines, then the other candidates."""
    index = ["slice", "value", "engines", "n"]
    wide = results.pivot(on="predictor", index=index, values="rmse_capped", maintain_order=True)
    names = [challenger, *BASELINE_NAMES, *(name for name in CANDIDATES if name != challenger)]
    rows = [
        (row["value"], row["engines"], row["n"], *(f"{row[name]:.2f}" for name in names))
        for row in wide.iter_rows(named=True)
    ]
    return table(("RMSE in cycles", "engines", "rows", *names), rows, numeric=range(1, 3 + len(names)))
