"""Training: features and failures in, a fitted model out; class `model`, free to travel."""

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl

from assets.features import feature_repository, newest_regimes
from assets.lineage import copied, derived
from assets.regional import here
from assets.reports import agreements_entry, entries_of, made
from resources.keys import everywhere, global_key
from resources.placement import bind
from sinet_pipelines.features.splits import is_held_out
from sinet_pipelines.regions import EAST, REGIONS
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.events import FAILURE_EVENTS
from sinet_pipelines.schemas.features import TRAINING_SEQUENCES, TRAINING_SET, WINDOW_FEATURES

if TYPE_CHECKING:
    from sinet_pipelines.features.scaled import ScaledSequences
    from sinet_pipelines.models.model import Examples, Family, Model
    from sinet_pipelines.training.fit import CrossValidation

CODE_VERSION = "2"
SEED = 0
WALK_FOLDS = 3  # five are a tenth of a cycle better and take two thirds longer; `sinet benchmark rul` has five
WALK_EPOCHS = 10  # at most, of one engine a step; `sinet benchmark rul` has forty of two
WALK_LEARNING_RATE = 4e-3  # twice the benchmark's: there are fewer steps
EXPERIMENT = "predictive_maintenance"


@dg.asset(
    key=global_key("training_set"),
    deps=[*everywhere("window_features"), *everywhere("failure_events")],
    code_version=CODE_VERSION,
    metadata=entries_of(
        TRAINING_SET,
        EAST,
        sources={
            **copied(TRAINING_SET, of=WINDOW_FEATURES, keys=everywhere("window_features")),
            **derived(["rul_cycles"], ["cycle"], keys=[*everywhere("window_features"), *everywhere("failure_events")]),
        },
    ),
    **bind(EAST, data_class=DataClass.FEATURE, reads=REGIONS, uses=["feature_store"], kinds={"feast"}),
)
def training_set(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """History engines at every cycle: their features as known then, and the cycles they had left (from failure events).

    Retrieved point in time through Feast. A fifth of the engines, the same for every model, is left out: they are kept
    for evaluation.
    """
    from sinet_pipelines.training.labels import labelled

    asked = labelled(_observations(context), _failures(context)).filter(
        ~pl.col("unit").map_elements(is_held_out, return_dtype=pl.Boolean)
    )
    repository = feature_repository(context)
    repository.apply()
    rows = repository.historical(asked.with_columns(event_timestamp=pl.col("recorded_at")))
    written = here(context, EAST).tables.replace(TRAINING_SET, rows)
    engines = rows["unit"].n_unique()
    return made(context, written, code_version=CODE_VERSION, entries={"engines": engines})


def _observations(context: dg.AssetExecutionContext) -> pl.DataFrame:
    """What is asked about: every observed cycle of a history engine, in all regions."""
    return pl.concat(
        here(context, region)
        .tables.scan(WINDOW_FEATURES)
        .filter(pl.col("role") == "history")
        .select("unit", "cycle", "recorded_at", region=pl.lit(region.name))
        .collect()
        for region in REGIONS
    ).sort("unit", "cycle")


def _failures(context: dg.AssetExecutionContext) -> pl.DataFrame:
    return pl.concat(here(context, region).tables.read(FAILURE_EVENTS) for region in REGIONS)


@dg.asset(
    key=global_key("gradient_boosting"),
    deps=[global_key("training_set"), global_key("operating_regimes")],
    code_version=CODE_VERSION,
    **bind(EAST, data_class=DataClass.MODEL, uses=["tracking"], kinds={"lightgbm", "mlflow"}),
)
def gradient_boosting(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A forest of boosted trees (LightGBM) that predicts remaining useful life in cycles, capped at 125.

    Deterministic under its seed. Its run in MLflow has parameters, figures, the version of every table it read and the
    version of the code; the figures here are out of fold over the training engines, engine-wise.
    """
    from sinet_pipelines.models.gradient_boosting import GradientBoosting
    from sinet_pipelines.training.labels import examples_of

    rows = _training_rows(context)
    trees, examples = GradientBoosting(), examples_of(rows)
    fitted = fit_candidate(context, trees, examples)
    params = {**trees.parameters(seed=SEED, rows=len(examples)), "num_boost_round": trees.trees}
    return kept_candidate(context, fitted, rows=rows, params=params)


@dg.asset(
    key=global_key("temporal_convolution"),
    deps=[global_key("training_set"), global_key("operating_regimes"), *everywhere("training_sequences")],
    code_version=CODE_VERSION,
    metadata=agreements_entry(TRAINING_SEQUENCES, to=EAST),
    **bind(
        EAST,
        data_class=DataClass.MODEL,
        hardware="nvidia-a100",
        reads=REGIONS,
        uses=["tracking"],
        kinds={"pytorch", "mlflow"},
    ),
)
def temporal_convolution(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A causal 1D-CNN (PyTorch) on scaled sequences of whole engines, trained at every cycle at once.

    Sequences come to EAST under the agreements below and for training alone. Deterministic under its seed; the number
    of epochs is the one that predicts best out of fold. Trained on a CUDA device where there is one, else on the CPU.
    """
    from sinet_pipelines.models.descent import device
    from sinet_pipelines.models.temporal_convolution import TemporalConvolution
    from sinet_pipelines.training.labels import examples_of

    rows = _training_rows(context)
    network = TemporalConvolution(epochs=WALK_EPOCHS, engines_in_batch=1, learning_rate=WALK_LEARNING_RATE)
    examples = examples_of(rows, sequences=training_sequences_of(context, rows))
    fitted = fit_candidate(context, network, examples)
    epochs = int(np.argmin(fitted.validated.rmse_by_epoch)) + 1
    return kept_candidate(
        context,
        fitted,
        rows=rows,
        params={**asdict(network), "epochs": epochs},
        entries={"epochs": epochs, "device": device()},
    )


@dg.asset(
    key=global_key("average"),
    deps=[global_key(name) for name in ("gradient_boosting", "temporal_convolution", "training_set")],
    code_version=CODE_VERSION,
    **bind(EAST, data_class=DataClass.MODEL, uses=["tracking"], kinds={"mlflow"}),
)
def average(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The plain average of trees and network, nothing fitted anew: what a cleverer combination has to beat.

    Its out-of-fold answers are the averages of its members', on the same folds.
    """
    from sinet_pipelines.models.families import AVERAGE
    from sinet_pipelines.training.candidate import answers_of, load_model, newest_candidate
    from sinet_pipelines.training.fit import CrossValidation, weighted_rmse
    from sinet_pipelines.training.labels import examples_of

    blobs, rows = here(context, EAST).blobs, _training_rows(context)
    examples = examples_of(rows)
    candidates = [newest_candidate(blobs, member.name) for member in AVERAGE.members]
    model = AVERAGE.of([load_model(blobs, candidate)[0] for candidate in candidates])
    predicted_B = np.mean([answers_of(blobs, candidate, examples) for candidate in candidates], axis=0)
    validated = CrossValidation(AVERAGE, predicted_B, (weighted_rmse(predicted_B, examples),))
    members = dict(zip(model.names, model.weights, strict=True))
    return kept_candidate(context, Fitted(examples, validated, model), rows=rows, params={"weights": members})


@dataclass(frozen=True)
class Fitted:
    """A family fitted on the training set, and what it says of engines it was fitted without."""

    examples: "Examples"
    validated: "CrossValidation"
    model: "Model"


def fit_candidate(context: dg.AssetExecutionContext, family: "Family", examples: "Examples") -> Fitted:
    """The family validated on the walk's folds, then fitted on all training engines; each fit is told in the log."""
    from sinet_pipelines.training.fit import cross_validate

    fits = itertools.count(1)

    def report() -> None:
        context.log.info(f"{family.name}: fold {next(fits)} of {WALK_FOLDS} fitted")

    validated = cross_validate(examples, family=family, seed=SEED, folds=WALK_FOLDS, report=report)
    return Fitted(examples, validated, validated.family.fit(examples, seed=SEED))


def kept_candidate(
    context: dg.AssetExecutionContext,
    fitted: Fitted,
    *,
    rows: pl.DataFrame,
    params: Mapping[str, object],
    entries: Mapping[str, object] | None = None,
) -> dg.MaterializeResult:
    """Calibrates the candidate's intervals, tells MLflow of it, keeps it, and says so on its page.

    Args:
        context: of the step.
        fitted: the candidate.
        rows: the training set.
        params: what it was fitted with, for MLflow.
        entries: what else its page says.
    """
    from sinet_pipelines.metrics.rul import rul_errors
    from sinet_pipelines.registry.runs import RunRecord, content_key
    from sinet_pipelines.storage.tables import content_hash
    from sinet_pipelines.training.candidate import Candidate, keep_answers, keep_candidate
    from sinet_pipelines.training.conformal import conformal_interval, out_of_fold_coverage
    from sinet_pipelines.training.fit import weighted_rmse

    place, examples, validated = here(context, EAST), fitted.examples, fitted.validated
    regimes, data_version = newest_regimes(place), content_hash(rows, TRAINING_SET)
    engines = rows["unit"].n_unique()
    interval = conformal_interval(validated.predicted_B, examples.rul_B, examples.weight_B, engines=engines)
    coverage = out_of_fold_coverage(validated.predicted_B, examples, folds=WALK_FOLDS, seed=SEED)
    rmse, errors = weighted_rmse(validated.predicted_B, examples), rul_errors(validated.predicted_B, examples.rul_B)
    name = validated.family.name
    files = {file: place.blobs.put(content) for file, content in fitted.model.files().items()}
    record = RunRecord(
        experiment=EXPERIMENT,
        name=name,
        params=params,
        metrics={
            "oof_rmse_capped": rmse,
            "oof_score_capped": errors.score_capped,
            "oof_coverage": coverage,
            "oof_rmse_by_epoch": validated.rmse_by_epoch,
        },
        data_versions={"training_set": data_version, "operating_regimes": regimes.version},
        code_version=CODE_VERSION,
    )
    run = context.resources.tracking.log_run(record, key=content_key(name, SEED, files, data_version, regimes.version))
    candidate = Candidate(
        family=name,
        files=files,
        regimes=place.blobs.put(regimes.to_json().encode()),
        run_id=run.run_id,
        experiment_id=run.experiment_id,
        training_set_version=data_version,
        rmse_out_of_fold=rmse,
        coverage_out_of_fold=coverage,
        interval=interval,
        answers=keep_answers(place.blobs, examples, validated.predicted_B),
    )
    kept = keep_candidate(place.blobs, candidate)
    return made(
        context,
        kept[:16],
        code_version=CODE_VERSION,
        entries={
            "rmse_capped_cycles": round(rmse, 3),
            **(entries or {}),
            "coverage_of_90_pct_intervals": round(100 * coverage, 1),
            "half_widths_cycles": ", ".join(
                f"{half:.0f} at {knot:.0f}"
                for knot, half in zip(interval.knots_cycles, interval.half_widths_cycles, strict=True)
            ),
            "folds": WALK_FOLDS,
            "rows": rows.height,
            "engines": engines,
            "mlflow_run": dg.MetadataValue.url(context.resources.tracking.run_url(run)),
        },
    )


def _training_rows(context: dg.AssetExecutionContext) -> pl.DataFrame:
    """The training set in the order in which it is learnt from."""
    from sinet_pipelines.training.fit import require_not_held_out

    return require_not_held_out(here(context, EAST).tables.read(TRAINING_SET)).sort("unit", "cycle")


def training_sequences_of(context: dg.AssetExecutionContext, rows: pl.DataFrame) -> "ScaledSequences":
    """The scaled sensors behind the rows of the training set, from all regions."""
    from sinet_pipelines.features.scaled import scaled_sequences

    parts = (here(context, region).tables.read(TRAINING_SEQUENCES) for region in REGIONS)
    return scaled_sequences(pl.concat(parts), at=rows.select("unit", "cycle"))
