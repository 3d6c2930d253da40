"""The plan of a backfill: its runs, and what they take, estimated from past runs of the home."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import dagster as dg

from resources.materializations.kept import place_of
from resources.materializations.past_runs import Placed, past_runs, placed, table_bytes
from resources.materializations.staleness import Staleness
from schedules.backfill_goal import Todo
from schedules.backfill_runs import cells_of, in_runs
from schedules.backfills import PlannedRun
from sinet_pipelines.backfills.estimates import CostModel, Estimate
from sinet_pipelines.backfills.history import AMOUNTS, RUN, SECONDS, TABLE_BYTES, USD, PastRun, Step
from sinet_pipelines.backfills.sizes import bytes_of_days
from sinet_pipelines.backfills.split import Bound, Split, choose_split, makespan
from sinet_pipelines.errors import UsageError
from sinet_pipelines.words import counted

CONCURRENCY = 1  # one process executes the runs, one after the other, as `sinet run` does
SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class Budget:
    """The most that a backfill may take: USD or seconds."""

    amount: str
    limit: float
    words: str


@dataclass(frozen=True)
class Plan:
    """The runs of a backfill with their estimates.

    Attributes:
        todo: what the runs make.
        runs: in order.
        steps: of each run, with the days that it makes; the last one of each is the run itself.
        split: how many days a run makes, and why.
        estimates: of the whole backfill, by measure.
        left_out: days that the budget leaves out, in order.
        past_runs: how many past runs the estimates are learnt from.
    """

    todo: Todo
    runs: Sequence[PlannedRun]
    steps: Sequence[Sequence[Step]]
    split: Split
    estimates: Mapping[str, Estimate]
    left_out: Sequence[date] = ()
    past_runs: int = 0


@dataclass(frozen=True)
class Planner:
    """Plans backfills of one home at one moment; past runs are read once.

    Attributes:
        staleness: of the home, just read.
        look_s: seconds that a look at the home takes; there is one before each run.
        days_per_run: the split that the user requests; None to choose one.
    """

    staleness: Staleness
    look_s: float
    days_per_run: int | None = None

    @cached_property
    def places(self) -> Mapping[str, Placed]:
        """Place, price and needs of each asset."""
        return placed(self.staleness.graph, self.staleness.deployment)

    @cached_property
    def history(self) -> Sequence[PastRun]:
        """The past runs, the newest first."""
        return past_runs(self.staleness.instance, self.staleness.graph, self.places)

    @cached_property
    def models(self) -> Mapping[str, CostModel]:
        """What steps take, by amount."""
        return {amount: CostModel(self.history, amount) for amount in AMOUNTS}

    @cached_property
    def _known_bytes(self) -> Mapping[str, Sequence[float]]:
        graph, deployment = self.staleness.graph, self.staleness.deployment
        return table_bytes(graph, deployment, self.staleness.keys_with_days())

    def plan(self, todo: Todo, *, budget: Budget | None = None) -> Plan:
        """The plan of what is left to make, or of the newest days of it that fit a budget.

        Raises:
            UsageError: no day fits the budget, or it cannot be compared with an estimate.
        """
        split = self._split(todo)
        if budget is None or not todo.count + len(todo.once):
            return self._plan(todo, split)
        kept = self._within(todo, split, budget)
        left_out = sorted(set(todo.days) - set(kept.days))
        plan = self._plan(kept, self._split(kept))
        if (
            plan.estimates[budget.amount].highest or 0.0
        ) > budget.limit:  # of nearly equal splits the smallest is chosen
            plan = self._plan(kept, Split(split.days_per_run, "as for all days; a smaller one would exceed the budget"))
        return replace(plan, left_out=left_out)

    def regions(self, plan: Plan) -> dict[str, dict[str, Estimate]]:
        """The estimates of each region's part, by region and measure."""
        steps = [step for run in plan.steps for step in run if step.asset != RUN]
        found = {}
        for region in sorted({self.region(step.asset) for step in steps}):
            own = [step for step in steps if self.region(step.asset) == region]
            found[region] = {name: model.estimate(own) for name, model in self.models.items()}
            keys = [key for key in plan.todo.cells if self.region(key.to_user_string()) == region]
            found[region][TABLE_BYTES] = self._table_bytes(plan.todo, keys)
        return found

    def region(self, asset: str) -> str:
        """The region where an asset's step runs."""
        return self.places.get(asset, Placed()).region

    def _plan(self, todo: Todo, split: Split) -> Plan:
        runs = in_runs(self.staleness, todo, days_per_run=split.days_per_run)
        steps = [_steps(run, todo) for run in runs]
        flat = [step for run in steps for step in run]
        estimates = {name: model.estimate(flat) for name, model in self.models.items()}
        estimates[SECONDS] = _shifted(estimates[SECONDS], self.look_s * len(runs))
        estimates[TABLE_BYTES] = self._table_bytes(todo, todo.cells)
        return Plan(todo, runs, steps, split, estimates, past_runs=len(self.history))

    def _split(self, todo: Todo) -> Split:
        days = len(todo.days)
        if self.days_per_run is not None:
            return Split(self.days_per_run, "requested with --days-per-run")
        model = self.models[SECONDS]
        is_known = model.separates_fixed(key.to_user_string() for key in todo.cells)

        def seconds_of(size: int) -> float:
            runs = in_runs(self.staleness, todo, days_per_run=size)
            return makespan([model.value(_steps(run, todo)) + self.look_s for run in runs], CONCURRENCY)

        return choose_split(days, seconds_of if is_known and days > 1 else None, self._bounds(todo))

    def _bounds(self, todo: Todo) -> list[Bound]:
        """The most days of one run by memory and by the declared duration of each step."""
        bounds = []
        for key in todo.cells:
            name = key.to_user_string()
            found, line = self.places.get(name), self.models[SECONDS].line(name)
            if found is None:
                continue
            needs = found.needs
            room = self.staleness.deployment.region(found.region).cluster.node_memory_mib - needs.memory_mib
            if needs.memory_mib_per_day:
                days = max(1, room // needs.memory_mib_per_day)
                bounds.append(Bound(days, f"memory of {name}: at most {counted(days, 'day')}"))
            if line is not None and line.per_day > 0:
                days = max(1, int((needs.hours * SECONDS_AN_HOUR - line.fixed) // line.per_day))
                bounds.append(Bound(days, f"{name} declares {needs.hours:g} h a run: at most {counted(days, 'day')}"))
        return bounds

    def _table_bytes(self, todo: Todo, keys: Iterable[dg.AssetKey]) -> Estimate:
        graph = self.staleness.graph
        with_table = [key for key in keys if place_of(graph.get(key)).table is not None]
        planned = {key.to_user_string(): len(todo.cells[key]) for key in with_table}
        return bytes_of_days(self._known_bytes, planned)

    def _within(self, todo: Todo, split: Split, budget: Budget) -> Todo:
        """The newest days whose estimate fits the budget: the end of its interval, or its value without one."""
        days = todo.days
        if not days:
            raise UsageError("a budget chooses days, and there is none to make; omit it")

        def part(count: int) -> Todo:
            return todo.within((days[-count], days[-1]))

        def highest(count: int) -> float:
            found = self._plan(part(count), split).estimates[budget.amount]
            if found.unknown or found.highest is None:
                named = ", ".join(name or "runs" for name in found.unknown)
                raise UsageError(
                    f"a budget needs an estimate, and this home has no past run of {named or 'these assets'}; omit the "
                    "budget, or make one day first with --days"
                )
            return found.highest

        if (least := highest(1)) > budget.limit:
            raise UsageError(
                f"the budget of {budget.words} holds no day: the newest one takes up to {_amount(budget, least)}; give "
                "more, or select fewer assets"
            )
        low, high = 1, len(days)
        while low < high:  # more days never take less
            middle = (low + high + 1) // 2
            low, high = (middle, high) if highest(middle) <= budget.limit else (low, middle - 1)
        return part(low)


def _amount(budget: Budget, value: float) -> str:
    return f"{value:.3g} USD" if budget.amount == USD else f"{value / 60:.3g} minutes"


def _steps(run: PlannedRun, todo: Todo) -> list[Step]:
    cells = cells_of(run, todo)
    made = [Step(key.to_user_string(), len(cells.get(key, ()))) for key in sorted(run.keys)]
    return [*made, Step(RUN, 0)]


def _shifted(estimate: Estimate, by: float) -> Estimate:
    ends = [None if end is None else end + by for end in (estimate.value, estimate.lower, estimate.upper)]
    return replace(estimate, value=ends[0], lower=ends[1], upper=ends[2])
