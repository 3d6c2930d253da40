"""Research: an experiment's recipe in, a challenger and a verdict out; class `model`, and none serves before it may."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
import polars as pl

from assets.candidates import fit_candidate, kept_candidate, training_rows, training_sequences_of
from assets.evaluation import CANDIDATES, EXPERIMENTS_MODEL, evaluation_inputs
from assets.pictures import glance
from assets.regional import here
from assets.reports import agreements_entry, made
from resources.keys import everywhere, global_key
from resources.markdown import shown
from resources.placement import bind
from resources.regions import RegionResource
from sinet_pipelines.markdown import Markdown, table, together
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.regions import EAST, NULL_ISLAND, REGIONS, WEST
from sinet_pipelines.research.experiments import EXPERIMENTS, SPIKING
from sinet_pipelines.research.recipe import Recipe
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.features import (
    EVALUATION_RESULTS,
    EVALUATION_SEQUENCES,
    EVALUATION_SET,
    TRAINING_SEQUENCES,
)
from sinet_pipelines.storage.fingerprint import fingerprint

if TYPE_CHECKING:
    from sinet_pipelines.models.temporal_convolution import ConvolutionModel
    from sinet_pipelines.research.energy import Operations
    from sinet_pipelines.research.spiking import SpikingModel

GATE = "may_be_promoted"
ENDPOINT = WEST  # where the champion is served


def _told(recipe: Recipe) -> dict[str, Any]:
    """Definition metadata of an experiment's assets."""
    return {"question": recipe.question, "hardware": recipe.hardware, "figures": recipe.provenance}


