"""Training: features and failures in, a fitted model out; class `model`, free to travel."""

import dagster as dg
import polars as pl

from assets.features import feature_repository, newest_regimes
from assets.lineage import copied, derived
from assets.regional import here
from assets.reports import entries_of, made
from resources.keys import everywhere, global_key
from resources.placement import bind
from sinet_pipelines.features.splits import is_held_out
from sinet_pipelines.regions import EAST, REGIONS
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.events import FAILURE_EVENTS
from sinet_pipelines.schemas.features import TRAINING_SET, WINDOW_FEATURES

CODE_VERSION = "1"
SEED = 0
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
    from sinet_pipelines.metrics.rul import rul_errors
    from sinet_pipelines.models.gradient_boosting import GradientBoosting
    from sinet_pipelines.registry.runs import RunRecord, content_key
    from sinet_pipelines.storage.tables import content_hash
    from sinet_pipelines.training.candidate import Candidate, keep_candidate
    from sinet_pipelines.training.fit import fit_on, out_of_fold
    from sinet_pipelines.training.labels import examples_of

    place = here(context, EAST)
    rows = place.tables.read(TRAINING_SET).sort("unit", "cycle")
    regimes = newest_regimes(place)
    trees = GradientBoosting()
    errors = rul_errors(out_of_fold(examples := examples_of(rows), family=trees, seed=SEED), examples.rul_B)
    model = fit_on(rows, family=trees, seed=SEED)
    data_version = content_hash(rows, TRAINING_SET)
    record = RunRecord(
        experiment=EXPERIMENT,
        name=trees.name,
        params=trees.parameters(seed=SEED, rows=rows.height),
        metrics={"oof_rmse_capped": errors.rmse_capped, "oof_score_capped": errors.score_capped},
        data_versions={"training_set": data_version, "operating_regimes": regimes.version},
        code_version=CODE_VERSION,
    )
    key = content_key(trees.name, SEED, data_version, regimes.version, CODE_VERSION)
    run = context.resources.tracking.log_run(record, key=key)
    candidate = Candidate(
        family=trees.name,
        files={name: place.blobs.put(content) for name, content in model.files().items()},
        regimes=place.blobs.put(regimes.to_json().encode()),
        run_id=run.run_id,
        experiment_id=run.experiment_id,
        training_set_version=data_version,
    )
    name = keep_candidate(place.blobs, candidate)
    return made(
        context,
        name[:16],
        code_version=CODE_VERSION,
        entries={
            "rmse_capped_cycles": round(errors.rmse_capped, 3),
            "rows": rows.height,
            "engines": rows["unit"].n_unique(),
            "mlflow_run": dg.MetadataValue.url(context.resources.tracking.run_url(run)),
        },
    )
