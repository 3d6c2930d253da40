"""Training: features and failures in, a fitted model out; class `model`, free to travel."""

import inspect
from dataclasses import asdict

import dagster as dg
import numpy as np
import polars as pl

from assets.candidates import (
    SEED,
    Fitted,
    fit_candidate,
    kept_candidate,
    training_rows,
    training_sequences_of,
)
from assets.features import feature_repository
from assets.lineage import copied, derived
from assets.pictures import glance
from assets.regional import here
from assets.reports import agreements_entry, entries_of, made
from resources.keys import everywhere, global_key
from resources.placement import bind
from sinet_pipelines.features.splits import is_held_out
from sinet_pipelines.models.families import CANDIDATES
from sinet_pipelines.models.model import Family
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.regions import EAST, REGIONS
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.events import FAILURE_EVENTS
from sinet_pipelines.schemas.features import TRAINING_SEQUENCES, TRAINING_SET, WINDOW_FEATURES
from sinet_pipelines.validation.doubt import settled

WALK_EPOCHS = 10  # at most, of one engine a step; `sinet benchmark rul` has forty of two
WALK_LEARNING_RATE = 4e-3  # twice the benchmark's: there are fewer steps


@dg.asset(
    key=global_key("training_set"),
    deps=[*everywhere("window_features"), *everywhere("failure_events")],
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
    return made(context, written, entries={"engines": engines})


def _observations(context: dg.AssetExecutionContext) -> pl.DataFrame:
    """What is asked about: every observed cycle of a history engine, in all regions; none that two regions have."""
    observed = pl.concat(
        here(context, region)
        .tables.scan(WINDOW_FEATURES)
        .filter(pl.col("role") == "history")
        .select("unit", "cycle", "recorded_at", region=pl.lit(region.name))
        .collect()
        for region in REGIONS
    )
    return settled(observed).sort("unit", "cycle")


def _failures(context: dg.AssetExecutionContext) -> pl.DataFrame:
    return pl.concat(here(context, region).tables.read(FAILURE_EVENTS) for region in REGIONS)


@dg.asset(
    key=global_key("gradient_boosting"),
    deps=[global_key("training_set"), global_key("operating_regimes")],
    **bind(
        EAST,
        data_class=DataClass.MODEL,
        uses=["tracking"],
        kinds={"lightgbm", "mlflow"},
        needs=Needs(cpu_millicores=2000, memory_mib=8192),
    ),
)
def gradient_boosting(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A forest of boosted trees (LightGBM) that predicts remaining useful life in cycles, capped at 125.

    Deterministic under its seed. Its run in MLflow has parameters, figures, the version of every table it read and the
    version of the code; the figures here are out of fold over the training engines, engine-wise.
    """
    from sinet_pipelines.models.gradient_boosting import GradientBoosting
    from sinet_pipelines.training.labels import examples_of

    rows = training_rows(context)
    trees, examples = GradientBoosting(), examples_of(rows)
    fitted = fit_candidate(context, trees, examples)
    params = {**trees.parameters(seed=SEED, rows=len(examples)), "num_boost_round": trees.trees}
    return kept_candidate(context, fitted, rows=rows, params=params)


@dg.asset(
    key=global_key("temporal_convolution"),
    deps=[global_key("training_set"), global_key("operating_regimes"), *everywhere("training_sequences")],
    metadata=agreements_entry(TRAINING_SEQUENCES, to=EAST),
    **bind(
        EAST,
        data_class=DataClass.MODEL,
        hardware="nvidia-a100",
        reads=REGIONS,
        uses=["tracking"],
        kinds={"pytorch", "mlflow"},
        needs=Needs(
            cpu_millicores=4000,
            memory_mib=16_384,
            count=1,
            is_preemptible=True,  # minutes of work; what it would save is less than what it would make anew
            may_move_to=(("EAST", "nvidia-h100"),),
        ),
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

    rows = training_rows(context)
    network = TemporalConvolution(epochs=WALK_EPOCHS, engines_in_batch=1, learning_rate=WALK_LEARNING_RATE)
    examples = examples_of(rows, sequences=training_sequences_of(context, rows))
    fitted = fit_candidate(context, network, examples)
    epochs = fitted.validated.epochs
    return kept_candidate(
        context,
        fitted,
        rows=rows,
        params={**asdict(network), "epochs": epochs},
        entries={
            "epochs": epochs,
            "learning_curve": glance(fitted.validated.rmse_by_epoch, label="RMSE out of fold by epoch", unit="cycles"),
            "device": device(),
        },
    )


@dg.asset(
    key=global_key("average"),
    deps=[
        global_key(name) for name in ("gradient_boosting", "temporal_convolution", "training_set", "operating_regimes")
    ],
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

    blobs, rows = here(context, EAST).blobs, training_rows(context)
    examples = examples_of(rows)
    candidates = [newest_candidate(blobs, member.name) for member in AVERAGE.members]
    model = AVERAGE.of([load_model(blobs, candidate)[0] for candidate in candidates])
    predicted_B = np.mean([answers_of(blobs, candidate, examples) for candidate in candidates], axis=0)
    validated = CrossValidation(AVERAGE, predicted_B, (weighted_rmse(predicted_B, examples),))
    members = dict(zip(model.names, model.weights, strict=True))
    return kept_candidate(context, Fitted(examples, validated, model), rows=rows, params={"weights": members})


_OWN = (gradient_boosting, temporal_convolution, average)


def _with_default_settings(family: Family) -> dg.AssetsDefinition:
    """The asset of a candidate that has none of its own: fitted on the training set with its default settings."""
    name, sequences = family.name, everywhere("training_sequences") if family.needs_sequences else []

    @dg.asset(
        key=global_key(name),
        description=inspect.getdoc(type(family)),
        deps=[global_key("training_set"), global_key("operating_regimes"), *sequences],
        metadata=agreements_entry(TRAINING_SEQUENCES, to=EAST) if sequences else {},
        **bind(
            EAST,
            data_class=DataClass.MODEL,
            reads=REGIONS if sequences else (),
            uses=["tracking"],
            kinds={"mlflow"},
            needs=Needs(cpu_millicores=2000, memory_mib=8192),
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.models.families import family as family_of
        from sinet_pipelines.training.labels import examples_of

        found, rows = family_of(name), training_rows(context)  # by its name, so that its code is part of the version
        examples = examples_of(rows, sequences=training_sequences_of(context, rows) if sequences else None)
        fitted = fit_candidate(context, found, examples)
        return kept_candidate(context, fitted, rows=rows, params=asdict(found))  # type: ignore[call-overload]

    return asset


others = [
    _with_default_settings(family)
    for family in CANDIDATES
    if global_key(family.name) not in {key for asset in _OWN for key in asset.keys}
]
