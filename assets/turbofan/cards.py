"""Collects the facts of a model card from the results of the stages."""

import json
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from assets.framework.pictures import kept_pictures
from assets.framework.regional import here, regions_of
from assets.framework.registry import CHOICE, VERDICT, graph_ref
from assets.framework.validation import QUARANTINED
from assets.turbofan.candidates import RUN_FOLDS, SEED
from assets.turbofan.evaluation import CANDIDATES, EXPERIMENTS_MODEL, MODEL
from assets.turbofan.keys import regional_key
from resources.deployment import deployment_of
from resources.materializations.versions import total_of
from resources.regions import RegionResource
from resources.registry import RegistryResource
from sinet_pipelines.applications.turbofan import cmapss, simulator
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.families import BASELINE_NAMES
from sinet_pipelines.applications.turbofan.fleet import Fleet, read_fleet
from sinet_pipelines.applications.turbofan.schemas.features import EVALUATION_RESULTS, TRAINING_SET, WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import ModelNotFoundError
from sinet_pipelines.features.splits import HELD_OUT_SHARE
from sinet_pipelines.inventory.names import EAST, WEST
from sinet_pipelines.metrics.coverage import covered_band
from sinet_pipelines.registry import card_facts as facts
from sinet_pipelines.registry.alias import CHAMPION
from sinet_pipelines.registry.origin import AUTHOR_TAG, COMMIT_TAG, TREE_TAG
from sinet_pipelines.registry.version import Version
from sinet_pipelines.registry.versions import get_version, list_versions
from sinet_pipelines.training.candidate import Candidate, newest_candidate

TERMS = facts.Terms(
    groups=RUL.groups,
    group="engine",
    history="run to failure",
    live="live",
    metric=RUL.metric.name,
    unit=RUL.metric.unit,
    digits=RUL.metric.digits,
    second="PHM08 score",
)


def gather_card(context: dg.AssetExecutionContext) -> facts.ModelCard:
    """The card of the newest challenger, champion or not."""
    east, west = here(context, EAST), here(context, WEST)
    verdict = json.loads(east.blobs.get_ref(VERDICT))
    choice = json.loads(west.blobs.get_ref(CHOICE))
    candidates = {name: newest_candidate(east.blobs, name) for name in CANDIDATES}
    chosen = next(row for row in choice if row["chosen"])
    versions = list_versions(context.resources.registry.tracking, MODEL)
    served = west.blobs.resolve(graph_ref(chosen["name"]))
    version = next((one for one in versions if one.sha256 == served), None)
    if version is None:
        raise ModelNotFoundError(
            f"the graph that goes out ({str(served)[:16]}) is none of the {len(versions)} versions of {MODEL}; "
            "materialise registered_model"
        )
    fleet = read_fleet(deployment_of(context).home)
    return facts.ModelCard(
        name=MODEL,
        application="predictive maintenance of turbofan engines",
        family=f"{chosen['name']}, one of {', '.join(CANDIDATES)}",
        terms=TERMS,
        intended_use=(
            "Predicts for a maintenance planner how many flight cycles an engine has left, with a 90 % interval, so "
            "that it is repaired before it fails and not long before.",
            "There is one prediction for each engine and cycle, from its last 30 cycles and its first 10.",
        ),
        out_of_scope=(
            "Deciding alone whether an engine may fly.",
            "Engines of another type, other sensors, or faults that no engine of the history had.",
            "Lives beyond 125 cycles: a prediction of 125 means that no wear is visible yet.",
        ),
        factors=(
            "Region and operating regime: sensors are z-scored within their operating regime; errors are shown by "
            "region.",
            "Age: before cycle 30 the window is not full, which is flagged and no error.",
        ),
        data=_data(context, fleet),
        protocol=facts.Protocol(
            labels="cycles until the failure event, capped at 125 (Heimes 2008); never from the last row of an engine",
            folds=RUN_FOLDS,
            held_out_share=HELD_OUT_SHARE,
            seed=SEED,
            metrics=(
                "RMSE in cycles, truth capped at 125: the measure for the choice among candidates, out of fold.",
                "PHM08 score (Saxena, Goebel, Simon, Eklund 2008): late predictions cost more than early ones.",
                "Coverage of 90 % intervals, compared with their nominal level.",
            ),
        ),
        candidates=tuple(_candidate(name, one, verdict) for name, one in candidates.items()),
        slices=_slices(east.tables.read(EVALUATION_RESULTS), verdict["family"]),
        intervals=_intervals(candidates[verdict["family"]], verdict, engines=_engines(east)),
        artefacts=tuple(_artefact(row) for row in choice),
        experiments=_experiments(list_versions(context.resources.registry.tracking, EXPERIMENTS_MODEL)),
        considerations=(
            "No data about people. An engine with too long a predicted life may fail in flight: late errors count more "
            "in the score, and intervals show how certain a prediction is.",
            "Raw rows never leave their region; sequences only under the regions' agreements.",
        ),
        limits=_limits(fleet),
        versions=facts.Versions(
            version=str(version.version),
            sha256=version.sha256,
            code=context.assets_def.specs_by_key[context.asset_key].code_version or "",
            tables={"training_set": candidates[verdict["family"]].training_set_version},
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            origin=_origin(version),
        ),
        decision=facts.Decision(CHAMPION in version.aliases, verdict["reason"]),
        reproduce="sinet run" if fleet is None or fleet.simulated else f"sinet run --data <the folder {fleet.name}>",
    )


def version_of_card(registry: RegistryResource, card: facts.ModelCard) -> Version:
    """The registered version that a card is about."""
    return get_version(registry.tracking, card.name, int(card.versions.version))


