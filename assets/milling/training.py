"""Training: from features and outcomes to fitted models; class `model`, may leave the region."""

from dataclasses import asdict
from datetime import date

import dagster as dg
import numpy as np
import polars as pl

from assets.framework.candidates import Fitted
from assets.framework.lineage import copied
from assets.framework.regional import here, once, regions_of
from assets.framework.reports import corrected_entries, entries_of, made
from assets.framework.training_sets import read_at_versions, training_set_entry
from assets.milling.candidates import fit_candidate, kept_candidate, training_rows
from assets.milling.keys import everywhere, global_key
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.placement import bind
from sinet_pipelines.applications.milling.tables import OUTCOME_EVENTS, PROCESS_FEATURES, TRAINING_SET
from sinet_pipelines.features.as_known import read_as_known
from sinet_pipelines.inventory.names import EAST
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.schemas.arrival import arrivals_of, history_of
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.tables import DAY_COLUMN

_TRAINS = Needs(cpu_millicores=2000, memory_mib=4096)


@once
def training_set(deployment: Deployment) -> dg.AssetsDefinition:
    """Products with their features and whether the machine failed on them (from outcome events).

    Two groups of products are left out: a fifth, the same for every model, which is held out for evaluation, and the
    products of the newest five days.
    """

    @dg.asset(
        key=global_key("training_set"),
        deps=[*everywhere(deployment, "process_features"), *everywhere(deployment, "outcome_events")],
        metadata=entries_of(
            TRAINING_SET,
            sources={
                **copied(TRAINING_SET, of=OUTCOME_EVENTS, keys=everywhere(deployment, "outcome_events")),
                **copied(TRAINING_SET, of=PROCESS_FEATURES, keys=everywhere(deployment, "process_features")),
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
        from sinet_pipelines.applications.milling.labels import training_rows as chosen

        newest: list[date] = []

        def read() -> pl.DataFrame:
            features, outcomes, last_day = learnt_from(context)
            newest.append(last_day)
            return chosen(features, outcomes, last_day=last_day)

        sources = (PROCESS_FEATURES, OUTCOME_EVENTS)
        beside = (arrivals_of(PROCESS_FEATURES), history_of(PROCESS_FEATURES))
        rows, versions = read_at_versions(context, read, tables=(*sources, *beside), regions=regions_of(context))
        written = here(context, EAST).tables.replace(TRAINING_SET, rows)
        entry = training_set_entry(context, written, TRAINING_SET, region=EAST, read=versions, of=sources)
        facts = {
            "failures": int(rows["machine_failure"].sum()),
            "newest_day": str(newest[-1]),
            **corrected_entries(rows),
        }
        return made(context, written, entries={**facts, **entry})

    return asset


def learnt_from(
    context: dg.AssetExecutionContext, *, is_present: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame, date]:
    """Features and outcomes of all regions without products in two regions, and the newest day that has features.

    Args:
        context: of the step.
        is_present: whether features are the present ones. By default they are those known at the end of the product's
            day: a later correction is not used.
    """
    places = {region.name: here(context, region).tables for region in regions_of(context)}
    parts = []
    for name, tables in places.items():
        present = tables.read(PROCESS_FEATURES)
        known = present if is_present else read_as_known(tables, PROCESS_FEATURES, present)
        parts.append(known.with_columns(region=pl.lit(name)))
    features = pl.concat(parts)
    outcomes = pl.concat(tables.read(OUTCOME_EVENTS) for tables in places.values())
    once = pl.col("product_id").is_unique()
    return features.filter(once), outcomes.filter(once), max(features[DAY_COLUMN], default=date.min)


@once
def gradient_boosting(deployment: Deployment) -> dg.AssetsDefinition:
    """Boosted trees (LightGBM) with monotone constraints: no greater margin and no more wear lowers the probability.

    Probabilities are scaled (Platt) and the threshold is chosen on predictions out of stratified folds.
    """

    @dg.asset(
        key=global_key("gradient_boosting"),
        deps=[global_key("training_set")],
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            uses=["tracking"],
            kinds={"lightgbm", "mlflow"},
            needs=_TRAINS,
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.milling.families import BOOSTED_TREES
        from sinet_pipelines.applications.milling.features import examples_of

        rows = training_rows(context)
        fitted = fit_candidate(context, BOOSTED_TREES, examples_of(rows))
        return kept_candidate(context, fitted, rows=rows, params=asdict(BOOSTED_TREES))

    return asset


@once
def random_forest(deployment: Deployment) -> dg.AssetsDefinition:
    """A random forest (Breiman 2001), with calibration and threshold like the boosted trees."""

    @dg.asset(
        key=global_key("random_forest"),
        deps=[global_key("training_set")],
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            uses=["tracking"],
            kinds={"scikitlearn", "mlflow"},
            needs=_TRAINS,
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.milling.families import FOREST
        from sinet_pipelines.applications.milling.features import examples_of

        rows = training_rows(context)
        fitted = fit_candidate(context, FOREST, examples_of(rows))
        return kept_candidate(context, fitted, rows=rows, params=asdict(FOREST))

    return asset


@once
def average(deployment: Deployment) -> dg.AssetsDefinition:
    """The plain average of both, without a fit of its own: the baseline for other combinations.

    Its out-of-fold scores are the averages of its members', on the same folds.
    """

    @dg.asset(
        key=global_key("average"),
        deps=[global_key(name) for name in ("gradient_boosting", "random_forest", "training_set")],
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            uses=["tracking"],
            kinds={"mlflow"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.milling.families import AVERAGE
        from sinet_pipelines.applications.milling.features import examples_of
        from sinet_pipelines.applications.milling.task import FAILURE
        from sinet_pipelines.training.candidate import answers_of, load_model, newest_candidate
        from sinet_pipelines.training.fit import CrossValidation, score_of

        blobs, rows = here(context, EAST).blobs, training_rows(context)
        examples = examples_of(rows)
        families = {member.name: member for member in AVERAGE.members}
        candidates = [newest_candidate(blobs, name) for name in families]
        model = AVERAGE.of([load_model(blobs, one, task=FAILURE, families=families) for one in candidates])
        score_B = np.mean([answers_of(blobs, one, examples) for one in candidates], axis=0)
        validated = CrossValidation(AVERAGE, score_B, (score_of(score_B, examples),))
        members = dict(zip(model.names, model.weights, strict=True))
        return kept_candidate(context, Fitted(examples, validated, model), rows=rows, params={"weights": members})

    return asset
