"""Plans graphs of 100 and 1,000 assets over 12 regions and 30 kinds, beside plans without an optimiser and SkyPilot's.

    python -m benchmarks.bench_placement [--seconds 10]

SkyPilot's formulation is implemented again from its paper (Yang et al., "SkyPilot: an intercloud broker for sky
computing", NSDI 2023, section 5) as an integer programme: a binary for each task and option, and for each edge a
matrix of options by options whose rows and columns add up to these binaries; egress is charged for each edge. It is
solved by HiGHS as well, so that formulations are compared and not solvers; residency is a matrix entry that is 0.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measure import Clock, Table, in_process_of_its_own, main  # noqa: E402

if TYPE_CHECKING:
    from sinet_pipelines.placement.problem import Problem

SHAPES = ("pipe", "rand")
SIZES = (100, 1000)
DEADLINE = 0.3  # of the way from the fastest to the cheapest plan


def free(args: argparse.Namespace) -> Mapping[str, float]:
    """One plan without quotas and deadlines, and the baselines beside it."""
    from sinet_pipelines.placement.baselines import greedy, per_asset_cheapest
    from sinet_pipelines.placement.checker import broken_rules, figures
    from sinet_pipelines.placement.planner import OPTIMAL, plan
    from sinet_pipelines.placement.policies import policy_of

    problem, policy = _problem(args), policy_of("cheapest")
    clock = Clock()
    found = plan(problem, policy)
    times = clock.read()
    if found.figures is None or found.gap is None:
        raise SystemExit(f"{found.answer}: {found.because}")
    result = {**times, "gap": found.gap, "is_optimal": float(found.answer == OPTIMAL)}
    result["cost_usd"] = found.figures.cost_microusd / 1e6
    for name, method in (("each", per_asset_cheapest), ("greedy", greedy)):
        chosen = method(problem, policy)
        result[name] = figures(problem, policy, chosen).cost_microusd / found.figures.cost_microusd
        result[f"{name}_broken"] = float(len(broken_rules(problem, chosen)))
    result["is_dynamic"] = float(found.exact is not None)
    return result


def ruled(args: argparse.Namespace) -> Mapping[str, float]:
    """One plan with quotas of half of the free use and a deadline 30 % of the way from fastest to cheapest."""
    from benchmarks.placement_graphs import with_rules
    from sinet_pipelines.placement.baselines import earliest_finish
    from sinet_pipelines.placement.checker import figures
    from sinet_pipelines.placement.highs import Limits
    from sinet_pipelines.placement.planner import OPTIMAL, plan
    from sinet_pipelines.placement.policies import policy_of

    problem, policy = _problem(args), policy_of("cheapest")
    cheapest = plan(problem, policy)
    if cheapest.figures is None:
        raise SystemExit(f"{cheapest.answer}: {cheapest.because}")
    first = figures(problem, policy, earliest_finish(problem, policy)).finish_ms
    latest = round(first + DEADLINE * (cheapest.figures.finish_ms - first))
    bound = with_rules(problem, used=dict(cheapest.chosen), latest_ms=latest)
    clock = Clock()
    found = plan(bound, policy, limits=Limits(seconds=args.seconds))
    times = clock.read()
    gap = float("nan") if found.gap is None else found.gap
    cost = float("nan") if found.figures is None else found.figures.cost_microusd / cheapest.figures.cost_microusd
    return {**times, "gap": gap, "is_optimal": float(found.answer == OPTIMAL), "cost": cost}


def skypilot(args: argparse.Namespace) -> Mapping[str, float]:
    """SkyPilot's formulation and ours on one instance: seconds and what each plan costs with shared copies."""
    from sinet_pipelines.placement.checker import figures
    from sinet_pipelines.placement.dynamic import best_in_regions
    from sinet_pipelines.placement.planner import plan
    from sinet_pipelines.placement.policies import policy_of

    problem, policy = _problem(args), policy_of("cheapest")
    if args.is_collapsed:
        problem = replace(
            problem,
            assets=tuple(
                replace(one, options=tuple(one.options[number] for number in best_in_regions(one, policy).values()))
                for one in problem.assets
            ),
        )
    clock = Clock()
    chosen, is_proved = _skypilot_plan(problem, args.skypilot_seconds)
    theirs, clock = clock.read(), Clock()
    ours = plan(problem, policy)
    own = clock.read()
    if ours.figures is None:
        raise SystemExit(f"{ours.answer}: {ours.because}")
    result = {"cpu_s": theirs["cpu_s"], "ours_cpu_s": own["cpu_s"], "ratio": float("nan"), "is_proved": is_proved}
    if chosen:
        result["ratio"] = figures(problem, policy, chosen).cost_microusd / ours.figures.cost_microusd
    return result