def _origin(version: Version) -> dict[str, str]:
    """Commit, state of the tree and author, as they were recorded when the version was registered."""
    named = {"commit": COMMIT_TAG, "tree": TREE_TAG, "author": AUTHOR_TAG}
    return {name: version.tags[tag] for name, tag in named.items() if tag in version.tags}


def card_pictures(context: dg.AssetExecutionContext) -> dict[str, bytes]:
    """The stored pictures of the stages, by name: of the challenger, and of the graphs."""
    east, west = here(context, EAST).blobs, here(context, WEST).blobs
    family = json.loads(east.get_ref(VERDICT))["family"]
    network = {name: png for name, png in kept_pictures(east, "temporal_convolution").items() if "curve" in name}
    return {
        **network,
        **kept_pictures(east, family),
        **kept_pictures(east, "evaluation"),
        **kept_pictures(west, "graphs"),
    }


def _data(context: dg.AssetExecutionContext, fleet: Fleet | None) -> facts.Data:
    """The data of the models, counted in tables that may leave a region: each validated row has one feature row."""
    rows, aside, units = 0, 0, set()
    for region in regions_of(context):
        seen = here(context, region).tables.scan(WINDOW_FEATURES).group_by("role", "unit").len().collect()
        rows += int(seen["len"].sum())
        units |= set(seen.select("role", "unit").iter_rows())
        aside += total_of(context.instance, regional_key(region, "validated_telemetry"), QUARANTINED)
    made = simulator if fleet is not None and fleet.simulated else cmapss
    first, last = _days(context)
    return facts.Data(
        fleet=fleet.name if fleet else "landed by hand",
        simulated=fleet is not None and fleet.simulated,
        first_day=first,
        last_day=last,
        history_groups=sum(role == "history" for role, _ in units),
        live_groups=sum(role == "live" for role, _ in units),
        rows=rows,
        set_aside=aside,
        source=made.SOURCE,
        licence=made.LICENCE,
    )


def _days(context: dg.AssetExecutionContext) -> tuple[str, str]:
    landed = [day for region in regions_of(context) for day in here(context, region).landing.days(region.name)]
    first = deployment_of(context).first_day(TURBOFAN.name)
    days = [day for day in landed if first <= day <= datetime.now(UTC).date()]  # others are not used
    return str(min(days)), str(max(days))


def _candidate(name: str, candidate: Candidate, verdict: dict[str, Any]) -> facts.Candidate:
    is_chosen = name == verdict["family"]
    why = verdict["choice"] if is_chosen else "more error out of fold"
    return facts.Candidate(name, candidate.score_out_of_fold, is_chosen, why)


def _slices(results: pl.DataFrame, model: str) -> tuple[facts.Slice, ...]:
    order = [model, *BASELINE_NAMES, *(name for name in CANDIDATES if name != model)]
    found = []
    for (cut, value), part in results.group_by("slice", "value", maintain_order=True):
        by_name = {row["predictor"]: row for row in part.iter_rows(named=True)}
        own = by_name[model]
        found.append(
            facts.Slice(
                str(cut),
                str(value),
                groups=own["engines"],
                rows=own["n"],
                score={name: by_name[name]["rmse_capped"] for name in order},
                second={name: by_name[name]["score_capped"] for name in order},
            )
        )
    return tuple(found)


def _engines(east: RegionResource) -> int:
    return int(east.tables.scan(TRAINING_SET).select(pl.col("unit").n_unique()).collect().item())


def _intervals(candidate: Candidate, verdict: dict[str, Any], *, engines: int) -> facts.Intervals:
    covered = round((candidate.coverage_out_of_fold or 0.0) * engines)
    coverage = [facts.Coverage("out of fold, each engine counted once", covered, engines, *covered_band(engines))]
    coverage += [
        facts.Coverage(f"live engines, {row['region']}", row["covered"], row["n"], row["least"], row["most"])
        for row in verdict["coverage"]
        if row["least"] is not None
    ]
    method = (
        "split conformal on out-of-fold errors, weighed by the usual error near each prediction (Lei, G'Sell, Rinaldo, "
        "Tibshirani, Wasserman 2018); part of the served graph"
    )
    return facts.Intervals(candidate.require_interval().level, method, tuple(coverage))


def _artefact(row: dict[str, Any]) -> facts.Artefact:
    verdict = "served" if row["chosen"] else "refused" if row["reason"].startswith("broken") else "lost"
    return facts.Artefact(row["name"], row["rmse_cycles"], row["n_bytes"], row["p50_us"] / 1000, verdict, row["reason"])


def _experiments(versions: list[Version]) -> tuple[facts.Experiment, ...]:
    """The newest version of each family that an experiment registered."""
    newest = {version.family: version for version in versions if version.tags.get("verdict")}
    return tuple(
        facts.Experiment(
            family,
            version.tags.get("region", ""),
            float(version.tags["rmse_cycles"]) if "rmse_cycles" in version.tags else None,
            "barred" if version.tags["verdict"].startswith("may not") else "may be promoted",
            version.tags["verdict"],
        )
        for family, version in newest.items()
    )


def _limits(fleet: Fleet | None) -> tuple[str, ...]:
    limits = [
        "Errors vary along a life: they are drawn against the true RUL above, and intervals are wider where "
        "errors are larger.",
        "A fifth of the history engines, cut at random moments, differs from a fleet in service; figures on live "
        "engines are beside them.",
    ]
    if fleet is not None and fleet.simulated:
        limits.insert(0, "The fleet is simulated: no figure here is valid for a real engine.")
    return tuple(limits)
