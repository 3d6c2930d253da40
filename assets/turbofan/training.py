"""Training: from features and failures to fitted models; class `model`, may leave the region."""

import inspect
from dataclasses import asdict, replace

import dagster as dg
import numpy as np
import polars as pl

from assets.framework.candidates import Fitted
from assets.framework.lineage import copied, derived
from assets.framework.pictures import glance
from assets.framework.regional import here, once, regions_of
from assets.framework.reports import agreements_entry, corrected_entries, entries_of, made
from assets.framework.training_sets import read_at_versions, training_set_entry
from assets.turbofan.candidates import (
    SEED,
    fit_candidate,
    kept_candidate,
    training_rows,
    training_sequences_of,
)
from assets.turbofan.features import feature_repository
from assets.turbofan.keys import everywhere, global_key
from resources.deployment import Deployment, deployment_of
from resources.keys import Cadence
from resources.placement import bind
from sinet_pipelines.applications.turbofan.families import AVERAGE, CANDIDATES, FAMILIES, NETWORK
from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS
from sinet_pipelines.applications.turbofan.schemas.features import TRAINING_SEQUENCES, TRAINING_SET, WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.features.as_known import read_as_known
from sinet_pipelines.features.splits import is_held_out
from sinet_pipelines.inventory.names import EAST
from sinet_pipelines.models.model import Family
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.schemas.arrival import KNOWN_AT, arrivals_of, history_of
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.versions import has_versions

RUN_EPOCHS = 10  # at most, with one engine per step; `sinet benchmark rul` has forty with two
RUN_LEARNING_RATE = 4e-3  # twice the benchmark's: there are fewer steps


