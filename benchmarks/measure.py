"""Measures variants, each in a separate process, and prints their ratio with its aim.

A variant is a function of a benchmark file, run as `python bench_x.py --variant NAME ...`; it returns its figures, to
which the peak memory of its process is added. Each round runs all variants in turn, so that a change of the machine's
load affects all of them.
"""

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REPORTED = "FIGURES "  # prefix of the printed figures of a variant's process
VECTOR_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")  # affect the cost of int8 and float

Variant = Callable[[argparse.Namespace], Mapping[str, float]]
Figures = dict[str, list[float]]


@dataclass
class Table:
    """Lines of one benchmark: a figure, its comparison, their ratio, and the aim."""

    title: str
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, what: str, values: Sequence[float], *, unit: str, aim: str = "", note: str = "") -> None:
        """Adds one figure with its spread over the rounds."""
        middle = statistics.median(values)
        spread = f"{min(values):.3g} .. {max(values):.3g}" if len(values) > 1 else ""
        self.rows.append((what, f"{middle:.3g} {unit}".strip(), spread, str(len(values)), aim, note))

    def print(self) -> None:
        """Prints the table, with a description of the machine."""
        head = ("what", "median", "min .. max", "n", "aim", "note")
        lines = [head, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        print(f"\n{self.title}\n{machine()}")
        for line in lines:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def machine() -> str:
    """The machine in one line: cores, vector instructions, load."""
    text = Path("/proc/cpuinfo").read_text()
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    model = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "cpu")
    vectors = " ".join(flag for flag in VECTOR_FLAGS if flag in flags) or "none of " + " ".join(VECTOR_FLAGS)
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{model}, {os.cpu_count()} cores, {vectors}; load {load}"


def peak_mib() -> float:
    """Peak resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_mib() -> float:
    """Resident memory of this process now, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


@dataclass
class Clock:
    """Wall and CPU seconds since its creation."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def read(self) -> dict[str, float]:
        """Wall and CPU seconds (all threads of this process)."""
        return {"wall_s": time.perf_counter() - self.wall, "cpu_s": time.process_time() - self.cpu}


def rounds(file: str, variants: Sequence[str], *, repeats: int, arguments: Sequence[str] = ()) -> dict[str, Figures]:
    """Runs every variant `repeats` times, in turn, each in a new process; returns figures by variant and name."""
    found: dict[str, Figures] = {variant: {} for variant in variants}
    for number in range(repeats):
        turned = variants if number % 2 == 0 else list(reversed(variants))
        for variant in turned:
            for name, value in in_process_of_its_own(file, variant, arguments).items():
                found[variant].setdefault(name, []).append(value)
    return found


def in_process_of_its_own(file: str, variant: str, arguments: Sequence[str]) -> dict[str, float]:
    """The figures of one variant, measured in a new process."""
    command = [sys.executable, file, "--variant", variant, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    lines = [line for line in done.stdout.splitlines() if line.startswith(REPORTED)]
    if done.returncode or not lines:
        sys.exit(f"{variant} of {Path(file).name} failed ({done.returncode}):\n{done.stderr[-4000:]}")
    return json.loads(lines[-1].removeprefix(REPORTED))


def ratios(these: Sequence[float], those: Sequence[float]) -> list[float]:
    """The ratio of each round, since both variants of one round have the same load."""
    return [one / other for one, other in zip(these, those, strict=True)]


def main(
    description: str,
    *,
    variants: Mapping[str, Variant],
    compare: Callable[[argparse.Namespace], None],
    options: Mapping[str, Mapping[str, Any]],
) -> None:
    """The command line of a benchmark: compares all variants, or runs one variant for the comparison.

    Args:
        description: description for the help.
        variants: variants by name; each returns its figures.
        compare: runs `rounds` and prints.
        options: flags with the arguments of `add_argument`.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--variant", choices=sorted(variants), help=argparse.SUPPRESS)
    for flag, arguments in options.items():
        parser.add_argument(flag, **arguments)
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if args.variant is None:
        compare(args)
        return
    figures = dict(variants[args.variant](args))
    gc.collect()
    print(REPORTED + json.dumps({**figures, "peak_mib": peak_mib()}), flush=True)