@dg.asset(
    key=global_key("spiking_challenger"),
    deps=[global_key("training_set"), global_key("operating_regimes"), *everywhere("training_sequences")],
    metadata={**_told(SPIKING), **agreements_entry(TRAINING_SEQUENCES, to=NULL_ISLAND)},
    **bind(
        NULL_ISLAND,
        data_class=DataClass.MODEL,
        hardware=SPIKING.hardware,
        needs=Needs(memory_mib=8192, count=1),
        reads=REGIONS,
        uses=["tracking"],
        kinds={"pytorch", "mlflow"},
    ),
)
def spiking_challenger(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A spiking network (snntorch) on the scaled sequences of the last 30 cycles, on the candidates' folds and seed.

    Leaky integrate-and-fire neurons, trained by surrogate gradients. Simulated on cpu: bound to neuromorphic hardware,
    whose place a simulator takes. Sequences come to NULL_ISLAND under the agreements below and for experiments alone.
    """
    from sinet_pipelines.training.labels import examples_of

    rows = training_rows(context)
    network = EXPERIMENTS[SPIKING.family]
    fitted = fit_candidate(context, network, examples_of(rows, sequences=training_sequences_of(context, rows)))
    curve = fitted.validated.rmse_by_epoch
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


@dg.asset(
    key=global_key("spiking_verdict"),
    deps=[
        global_key("spiking_challenger"),
        *(global_key(name) for name in CANDIDATES),
        global_key("evaluation"),
        global_key("evaluation_set"),
        *everywhere("evaluation_sequences"),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            GATE,
            asset=global_key("spiking_verdict"),
            description=f"{ENDPOINT.name} has the recipe's hardware, the figures were measured on it, not simulated, "
            "the error out of fold is at most 10 % above the best candidate's, and every answer is a number. An "
            "experiment that may not be promoted is news, not a failure: the champion goes on.",
        )
    ],
    metadata={**_told(SPIKING), **agreements_entry(EVALUATION_SEQUENCES, to=NULL_ISLAND)},
    **bind(
        NULL_ISLAND,
        data_class=DataClass.MODEL,
        hardware=SPIKING.hardware,
        reads=REGIONS,
        uses=["registry", "tracking"],
        kinds={"mlflow"},
    ),
)
def spiking_verdict(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The spiking challenger asked what the candidates were asked: its errors beside theirs, and what an answer costs.

    Simulated on cpu. Energy is an estimate by counting arithmetic (32-bit floats, 45 nm: Horowitz, ISSCC 2014, figure
    1.1.9), without memory and communication. The challenger becomes a version of `remaining_useful_life` without an
    alias, and the check says whether it may ever get one, or why not.
    """
    from sinet_pipelines.evaluation.judge import judge
    from sinet_pipelines.research.spiking import FILE
    from sinet_pipelines.research.verdict import judge_experiment
    from sinet_pipelines.training.candidate import load_model, newest_candidate

    east = here(context, EAST)
    candidate = newest_candidate(east.blobs, SPIKING.family)
    rivals = {name: newest_candidate(east.blobs, name) for name in CANDIDATES}
    model = cast("SpikingModel", load_model(east.blobs, candidate, families=EXPERIMENTS)[0])
    rows = east.tables.read(EVALUATION_SET).sort("unit", "cycle")
    asked = evaluation_inputs(context, rows, candidate)
    answers_B = model.predict(asked)
    verdict = judge_experiment(
        SPIKING,
        endpoint=ENDPOINT,
        rmse_cycles=candidate.rmse_out_of_fold,
        candidates={name: one.rmse_out_of_fold for name, one in rivals.items()},
        answers_B=answers_B,
    )
    results = pl.concat([judge(rows, {SPIKING.name: answers_B}), east.tables.read(EVALUATION_RESULTS)])
    own = results.row(by_predicate=(pl.col("predictor") == SPIKING.name) & (pl.col("slice") == "all"), named=True)
    rates = model.firing_rates(asked)
    operations = _operations(east, model, rates)
    figures = {f"eval_{name}": own[name] for name in ("rmse_capped", "rmse_uncapped", "score_capped")}
    energy_nj = operations[SPIKING.name].energy_nj
    context.resources.tracking.add_metrics(candidate.run_id, {**figures, "energy_nj": energy_nj})
    version = context.resources.registry.register(
        EXPERIMENTS_MODEL,
        east.blobs.get(candidate.files[FILE]),
        family=candidate.family,
        run_id=candidate.run_id,
        file=FILE,
        tags={
            "region": SPIKING.region,
            "verdict": verdict.sentence,
            "rmse_cycles": f"{own['rmse_capped']:.3f}",  # for the model card, which stands the versions side by side
        },
    )
    return made(
        context,
        fingerprint(version.sha256, verdict.sentence, own["rmse_capped"]),
        entries={
            "rmse_capped_cycles": round(own["rmse_capped"], 3),
            "decision": verdict.sentence,
            "energy_nj": round(energy_nj, 1),
            "rmse_out_of_fold_cycles": round(candidate.rmse_out_of_fold, 3),
            "rmse_uncapped_cycles": round(own["rmse_uncapped"], 3),
            "score_capped": round(own["score_capped"], 1),
            "by_slice": shown(_slices(results)),
            "energy_by_counting": shown(_energy_table(operations)),
            "spikes_per_neuron_and_cycle": ", ".join(f"{rate:.3f}" for rate in rates),
            "version": version.version,
            "mlflow_model": dg.MetadataValue.url(context.resources.registry.version_url(version)),
            "sha256": version.sha256,
        },
        checks=[
            dg.AssetCheckResult(
                passed=verdict.may_be_promoted,
                check_name=GATE,
                severity=dg.AssetCheckSeverity.WARN,
                description=verdict.sentence,
                metadata={name: round(float(value), 4) for name, value in verdict.numbers.items()},
            )
        ],
    )


def _operations(east: RegionResource, model: "SpikingModel", rates: Sequence[float]) -> dict[str, "Operations"]:
    """The arithmetic of one answer: of the challenger, of its dense twin, and of the candidate that is a network."""
    from sinet_pipelines.research.energy import convolution_operations, dense_twin_operations, spiking_operations
    from sinet_pipelines.training.candidate import load_model, newest_candidate

    network = cast("ConvolutionModel", load_model(east.blobs, newest_candidate(east.blobs, "temporal_convolution"))[0])
    return {
        SPIKING.name: spiking_operations(model.shape, rates),
        "the same layers without spikes": dense_twin_operations(model.shape),
        "temporal_convolution": convolution_operations(network),
    }


def _energy_table(operations: Mapping[str, "Operations"]) -> Markdown:
    """Estimated arithmetic of one answer, with its source."""
    rows = [
        (name, f"{one.multiply_adds:,}", f"{one.adds:,.0f}", f"{one.energy_nj:.1f}") for name, one in operations.items()
    ]
    return together(
        table(("one answer", "multiply-adds", "adds", "nJ"), rows, numeric=(1, 2, 3)),
        "Counted, not measured: arithmetic in 32-bit floats at 45 nm (Horowitz 2014), no memory, no routing.",
    )


def _slices(results: pl.DataFrame) -> Markdown:
    """Capped RMSE by slice, a column a predictor, the challenger's first."""
    wide = results.pivot(on="predictor", index=["slice", "value"], values="rmse_capped", maintain_order=True)
    names = wide.columns[2:]
    rows = [(row["value"], *(f"{row[name]:.2f}" for name in names)) for row in wide.iter_rows(named=True)]
    return table(("RMSE in cycles", *names), rows, numeric=range(1, 1 + len(names)))