def _skypilot_plan(problem: "Problem", seconds: float) -> tuple[dict[str, int], float]:
    """The plan of SkyPilot's integer programme, empty where none was found in time, and 1 with a proof."""
    from sinet_pipelines.placement.highs import Limits, Programme, run

    programme = Programme()
    tasks = {
        one.name: [programme.column(option.cost_microusd / 1000, upper=1.0, is_integer=True) for option in one.options]
        for one in problem.assets
    }
    for columns in tasks.values():
        programme.row(dict.fromkeys(columns, 1.0), lower=1.0, upper=1.0)
    for edge in problem.edges:
        source, target = problem.by_name[edge.source], problem.by_name[edge.target]
        rows: list[dict[int, float]] = [{column: -1.0} for column in tasks[edge.source]]
        columns: list[dict[int, float]] = [{column: -1.0} for column in tasks[edge.target]]
        for at, one in enumerate(source.options):
            for to, other in enumerate(target.options):
                upper = 0.0 if (one.region, other.region) in edge.forbidden else 1.0
                price = problem.copy_microusd(source, one.region, other.region) / 1000
                both = programme.column(price, upper=upper)
                rows[at][both] = columns[to][both] = 1.0
        for terms in (*rows, *columns):
            programme.row(terms, lower=0.0, upper=0.0)
    found = run(programme, Limits(seconds=seconds), absolute_gap=0.0009)
    if not found.values:
        return {}, 0.0
    chosen = {name: max(range(len(own)), key=lambda at: found.values[own[at]]) for name, own in tasks.items()}
    return chosen, float(found.is_proved)


def _problem(args: argparse.Namespace) -> "Problem":
    from benchmarks.placement_graphs import pipe, rand

    return (pipe if args.shape == "pipe" else rand)(args.assets)


def compare(args: argparse.Namespace) -> None:
    """Prints all variants."""

    def measured(variant: str, shape: str, assets: int, *more: str) -> dict[str, float]:
        options = ["--shape", shape, "--assets", str(assets), "--seconds", str(args.seconds)]
        options += ["--skypilot-seconds", str(args.skypilot_seconds), *more]
        return in_process_of_its_own(__file__, variant, options)

    table = Table("placement: without quotas and deadlines")
    for shape in SHAPES:
        for assets in SIZES:
            found = measured("free", shape, assets)
            method = "dynamic programming" if found["is_dynamic"] else "HiGHS"
            aim = "<= 0.2 s" if shape == "pipe" else "<= 5 s"
            proof = "proved" if found["is_optimal"] else f"gap {100 * found['gap']:.3g} %"
            note = f"{method}, {proof}, {found['cpu_s']:.2f} s of CPU, {found['peak_mib']:.0f} MiB of the process"
            table.add(f"{shape} {assets}: plan", [found["wall_s"]], unit="s", aim=aim, note=note)
            for name, aim in (("each", ">= 1.25"), ("greedy", ">= 1.04")):
                broken = f"breaks {found[f'{name}_broken']:.0f} rules" if found[f"{name}_broken"] else ""
                what = f"{shape} {assets}: cost of {'per-asset cheapest' if name == 'each' else 'greedy'} / plan"
                table.add(what, [found[name]], unit="", aim=aim, note=broken)
    table.print()
    table = Table(f"placement: quotas of half of the free use, a deadline, {args.seconds:g} s at most")
    for shape in SHAPES:
        for assets in SIZES:
            found = measured("ruled", shape, assets)
            aim = "<= 2 % at 10 s" if shape == "pipe" else "printed"
            proof = "proved" if found["is_optimal"] else "cut off"
            note = f"{proof}; {found['wall_s']:.1f} s, {found['cpu_s']:.1f} s of CPU, {found['peak_mib']:.0f} MiB; "
            note += f"costs {found['cost']:.3f} times the plan without these rules"
            table.add(f"{shape} {assets}: gap", [100 * found["gap"]], unit="%", aim=aim, note=note)
    table.print()
    table = Table("placement: SkyPilot's formulation on equal instances of 100 assets")
    for shape in SHAPES:
        for is_collapsed in (False, True):
            found = measured("skypilot", shape, 100, *(["--is-collapsed"] if is_collapsed else []))
            options = "best option of each region" if is_collapsed else "all options"
            note = f"CPU: ours {found['ours_cpu_s']:.2f} s, SkyPilot's {found['cpu_s']:.2f} s"
            note += "" if found["is_proved"] else f", cut off after {args.skypilot_seconds:g} s"
            times = found["cpu_s"] / found["ours_cpu_s"]
            table.add(f"{shape} 100, {options}: time / ours", [times], unit="", aim=">= 5", note=note)
            table.add(f"{shape} 100, {options}: cost / ours", [found["ratio"]], unit="", aim=">= 1")
    table.print()


if __name__ == "__main__":
    main(
        __doc__ or "",
        variants={"free": free, "ruled": ruled, "skypilot": skypilot},
        compare=compare,
        options={
            "--shape": {"choices": SHAPES, "default": "pipe"},
            "--assets": {"type": int, "default": 100},
            "--seconds": {"type": float, "default": 10.0, "help": "limit of a search"},
            "--skypilot-seconds": {"type": float, "default": 60.0, "help": "limit of a search of SkyPilot's programme"},
            "--is-collapsed": {"action": "store_true", "help": argparse.SUPPRESS},
        },
    )