@once
def training_set(deployment: Deployment) -> dg.AssetsDefinition:
    """History engines at every cycle: their features at that time, and their remaining cycles (from failure events).

    Retrieved through Feast, point in time and as known at the end of the cycle's day: a value that arrived later, or a
    later correction, is not used. A fifth of the engines, the same for every model, is held out for
    evaluation.
    """

    @dg.asset(
        key=global_key("training_set"),
        deps=[*everywhere(deployment, "window_features"), *everywhere(deployment, "failure_events")],
        metadata=entries_of(
            TRAINING_SET,
            sources={
                **copied(TRAINING_SET, of=WINDOW_FEATURES, keys=everywhere(deployment, "window_features")),
                **derived(
                    ["rul_cycles"],
                    ["cycle"],
                    keys=[*everywhere(deployment, "window_features"), *everywhere(deployment, "failure_events")],
                ),
            },
        ),
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.FEATURE,
            reads=deployment.regions,
            uses=["feature_store"],
            kinds={"feast"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.turbofan.labels import labelled

        repository = feature_repository(context, deployment_of(context).region(EAST))
        repository.apply()

        def read() -> pl.DataFrame:
            labels = labelled(_observations(context), _failures(context)).filter(
                ~pl.col("unit").map_elements(is_held_out, return_dtype=pl.Boolean)
            )
            if not any(has_versions(here(context, region).tables, WINDOW_FEATURES) for region in regions_of(context)):
                labels = labels.drop(KNOWN_AT)  # nothing arrived late: the join on the time of events has this result
            return repository.historical(labels.with_columns(event_timestamp=pl.col("recorded_at")))

        sources = (WINDOW_FEATURES, FAILURE_EVENTS)
        beside = (arrivals_of(WINDOW_FEATURES), history_of(WINDOW_FEATURES))
        rows, versions = read_at_versions(context, read, tables=(*sources, *beside), regions=regions_of(context))
        written = here(context, EAST).tables.replace(TRAINING_SET, rows)
        entry = training_set_entry(context, written, TRAINING_SET, region=EAST, read=versions, of=sources)
        facts = {"engines": rows["unit"].n_unique(), **corrected_entries(rows)}
        return made(context, written, entries={**facts, **entry})

    return asset


def _observations(context: dg.AssetExecutionContext) -> pl.DataFrame:
    """Every observed cycle of history engines in all regions, without cycles that two regions have.

    With the moment of its prediction (`as_known_at`), and the instant of the cycle as it was known then.
    """
    parts = []
    for region in regions_of(context):
        tables = here(context, region).tables
        history = tables.scan(WINDOW_FEATURES).filter(pl.col("role") == "history")
        rows = history.select("unit", "cycle", "recorded_at", "event_date", "row_hash").collect()
        parts.append(read_as_known(tables, WINDOW_FEATURES, rows).with_columns(region=pl.lit(region.name)))
    return settled(pl.concat(parts)).sort("unit", "cycle")


def _failures(context: dg.AssetExecutionContext) -> pl.DataFrame:
    return pl.concat(here(context, region).tables.read(FAILURE_EVENTS) for region in regions_of(context))


@once
def gradient_boosting(deployment: Deployment) -> dg.AssetsDefinition:
    """A forest of boosted trees (LightGBM) that predicts remaining useful life in cycles, capped at 125.

    Deterministic under its seed. Its run in MLflow has parameters, figures, the version of every table it read and the
    version of the code; the figures here are out of fold over the training engines, engine-wise.
    """

    @dg.asset(
        key=global_key("gradient_boosting"),
        deps=[global_key("training_set"), global_key("operating_regimes")],
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            uses=["tracking"],
            kinds={"lightgbm", "mlflow"},
            needs=Needs(cpu_millicores=2000, memory_mib=8192),
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.turbofan.labels import examples_of
        from sinet_pipelines.models.gradient_boosting import GradientBoosting

        rows = training_rows(context)
        trees, examples = GradientBoosting(), examples_of(rows)
        fitted = fit_candidate(context, trees, examples)
        params = {**trees.parameters(seed=SEED, rows=len(examples)), "num_boost_round": trees.trees}
        return kept_candidate(context, fitted, rows=rows, params=params)

    return asset


@once
def temporal_convolution(deployment: Deployment) -> dg.AssetsDefinition:
    """A causal 1D-CNN (PyTorch) on scaled sequences of whole engines, trained at every cycle at once.

    Sequences move to EAST only for training, under the agreements below. Deterministic under its seed; the number of
    epochs is the one with the least out-of-fold error. Trained on a CUDA device if available, else on the CPU.
    """

    @dg.asset(
        key=global_key("temporal_convolution"),
        deps=[
            global_key("training_set"),
            global_key("operating_regimes"),
            *everywhere(deployment, "training_sequences"),
        ],
        metadata=agreements_entry(deployment, TRAINING_SEQUENCES, to=EAST),
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            hardware="nvidia-a100",
            reads=deployment.regions,
            uses=["tracking"],
            kinds={"pytorch", "mlflow"},
            needs=Needs(
                cpu_millicores=4000,
                memory_mib=16_384,
                count=1,
                is_preemptible=True,  # training takes minutes, so an interrupted step simply starts again
                may_move_to=(("EAST", "nvidia-h100"),),
            ),
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.turbofan.labels import examples_of
        from sinet_pipelines.models.descent import device

        rows = training_rows(context)
        network = replace(NETWORK, epochs=RUN_EPOCHS, groups_in_batch=1, learning_rate=RUN_LEARNING_RATE)
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
                "learning_curve": glance(
                    fitted.validated.score_by_epoch, label="RMSE out of fold by epoch", unit="cycles"
                ),
                "device": device(),
            },
        )

    return asset


@once
def average(deployment: Deployment) -> dg.AssetsDefinition:
    """The plain average of trees and network, without a fit of its own: the baseline for other combinations.

    Its out-of-fold predictions are the averages of its members', on the same folds.
    """

    @dg.asset(
        key=global_key("average"),
        deps=[
            global_key(name)
            for name in ("gradient_boosting", "temporal_convolution", "training_set", "operating_regimes")
        ],
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            uses=["tracking"],
            kinds={"mlflow"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.turbofan.labels import examples_of
        from sinet_pipelines.training.candidate import answers_of, load_model, newest_candidate
        from sinet_pipelines.training.fit import CrossValidation, score_of

        blobs, rows = here(context, EAST).blobs, training_rows(context)
        examples = examples_of(rows)
        candidates = [newest_candidate(blobs, member.name) for member in AVERAGE.members]
        model = AVERAGE.of([load_model(blobs, candidate, task=RUL, families=FAMILIES) for candidate in candidates])
        predicted_B = np.mean([answers_of(blobs, candidate, examples) for candidate in candidates], axis=0)
        validated = CrossValidation(AVERAGE, predicted_B, (score_of(predicted_B, examples),))
        members = dict(zip(model.names, model.weights, strict=True))
        return kept_candidate(context, Fitted(examples, validated, model), rows=rows, params={"weights": members})

    return asset


_OWN = ("gradient_boosting", "temporal_convolution", "average")


def _with_default_settings(deployment: Deployment, family: Family) -> dg.AssetsDefinition:
    """The asset of a candidate without its own asset: fitted on the training set with its default settings."""
    name, sequences = family.name, everywhere(deployment, "training_sequences") if family.needs_sequences else []

    @dg.asset(
        key=global_key(name),
        description=inspect.getdoc(type(family)),
        deps=[global_key("training_set"), global_key("operating_regimes"), *sequences],
        metadata=agreements_entry(deployment, TRAINING_SEQUENCES, to=EAST) if sequences else {},
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            reads=deployment.regions if sequences else (),
            uses=["tracking"],
            kinds={"mlflow"},
            needs=Needs(cpu_millicores=2000, memory_mib=8192),
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.turbofan.labels import examples_of

        found, rows = (
            FAMILIES[name],
            training_rows(context),
        )  # imported by its name, so that its code is part of the version
        examples = examples_of(rows, sequences=training_sequences_of(context, rows) if sequences else None)
        fitted = fit_candidate(context, found, examples)
        return kept_candidate(context, fitted, rows=rows, params=asdict(found))  # type: ignore[call-overload]

    return asset


others = once(
    lambda deployment: [_with_default_settings(deployment, family) for family in CANDIDATES if family.name not in _OWN]
)
