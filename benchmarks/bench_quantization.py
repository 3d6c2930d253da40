"""Compares INT8 and FP32 of the reference CNN and of the platform's network: size, time of a prediction, error.

Every network is trained and calibrated on engines of one simulated fleet of six regimes and evaluated on others.
`alone` is the reference CNN (`reference_cnn.py`), from a standardised window to cycles; `served` is the same after the
pre-processing of raw rows, in float64 in both forms. `platform` and `platform, 128 channels` are the temporal
convolutions that the platform serves. FP32 and INT8 alternate every 20 calls on one thread; memory is the increase in a
separate process after a graph is opened and predicts every row.

    python benchmarks/bench_quantization.py [--calls 1000] [--repeats 3]
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measure
import numpy as np

FORMS = ("fp32", "int8")
TURN_CALLS = 20
EPOCHS = 10  # of the platform's network
MAX_SIZE, MAX_TIME, MAX_TIME_VNNI, MAX_GROWTH = 0.3, 0.55, 0.35, 0.01


@dataclass(frozen=True)
class Pair:
    """One network in both forms, and its inputs.

    Attributes:
        graphs: ONNX by form.
        tensors: inputs of the predicted rows by name.
        true_B: remaining cycles of each, capped.
    """

    graphs: Mapping[str, bytes]
    tensors: Mapping[str, np.ndarray]
    true_B: np.ndarray


def pairs() -> dict[str, Pair]:
    """Trains, exports and quantizes every network."""
    import reference_cnn

    from sinet_pipelines.applications.turbofan.features.scaled import scaled_windows
    from sinet_pipelines.applications.turbofan.graph.calibration_rows import calibration_rows
    from sinet_pipelines.applications.turbofan.graph.served import WindowPreparation, graph_rows_of, quantize_by_regime
    from sinet_pipelines.quantization.export import export
    from sinet_pipelines.quantization.int8 import quantize_layers

    fleet = reference_cnn.simulated_fleet()
    reference = reference_cnn.train(fleet)
    alone = reference_cnn.write_alone(reference)
    calibration = scaled_windows(calibration_rows(fleet.training, fleet.regimes), fleet.regimes).windows()
    tensors = {"z": scaled_windows(fleet.tested, fleet.regimes).windows()}
    forms = dict(zip(FORMS, (alone, quantize_layers(alone, {"z": calibration})), strict=True))
    found = {"alone": Pair(forms, tensors, fleet.tested_rul_B)}
    models = {
        "served": reference,
        "platform, 128 channels": platform_network(fleet, channels=128),
        "platform": platform_network(fleet, channels=16),
    }
    for name, model in models.items():
        graph = export(model, preparation=WindowPreparation(fleet.regimes), family=name)
        int8 = quantize_by_regime(graph, fleet.training, regimes=fleet.regimes)
        forms = dict(zip(FORMS, (graph, int8), strict=True))
        found[name] = Pair(forms, graph_rows_of(fleet.tested).tensors, fleet.tested_rul_B)
    return found


def platform_network(fleet: Any, *, channels: int) -> Any:
    """The platform's network, trained on the same rows."""
    from sinet_pipelines.applications.turbofan.families import NETWORK
    from sinet_pipelines.applications.turbofan.features.scaled import scaled_windows
    from sinet_pipelines.applications.turbofan.features.windows import window_features
    from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES
    from sinet_pipelines.applications.turbofan.task import RUL
    from sinet_pipelines.models.model import Examples, Inputs

    features = window_features(fleet.training, fleet.regimes)
    inputs = Inputs(features, FEATURE_NAMES, scaled_windows(fleet.training, fleet.regimes))
    # each row has its own places, like a separate engine; this does not matter here, because nothing is compared
    units = np.array(
        [f"{unit}-{cycle}" for unit, cycle in zip(fleet.training.unit, fleet.training.cycle_B, strict=True)]
    )
    examples = Examples(inputs, units, fleet.training.cycle_B, fleet.training_rul_B, RUL)
    return replace(NETWORK, channels=channels, epochs=EPOCHS, groups_in_batch=64).fit(examples, seed=0)


def keep(folder: Path, found: Mapping[str, Pair]) -> None:
    """Writes graphs and inputs for the processes of the variants."""
    for name, pair in found.items():
        np.savez(folder / f"{name}.npz", **pair.tensors)
        for form, graph in pair.graphs.items():
            (folder / f"{name}.{form}.onnx").write_bytes(graph)


