"""Evaluation: a candidate judged on engines it never saw, beside its yardsticks and the champion; class `feature`."""

import json
from dataclasses import asdict

import dagster as dg
import numpy as np
import polars as pl

from assets.lineage import copied, derived, joined, sequences_of
from assets.regional import here, per_region
from assets.reports import entries_of, made
from resources.keys import everywhere, global_key, regional_key
from resources.placement import bind
from sinet_pipelines.features.sequences import (
    Sequences,
    sequence_windows,
    sequences_from_table,
    sequences_to_table,
)
from sinet_pipelines.regions import EAST, REGIONS, Region
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.events import FAILURE_EVENTS, TRUTH_EVENTS
from sinet_pipelines.schemas.features import (
    EVALUATION_RESULTS,
    EVALUATION_SEQUENCES,
    EVALUATION_SET,
    TRAINING_SET,
    WINDOW_FEATURES,
)
from sinet_pipelines.schemas.telemetry import VALIDATED_TELEMETRY

CODE_VERSION = "1"
MODEL = "remaining_useful_life"
VERDICT = "verdicts/gradient_boosting"  # the ref of the newest verdict among EAST's blobs
GATE = "challenger_is_not_worse"
SEED = 0


def _questions(context: dg.AssetExecutionContext, region: Region) -> pl.DataFrame:
    """What is asked of engines no model is trained on: `unit`, `cycle`, `rul_cycles`, `origin`."""
    from sinet_pipelines.evaluation.cuts import held_out_cuts

    tables = here(context, region).tables
    cuts = held_out_cuts(tables.read(FAILURE_EVENTS)).with_columns(origin=pl.lit("history"))
    truth = tables.read(TRUTH_EVENTS).select("unit", "cycle", "rul_cycles", origin=pl.lit("live"))
    return pl.concat([cuts, truth]).sort("unit", "cycle")


