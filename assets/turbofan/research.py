"""Research: fits an experiment's challenger and decides whether it may be promoted; class `model`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
import polars as pl

from assets.framework.evaluation import gate_result, newest_candidates, overall_of
from assets.framework.pictures import glance
from assets.framework.regional import here, once
from assets.framework.reports import agreements_entry, made
from assets.turbofan.candidates import fit_candidate, kept_candidate, training_rows, training_sequences_of
from assets.turbofan.evaluated import evaluation_inputs
from assets.turbofan.evaluation import CANDIDATES, EXPERIMENTS_MODEL
from assets.turbofan.keys import everywhere, global_key
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.markdown import shown
from resources.placement import bind
from resources.regions import RegionResource
from sinet_pipelines.applications.turbofan.experiments import EXPERIMENTS, SPIKING
from sinet_pipelines.applications.turbofan.families import FAMILIES
from sinet_pipelines.applications.turbofan.schemas.features import (
    EVALUATION_RESULTS,
    EVALUATION_SEQUENCES,
    EVALUATION_SET,
    TRAINING_SEQUENCES,
)
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.inventory.names import EAST, NULL_ISLAND, WEST
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.markdown import Markdown, table, together
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.research.recipe import Recipe
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.fingerprint import fingerprint

if TYPE_CHECKING:
    from sinet_pipelines.applications.turbofan.spiking import SpikingModel
    from sinet_pipelines.models.model import Floats
    from sinet_pipelines.models.temporal_convolution import ConvolutionModel
    from sinet_pipelines.registry.version import Version
    from sinet_pipelines.research.energy import Operations
    from sinet_pipelines.research.verdict import ExperimentVerdict
    from sinet_pipelines.training.candidate import Candidate

GATE = "may_be_promoted"
ENDPOINT = WEST  # where the champion is served


def _recipe_entries(recipe: Recipe) -> dict[str, Any]:
    """Definition metadata of an experiment's assets."""
    return {"question": recipe.question, "hardware": recipe.hardware, "figures": recipe.provenance}