def open_graph(file: Path) -> Any:
    from sinet_pipelines.deployment.model import open_graph as opened

    return opened(file.read_bytes(), file.stem).session


def errors(pair: Pair, sessions: Mapping[str, Any]) -> dict[str, float]:
    answers = {form: session.run(None, dict(pair.tensors))[0][:, 0] for form, session in sessions.items()}
    return {form: float(np.sqrt(np.mean((values - pair.true_B) ** 2))) for form, values in answers.items()}


def race(args: argparse.Namespace) -> Mapping[str, float]:
    """The median time in us of every graph; the two forms of a network alternate."""
    folder, figures = Path(args.graphs), {}
    for inputs in sorted(folder.glob("*.npz")):
        name, tensors = inputs.stem, dict(np.load(inputs))
        rows = [{one: values[i : i + 1] for one, values in tensors.items()} for i in range(100)]
        sessions = {form: open_graph(folder / f"{name}.{form}.onnx") for form in FORMS}
        took: dict[str, list[float]] = {form: [] for form in FORMS}
        for start in range(0, args.calls, TURN_CALLS):
            for form, session in sessions.items():
                for i in range(start, start + TURN_CALLS):
                    started = time.perf_counter()
                    session.run(None, rows[i % len(rows)])
                    took[form].append(time.perf_counter() - started)
        figures |= {f"{name}/{form}": 1e6 * float(np.median(values)) for form, values in took.items()}
    return figures


def memory(args: argparse.Namespace) -> Mapping[str, float]:
    """MiB that one graph adds to resident memory, since the peak of a process begins with that of its parent."""
    file = Path(args.graph)
    tensors = dict(np.load(file.with_suffix("").with_suffix(".npz")))
    open_graph(file)  # then released: the memory of onnxruntime itself does not count
    gc.collect()
    before = measure.resident_mib()
    session = open_graph(file)
    n = len(next(iter(tensors.values())))
    for i in range(n):
        session.run(None, {name: values[i : i + 1] for name, values in tensors.items()})
    return {"added_mib": measure.resident_mib() - before}


def compare(args: argparse.Namespace) -> None:
    from sinet_pipelines.quantization.footprint import weight_bytes

    most = MAX_TIME_VNNI if "vnni" in measure.machine() and "none of" not in measure.machine() else MAX_TIME
    found = pairs()
    table = measure.Table(f"INT8 against FP32, one thread, {args.calls} calls")
    with tempfile.TemporaryDirectory(prefix="sinet-bench-") as name:
        folder = Path(name)
        keep(folder, found)
        arguments = ["--graphs", name, "--calls", str(args.calls)]
        timed = measure.rounds(__file__, ["race"], repeats=args.repeats, arguments=arguments)["race"]
        for which, pair in found.items():
            aims = which == "alone"
            files = {form: folder / f"{which}.{form}.onnx" for form in FORMS}
            rmse = errors(pair, {form: open_graph(file) for form, file in files.items()})
            for form, file in files.items():
                taken = measure.in_process_of_its_own(__file__, "memory", ["--graph", str(file)])["added_mib"]
                note = f"{len(pair.graphs[form]):,} bytes, RMSE {rmse[form]:.3f} cycles, {taken:.1f} MiB"
                table.add(f"{which}: {form}, p50", timed[f"{which}/{form}"], unit="us", note=note)
            ratio = measure.ratios(timed[f"{which}/int8"], timed[f"{which}/fp32"])
            table.add(f"{which}: int8 / fp32, p50", ratio, unit="x", aim=f"<= {most}" if aims else "")
            sizes, weights = ([measured(pair.graphs[form]) for form in FORMS] for measured in (len, weight_bytes))
            note = f"of the weights {weights[1] / weights[0]:.3f}"
            aim = f"<= {MAX_SIZE}" if aims else ""
            table.add(f"{which}: int8 / fp32, bytes", [sizes[1] / sizes[0]], unit="x", aim=aim, note=note)
            growth = 100 * (rmse["int8"] / rmse["fp32"] - 1)
            aim = f"<= {100 * MAX_GROWTH:g}" if aims else ""
            table.add(f"{which}: error grows by", [growth], unit="%", aim=aim)
    table.print()


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants={"race": race, "memory": memory},
        compare=compare,
        options={
            "--calls": {"type": int, "default": 1000},
            "--repeats": {"type": int, "default": 3},
            "--graphs": {"help": argparse.SUPPRESS},
            "--graph": {"help": argparse.SUPPRESS},
        },
    )