@per_region
def evaluation_sequences(region: Region) -> dg.AssetsDefinition:
    """The channels behind every question of the evaluation, as the served model takes them (30 cycles x 24 channels).

    Class `sequence`: goes to EAST for training and to WEST for calibration under the region's agreements.
    """

    @dg.asset(
        key=regional_key(region, "evaluation_sequences"),
        deps=[regional_key(region, name) for name in ("validated_telemetry", "failure_events", "truth_events")],
        code_version=CODE_VERSION,
        metadata=entries_of(
            EVALUATION_SEQUENCES, region, sources=sequences_of(regional_key(region, "validated_telemetry"))
        ),
        **bind(region, data_class=DataClass.SEQUENCE, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        asked = _questions(context, region)
        telemetry = tables.scan(VALIDATED_TELEMETRY).filter(pl.col("unit").is_in(asked["unit"].unique())).collect()
        there = asked.join(telemetry.select("unit", "cycle", "event_date", "row_hash"), on=["unit", "cycle"])
        sequences = sequences_to_table(sequence_windows(telemetry, at=there.select("unit", "cycle")), rows=there)
        written = tables.replace(EVALUATION_SEQUENCES, pl.DataFrame(pl.from_arrow(sequences)))
        gone = asked.height - there.height
        return made(context, written, code_version=CODE_VERSION, entries={"questions_without_row": gone})

    return asset


@dg.asset(
    key=global_key("evaluation_set"),
    deps=[*everywhere("window_features"), *everywhere("failure_events"), *everywhere("truth_events")],
    code_version=CODE_VERSION,
    metadata=entries_of(
        EVALUATION_SET,
        EAST,
        sources={
            **copied(EVALUATION_SET, of=WINDOW_FEATURES, keys=everywhere("window_features")),
            **joined(
                derived(["rul_cycles"], ["cycle"], keys=everywhere("failure_events")),
                derived(["rul_cycles"], ["rul_cycles"], keys=everywhere("truth_events")),
            ),
        },
    ),
    **bind(EAST, data_class=DataClass.FEATURE, reads=REGIONS, kinds={"deltalake"}),
)
def evaluation_set(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Engines no model is trained on, each at some moments, with the cycles they had left (uncapped).

    A fifth of the history engines, cut at eight random times each, and the live engines whose truth has arrived.
    """
    parts = []
    for region in REGIONS:
        asked = _questions(context, region)
        features = here(context, region).tables.scan(WINDOW_FEATURES)
        rows = features.filter(pl.col("unit").is_in(asked["unit"].unique())).collect()
        parts.append(asked.join(rows, on=["unit", "cycle"]).with_columns(region=pl.lit(region.name)))
    rows = pl.concat(parts).sort("unit", "cycle")
    written = here(context, EAST).tables.replace(EVALUATION_SET, rows)
    return made(context, written, code_version=CODE_VERSION, entries={"engines": rows["unit"].n_unique()})


@dg.asset(
    key=global_key("evaluation"),
    deps=[
        global_key("gradient_boosting"),
        global_key("training_set"),
        global_key("evaluation_set"),
        *everywhere("evaluation_sequences"),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            GATE,
            asset=global_key("evaluation"),
            description="The challenger's squared error per engine is not clearly above the champion's (paired t, 5 %; "
            "RMSE at most 10 % more). A worse challenger is news, not a failure: the champion goes on.",
        )
    ],
    code_version=CODE_VERSION,
    metadata=entries_of(EVALUATION_RESULTS, EAST),
    **bind(EAST, data_class=DataClass.FEATURE, reads=REGIONS, uses=["registry", "tracking"], kinds={"deltalake"}),
)
def evaluation(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Errors in cycles (RMSE and PHM08 score, truth capped at 125 and as it was) over all, each region and origin.

    The candidate stands beside two yardsticks, a constant and a ridge on the same features, and is compared engine by
    engine with the champion, which answers the same questions as it is served.
    """
    from sinet_pipelines.evaluation.gate import is_not_worse
    from sinet_pipelines.evaluation.judge import judge
    from sinet_pipelines.models.families import YARDSTICKS, family
    from sinet_pipelines.storage.tables import content_hash
    from sinet_pipelines.training.candidate import load_model, newest_candidate
    from sinet_pipelines.training.labels import examples_of, inputs_of

    place = here(context, EAST)
    rows = place.tables.read(EVALUATION_SET).sort("unit", "cycle")
    candidate = newest_candidate(place.blobs, "gradient_boosting")
    model, _ = load_model(place.blobs, candidate)
    examples = examples_of(place.tables.read(TRAINING_SET).sort("unit", "cycle"))
    asked = inputs_of(rows)
    answers = {"model": model.predict(asked)}
    answers |= {name: family(name).fit(examples, seed=SEED).predict(asked) for name in YARDSTICKS}
    results = judge(rows, answers)
    champion = _champion_answers(context, rows)
    challenger = _answers(rows, answers["model"])
    verdict = is_not_worse(
        challenger if champion is None else challenger.join(champion, on=["unit", "cycle"], how="semi"), champion
    )
    place.blobs.point(VERDICT, place.blobs.put(json.dumps(asdict(verdict), sort_keys=True).encode()))
    written = place.tables.replace(EVALUATION_RESULTS, results)
    overall = {row["predictor"]: row for row in results.filter(pl.col("slice") == "all").iter_rows(named=True)}
    context.resources.tracking.add_metrics(
        candidate.run_id,
        {f"eval_{name}": overall["model"][name] for name in ("rmse_capped", "rmse_uncapped", "score_capped")},
    )
    return made(
        context,
        content_hash(results, EVALUATION_RESULTS),
        code_version=CODE_VERSION,
        entries={
            "decision": verdict.reason,
            "rmse_capped_cycles": round(overall["model"]["rmse_capped"], 3),
            "rmse_capped_ridge_cycles": round(overall["ridge"]["rmse_capped"], 3),
            "rmse_capped_constant_cycles": round(overall["constant"]["rmse_capped"], 3),
            "rmse_uncapped_cycles": round(overall["model"]["rmse_uncapped"], 3),
            "score_capped": round(overall["model"]["score_capped"], 1),
            "by_slice": dg.MetadataValue.md(_slices(results)),
            "dagster/row_count": written.rows,
        },
        checks=[
            dg.AssetCheckResult(
                passed=verdict.passed,
                check_name=GATE,
                severity=dg.AssetCheckSeverity.WARN,
                description=verdict.reason,
                metadata={name: round(float(value), 4) for name, value in verdict.numbers.items()},
            )
        ],
    )


def _answers(rows: pl.DataFrame, predicted: np.ndarray) -> pl.DataFrame:
    return rows.select("unit", "cycle", "rul_cycles").with_columns(pl.Series("predicted_cycles", predicted))


def _champion_answers(context: dg.AssetExecutionContext, rows: pl.DataFrame) -> pl.DataFrame | None:
    """What the champion, as it is served, answers to the same questions; None where there is no champion."""
    from sinet_pipelines.quantization.session import answer, open_session

    registry = context.resources.registry
    champion = registry.champion(MODEL)
    if champion is None:
        return None
    graph = registry.load(champion)
    sequences = sequences_of_all(context)
    said = pl.DataFrame(
        {
            "unit": sequences.unit,
            "cycle": sequences.cycle_B,
            "predicted_cycles": answer(open_session(graph), sequences)["rul_cycles"].astype(np.float64),
        }
    )
    return rows.select("unit", "cycle", "rul_cycles").join(said, on=["unit", "cycle"])


def sequences_of_all(context: dg.AssetExecutionContext) -> Sequences:
    """The evaluation's sequences of all regions, sorted by unit and cycle."""
    parts = pl.concat(here(context, region).tables.read(EVALUATION_SEQUENCES) for region in REGIONS)
    return sequences_from_table(parts.sort("unit", "cycle").to_arrow())


def _slices(results: pl.DataFrame) -> str:
    index = ["slice", "value", "engines", "n"]
    wide = results.pivot(on="predictor", index=index, values="rmse_capped", maintain_order=True)
    lines = ["| RMSE in cycles | engines | rows | model | ridge | constant |", "|---|---:|---:|---:|---:|---:|"]
    for row in wide.iter_rows(named=True):
        errors = " | ".join(f"{row[predictor]:.2f}" for predictor in ("model", "ridge", "constant"))
        lines.append(f"| {row['value']} | {row['engines']} | {row['n']} | {errors} |")
    return "\n".join(lines)
