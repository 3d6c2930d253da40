"""Compares drift of 100,000 rows x 10 features, PSI and Kolmogorov-Smirnov together, with only PSI in plain numpy.

`ours` sorts reference and sample once and computes both measures from that; `engines` does the same with rows of
engines in age bands, as in the monitoring of fleets; `scipy` is PSI in plain numpy with `scipy.stats.ks_2samp`. With
the interpreter of a separate environment, Evidently's drift report is measured, too. One feature is shifted, and every
variant must find only that feature.

    python benchmarks/bench_drift.py [--rows 100000] [--repeats 5] [--evidently PATH/TO/python]
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import measure
import numpy as np

FEATURES, SHIFTED = 10, 3
ENGINE_ROWS, BANDS = 250, 8
AIM = 1.5

EVIDENTLY = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
rows, features, shifted, repeats = map(int, sys.argv[1:5])
rng = np.random.default_rng(0)
usual, sample = (rng.normal(size=(rows, features)).astype(np.float32) for _ in range(2))
sample[:, shifted] += 1
names = [f"f{n}" for n in range(features)]
usual, sample = pd.DataFrame(usual, columns=names), pd.DataFrame(sample, columns=names)
best = float("inf")
for _ in range(repeats):
    started = time.perf_counter()
    Report([DataDriftPreset(num_method=sys.argv[5])]).run(sample, usual)
    best = min(best, time.perf_counter() - started)
print(json.dumps(best))
"""


def tables(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A reference and a sample of normal values as float32, one feature of the sample shifted by one sd."""
    rng = np.random.default_rng(0)
    usual, sample = (rng.normal(size=(rows, FEATURES)).astype(np.float32) for _ in range(2))
    sample[:, SHIFTED] += 1
    return usual, sample


def plain_psi(usual: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """The textbook index: deciles by quantile, shares by histogram."""
    found = np.empty(usual.shape[1])
    for f in range(usual.shape[1]):
        edges = np.concatenate([[-np.inf], np.quantile(usual[:, f], np.arange(1, 10) / 10), [np.inf]])
        p = np.clip(np.histogram(usual[:, f], edges)[0] / len(usual), 1e-6, None)
        q = np.clip(np.histogram(sample[:, f], edges)[0] / len(sample), 1e-6, None)
        found[f] = ((q - p) * np.log(q / p)).sum()
    return found


def best_of(repeats: int, work: Callable[[], np.ndarray]) -> Mapping[str, float]:
    """The shortest time in ms and the added memory; the work must find the shifted feature."""
    before, best = measure.peak_mib(), float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        psi = work()
        best = min(best, time.perf_counter() - started)
        if np.flatnonzero(psi > 0.25).tolist() != [SHIFTED]:
            raise SystemExit(f"found features {np.flatnonzero(psi > 0.25).tolist()}, not the shifted one, {SHIFTED}")
    return {"best_ms": 1000 * best, "added_mib": measure.peak_mib() - before}


def plain(args: argparse.Namespace) -> Mapping[str, float]:
    """Only PSI, in plain numpy."""
    usual, sample = tables(args.rows)
    return best_of(args.repeats, lambda: plain_psi(usual, sample))


def ours(args: argparse.Namespace) -> Mapping[str, float]:
    """PSI, KS, limits and p-values, with a new reference each time."""
    from sinet_pipelines.monitoring.drift import compare as held_against
    from sinet_pipelines.monitoring.drift import reference_of

    usual, sample = tables(args.rows)
    return best_of(args.repeats, lambda: held_against(reference_of(usual), sample).psi)


def engines(args: argparse.Namespace) -> Mapping[str, float]:
    """The same with rows of engines in age bands."""
    from sinet_pipelines.monitoring.drift import compare as held_against
    from sinet_pipelines.monitoring.drift import reference_of

    usual, sample = tables(args.rows)
    group, stratum = np.arange(args.rows) // ENGINE_ROWS, np.arange(args.rows) % ENGINE_ROWS * BANDS // ENGINE_ROWS

    def work() -> np.ndarray:
        reference = reference_of(usual, stratum=stratum, group=group, strata=BANDS)
        return held_against(reference, sample, stratum=stratum, group=group).psi

    return best_of(args.repeats, work)


def scipy(args: argparse.Namespace) -> Mapping[str, float]:
    """Plain PSI and scipy's test."""
    from scipy.stats import ks_2samp

    usual, sample = tables(args.rows)

    def work() -> np.ndarray:
        for f in range(FEATURES):
            ks_2samp(sample[:, f], usual[:, f], method="asymp")
        return plain_psi(usual, sample)

    return best_of(args.repeats, work)


def evidently(args: argparse.Namespace, method: str) -> list[float]:
    """Milliseconds of Evidently's report with one method, in its own environment."""
    numbers = [str(one) for one in (args.rows, FEATURES, SHIFTED, args.repeats)]
    command = [args.evidently, "-c", EVIDENTLY, *numbers, method]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"evidently by {args.evidently} failed:\n{done.stderr[-2000:]}")
    return [1000 * json.loads(done.stdout.splitlines()[-1])]


def compare(args: argparse.Namespace) -> None:
    variants = ["plain", "ours", "engines", "scipy"]
    arguments = ["--rows", str(args.rows), "--repeats", str(args.repeats)]
    found = measure.rounds(__file__, variants, repeats=args.rounds, arguments=arguments)
    table = measure.Table(f"drift: {args.rows:,} rows x {FEATURES} features against as many")
    notes = {
        "plain": "PSI alone",
        "ours": "PSI and KS",
        "engines": "PSI and KS by age and engine",
        "scipy": "PSI and KS",
    }
    for variant in variants:
        table.add(variant, found[variant]["best_ms"], unit="ms", note=notes[variant])
        table.add(f"{variant}: memory added", found[variant]["added_mib"], unit="MiB")
    for variant in variants[1:]:
        ratio = measure.ratios(found[variant]["best_ms"], found["plain"]["best_ms"])
        aim = f"<= {AIM}" if variant in ("ours", "engines") else ""
        table.add(f"{variant} / plain", ratio, unit="x", aim=aim, note=notes[variant])
    if args.evidently:
        for method in ("psi", "ks"):
            taken = evidently(args, method)
            table.add(f"evidently {method} / plain", [taken[0] / min(found["plain"]["best_ms"])], unit="x")
    table.print()


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants={"plain": plain, "ours": ours, "engines": engines, "scipy": scipy},
        compare=compare,
        options={
            "--rows": {"type": int, "default": 100_000},
            "--repeats": {"type": int, "default": 5},
            "--rounds": {"type": int, "default": 3},
            "--evidently": {"metavar": "PYTHON", "help": "interpreter of an environment with evidently 0.7"},
        },
    )
