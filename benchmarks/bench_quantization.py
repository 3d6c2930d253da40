"""INT8 of the reference CNN against its FP32 self: bytes, time of an answer, error; the house's own network beside it.

Every network is learnt from one simulated fleet of six regimes, calibrated on its engines and judged by others. `alone`
is the bare reference CNN (`reference_cnn.py`), standardised window in, cycles out; `served` is the same behind what
makes its window of raw rows, in float64 in both forms. `walk` and `walk, 128 channels` are temporal convolutions as the
house serves them. FP32 and INT8 take turns of 20 calls on one thread; memory is what a graph, opened and asked about
every row, adds to a process of its own.

    python benchmarks/bench_quantization.py [--calls 1000] [--repeats 3]
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np

FORMS = ("fp32", "int8")
TURN_CALLS = 20
EPOCHS = 10  # of the house's network
MAX_SIZE, MAX_TIME, MAX_TIME_VNNI, MAX_GROWTH = 0.3, 0.55, 0.35, 0.01


@dataclass(frozen=True)
class Pair:
    """One network in both forms, and what it is asked.

    Attributes:
        graphs: ONNX by form.
        tensors: inputs of the asked rows by name.
        true_B: cycles left at each, capped.
    """

    graphs: Mapping[str, bytes]
    tensors: Mapping[str, np.ndarray]
    true_B: np.ndarray


def pairs() -> dict[str, Pair]:
    """Learns, exports and quantizes every network."""
    import reference_cnn

    from sinet_pipelines.features.scaled import scaled_windows
    from sinet_pipelines.quantization.calibration import calibration_rows
    from sinet_pipelines.quantization.export import export
    from sinet_pipelines.quantization.int8 import quantize, quantize_layers
    from sinet_pipelines.quantization.session import feed

    fleet = reference_cnn.simulated_fleet()
    reference = reference_cnn.train(fleet)
    alone = reference_cnn.write_alone(reference)
    calibration = scaled_windows(calibration_rows(fleet.taught, fleet.regimes), fleet.regimes).windows()
    asked = {"z": scaled_windows(fleet.asked, fleet.regimes).windows()}
    forms = dict(zip(FORMS, (alone, quantize_layers(alone, {"z": calibration})), strict=True))
    found = {"alone": Pair(forms, asked, fleet.asked_rul_B)}
    models = {"served": reference, "walk, 128 channels": house(fleet, channels=128), "walk": house(fleet, channels=16)}
    for name, model in models.items():
        graph = export(model, regimes=fleet.regimes, family=name)
        forms = dict(zip(FORMS, (graph, quantize(graph, fleet.taught, regimes=fleet.regimes)), strict=True))
        found[name] = Pair(forms, feed(fleet.asked), fleet.asked_rul_B)
    return found


def house(fleet: Any, *, channels: int) -> Any:
    """The house's own network, learnt from the same rows."""
    from sinet_pipelines.features.scaled import scaled_windows
    from sinet_pipelines.features.windows import window_features
    from sinet_pipelines.models.model import Examples, Inputs
    from sinet_pipelines.models.temporal_convolution import TemporalConvolution
    from sinet_pipelines.schemas.features import FEATURE_NAMES

    features = window_features(fleet.taught, fleet.regimes)
    inputs = Inputs(features, FEATURE_NAMES, scaled_windows(fleet.taught, fleet.regimes))
    # each row has a stretch of its own, so it is an engine of its own: no matter here, where nothing is compared
    units = np.array([f"{unit}-{cycle}" for unit, cycle in zip(fleet.taught.unit, fleet.taught.cycle_B, strict=True)])
    examples = Examples(inputs, units, fleet.taught.cycle_B, fleet.taught_rul_B)
    return TemporalConvolution(channels=channels, epochs=EPOCHS, engines_in_batch=64).fit(examples, seed=0)


def keep(folder: Path, found: Mapping[str, Pair]) -> None:
    """Writes graphs and inputs where the variants' processes find them."""
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


def race(said: argparse.Namespace) -> Mapping[str, float]:
    """p50 in us of every graph, the two forms of a network in turns."""
    folder, figures = Path(said.graphs), {}
    for inputs in sorted(folder.glob("*.npz")):
        name, tensors = inputs.stem, dict(np.load(inputs))
        rows = [{one: values[i : i + 1] for one, values in tensors.items()} for i in range(100)]
        sessions = {form: open_graph(folder / f"{name}.{form}.onnx") for form in FORMS}
        took: dict[str, list[float]] = {form: [] for form in FORMS}
        for start in range(0, said.calls, TURN_CALLS):
            for form, session in sessions.items():
                for i in range(start, start + TURN_CALLS):
                    started = time.perf_counter()
                    session.run(None, rows[i % len(rows)])
                    took[form].append(time.perf_counter() - started)
        figures |= {f"{name}/{form}": 1e6 * float(np.median(values)) for form, values in took.items()}
    return figures


def memory(said: argparse.Namespace) -> Mapping[str, float]:
    """MiB that one graph adds; by what is resident, since a process's peak begins with that of its starter."""
    file = Path(said.graph)
    tensors = dict(np.load(file.with_suffix("").with_suffix(".npz")))
    open_graph(file)  # and let go: what onnxruntime takes itself is no graph's
    gc.collect()
    before = measure.resident_mib()
    session = open_graph(file)
    n = len(next(iter(tensors.values())))
    for i in range(n):
        session.run(None, {name: values[i : i + 1] for name, values in tensors.items()})
    return {"added_mib": measure.resident_mib() - before}


def compare(said: argparse.Namespace) -> None:
    from sinet_pipelines.quantization.footprint import weight_bytes

    most = MAX_TIME_VNNI if "vnni" in measure.machine() and "none of" not in measure.machine() else MAX_TIME
    found = pairs()
    table = measure.Table(f"INT8 against FP32, one thread, {said.calls} calls")
    with tempfile.TemporaryDirectory(prefix="sinet-bench-") as name:
        folder = Path(name)
        keep(folder, found)
        arguments = ["--graphs", name, "--calls", str(said.calls)]
        timed = measure.rounds(__file__, ["race"], repeats=said.repeats, arguments=arguments)["race"]
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