@once
def spiking_challenger(deployment: Deployment) -> dg.AssetsDefinition:
    """A spiking network (snntorch) on the scaled sequences of the last 30 cycles, on the candidates' folds and seed.

    Leaky integrate-and-fire neurons, trained by surrogate gradients. It is bound to neuromorphic hardware and simulated
    on cpu. Sequences come to NULL_ISLAND under the agreements below and for experiments alone.
    """
    SPIKING.require_on_site(deployment.region(NULL_ISLAND))

    @dg.asset(
        key=global_key("spiking_challenger"),
        deps=[
            global_key("training_set"),
            global_key("operating_regimes"),
            *everywhere(deployment, "training_sequences"),
        ],
        metadata={**_recipe_entries(SPIKING), **agreements_entry(deployment, TRAINING_SEQUENCES, to=NULL_ISLAND)},
        **bind(
            deployment.region(NULL_ISLAND),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            hardware=SPIKING.hardware,
            needs=Needs(memory_mib=8192, count=1),
            reads=deployment.regions,
            uses=["tracking"],
            kinds={"pytorch", "mlflow"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.turbofan.labels import examples_of

        rows = training_rows(context)
        network = EXPERIMENTS[SPIKING.family]
        fitted = fit_candidate(context, network, examples_of(rows, sequences=training_sequences_of(context, rows)))
        curve = fitted.validated.score_by_epoch
        epochs = fitted.validated.epochs
        return kept_candidate(
            context,
            fitted,
            rows=rows,
            params={**asdict(network), "epochs": epochs, "hardware": SPIKING.hardware, "figures": SPIKING.provenance},  # type: ignore[call-overload]
            entries={
                "figures": SPIKING.provenance,
                "epochs": epochs,
                "learning_curve": glance(curve, label="RMSE out of fold by epoch", unit="cycles"),
            },
        )

    return asset


def _gate_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        GATE,
        asset=key,
        description=f"{ENDPOINT} has the recipe's hardware, the figures were measured on it, not simulated, the error "
        "out of fold is at most 10 % above the best candidate's, and every answer is a number. An experiment that may "
        "not be promoted is a warning, not a failure: the champion continues to serve.",
    )


@once
def spiking_verdict(deployment: Deployment) -> dg.AssetsDefinition:
    """Evaluates the spiking challenger on the rows of the other candidates: its error and the cost of a prediction.

    The figures are simulated on cpu. Energy is an estimate by counting arithmetic (32-bit floats, 45 nm: Horowitz,
    ISSCC 2014, figure 1.1.9), without memory and communication. The challenger becomes a version of
    `turbofan_remaining_useful_life` without an alias, and the check shows whether it may be promoted, or why not.
    """

    @dg.asset(
        key=global_key("spiking_verdict"),
        deps=[
            global_key("spiking_challenger"),
            *(global_key(name) for name in CANDIDATES),
            global_key("evaluation"),
            global_key("evaluation_set"),
            *everywhere(deployment, "evaluation_sequences"),
        ],
        check_specs=[_gate_spec(global_key("spiking_verdict"))],
        metadata={**_recipe_entries(SPIKING), **agreements_entry(deployment, EVALUATION_SEQUENCES, to=NULL_ISLAND)},
        **bind(
            deployment.region(NULL_ISLAND),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            hardware=SPIKING.hardware,
            reads=deployment.regions,
            uses=["registry", "tracking"],
            kinds={"mlflow"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.evaluation.judge import judge
        from sinet_pipelines.training.candidate import load_model, newest_candidate

        east = here(context, EAST)
        candidate = newest_candidate(east.blobs, SPIKING.family)
        model = cast("SpikingModel", load_model(east.blobs, candidate, task=RUL, families=EXPERIMENTS))
        rows = east.tables.read(EVALUATION_SET).sort("unit", "cycle")
        inputs = evaluation_inputs(context, rows, candidate)
        predicted_B = model.predict(inputs)
        verdict = _verdict(east, candidate, predicted_B, endpoint=deployment.region(ENDPOINT))
        own_results = judge(rows, {SPIKING.name: predicted_B}, task=RUL, results=EVALUATION_RESULTS)
        own, rates = overall_of(own_results)[SPIKING.name], model.firing_rates(inputs)
        operations = _operations(east, model, rates)
        energy_nj = operations[SPIKING.name].energy_nj
        figures = {f"eval_{name}": own[name] for name in ("rmse_capped", "rmse_uncapped", "score_capped")}
        context.resources.tracking.add_metrics(candidate.run_id, {**figures, "energy_nj": energy_nj})
        version = _register(context, candidate, verdict, rmse_cycles=own["rmse_capped"])
        return made(
            context,
            fingerprint(version.sha256, verdict.sentence, own["rmse_capped"]),
            entries={
                "rmse_capped_cycles": round(own["rmse_capped"], 3),
                "decision": verdict.sentence,
                "energy_nj": round(energy_nj, 1),
                "rmse_out_of_fold_cycles": round(candidate.score_out_of_fold, 3),
                "rmse_uncapped_cycles": round(own["rmse_uncapped"], 3),
                "score_capped": round(own["score_capped"], 1),
                "by_slice": shown(_slices(pl.concat([own_results, east.tables.read(EVALUATION_RESULTS)]))),
                "energy_by_counting": shown(_energy_table(operations)),
                "spikes_per_neuron_and_cycle": ", ".join(f"{rate:.3f}" for rate in rates),
                "version": version.version,
                "mlflow_model": dg.MetadataValue.url(context.resources.registry.version_url(version)),
                "sha256": version.sha256,
            },
            checks=[
                gate_result(GATE, passed=verdict.may_be_promoted, reason=verdict.sentence, numbers=verdict.numbers)
            ],
        )

    return asset


def _verdict(
    east: RegionResource, candidate: "Candidate", predicted_B: "Floats", *, endpoint: Region
) -> "ExperimentVerdict":
    """Whether the challenger may be promoted, compared with the other candidates out of fold."""
    from sinet_pipelines.research.verdict import judge_experiment

    rivals = newest_candidates(east.blobs, CANDIDATES)
    return judge_experiment(
        SPIKING,
        endpoint=endpoint,
        metric=RUL.metric,
        score=candidate.score_out_of_fold,
        candidates={name: one.score_out_of_fold for name, one in rivals.items()},
        predicted_B=predicted_B,
    )


def _register(
    context: dg.AssetExecutionContext, candidate: "Candidate", verdict: "ExperimentVerdict", *, rmse_cycles: float
) -> "Version":
    """The challenger as a version without an alias, among the experiments' models."""
    from sinet_pipelines.applications.turbofan.spiking import FILE

    version: Version = context.resources.registry.register(
        EXPERIMENTS_MODEL,
        here(context, EAST).blobs.get(candidate.files[FILE]),
        family=candidate.family,
        run_id=candidate.run_id,
        file=FILE,
        tags={
            "region": SPIKING.region,
            "verdict": verdict.sentence,
            "rmse_cycles": f"{rmse_cycles:.3f}",  # for the model card, which compares versions
        },
    )
    return version


def _operations(east: RegionResource, model: "SpikingModel", rates: Sequence[float]) -> dict[str, "Operations"]:
    """The arithmetic of one prediction: of the challenger, its dense twin, and the candidate that is a network."""
    from sinet_pipelines.research.energy import convolution_operations, dense_twin_operations, spiking_operations
    from sinet_pipelines.training.candidate import load_model, newest_candidate

    candidate = newest_candidate(east.blobs, "temporal_convolution")
    network = cast("ConvolutionModel", load_model(east.blobs, candidate, task=RUL, families=FAMILIES))
    return {
        SPIKING.name: spiking_operations(model.shape, rates),
        "the same layers without spikes": dense_twin_operations(model.shape),
        "temporal_convolution": convolution_operations(network),
    }


def _energy_table(operations: Mapping[str, "Operations"]) -> Markdown:
    """Estimated arithmetic of one prediction, with its source."""
    rows = [
        (name, f"{one.multiply_adds:,}", f"{one.adds:,.0f}", f"{one.energy_nj:.1f}") for name, one in operations.items()
    ]
    return together(
        table(("one answer", "multiply-adds", "adds", "nJ"), rows, numeric=(1, 2, 3)),
        "Counted, not measured: arithmetic in 32-bit floats at 45 nm (Horowitz 2014), no memory, no routing.",
    )


def _slices(results: pl.DataFrame) -> Markdown:
    """Capped RMSE by slice, one column for each predictor, the challenger's first."""
    wide = results.pivot(on="predictor", index=["slice", "value"], values="rmse_capped", maintain_order=True)
    names = wide.columns[2:]
    rows = [(row["value"], *(f"{row[name]:.2f}" for name in names)) for row in wide.iter_rows(named=True)]
    return table(("RMSE in cycles", *names), rows, numeric=range(1, 1 + len(names)))
