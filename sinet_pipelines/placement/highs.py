"""Runs HiGHS on a mixed-integer programme: columns and rows are collected here and solved in one call.

The run is deterministic: one thread, a fixed seed, and a limit of nodes. The limit of seconds is only a safety: an
answer that it cut off is marked, since another machine may find another one.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sinet_pipelines.errors import PlacementError

SEED = 0
INF = math.inf


@dataclass(frozen=True)
class Limits:
    """When a search ends without a proof.

    Attributes:
        nodes: of the search tree.
        seconds: wall clock, a safety.
    """

    nodes: int = 20_000
    seconds: float = 120.0


@dataclass
class Programme:
    """A programme under construction: minimise the costs of columns under rows."""

    costs: list[float] = field(default_factory=list)
    lowers: list[float] = field(default_factory=list)
    uppers: list[float] = field(default_factory=list)
    integers: list[bool] = field(default_factory=list)
    row_lowers: list[float] = field(default_factory=list)
    row_uppers: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    constant: float = 0.0

    def column(self, cost: float = 0.0, *, upper: float = INF, is_integer: bool = False) -> int:
        """Adds a column from 0 to `upper`; returns its number."""
        self.costs.append(cost)
        self.lowers.append(0.0)
        self.uppers.append(upper)
        self.integers.append(is_integer)
        return len(self.costs) - 1

    def row(self, terms: Mapping[int, float], *, lower: float = -INF, upper: float = INF) -> int:
        """Adds a row `lower <= sum of terms <= upper`; returns its number."""
        self.starts.append(len(self.indices))
        self.indices += terms.keys()
        self.values += terms.values()
        self.row_lowers.append(lower)
        self.row_uppers.append(upper)
        return len(self.row_lowers) - 1


@dataclass(frozen=True)
class Run:
    """The result of one run.

    Attributes:
        is_feasible: False where it is proved that nothing satisfies the rows; None where nothing is proved or found.
        is_proved: whether the values are proved to be the best.
        values: of the columns; empty without a solution.
        objective: of these values.
        bound: no values are better than this.
        nodes: of the search tree.
        is_cut_off: whether the safety limit of seconds ended it.
        version: of HiGHS.
    """

    is_feasible: bool | None
    is_proved: bool
    values: tuple[float, ...]
    objective: float
    bound: float
    nodes: int
    is_cut_off: bool
    version: str


def sum_of(*parts: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Terms of several lists, with one coefficient for each column."""
    found: dict[int, float] = {}
    for part in parts:
        for column, value in part:
            found[column] = found.get(column, 0.0) + value
    return found


def run(programme: Programme, limits: Limits, *, absolute_gap: float) -> Run:
    """Solves a programme.

    Args:
        programme: at least one column.
        limits: when the search ends without a proof.
        absolute_gap: values this close to the bound count as proved; below the smallest step of the objective.

    Raises:
        PlacementError: HiGHS rejects the programme or ends in an error.
    """
    solver = _quiet_solver()
    settings: dict[str, Any] = {
        "output_flag": False,
        "threads": 1,
        "random_seed": SEED,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": absolute_gap,
        "mip_max_nodes": limits.nodes,
        "time_limit": limits.seconds,
    }
    for name, value in settings.items():
        _require_ok(solver.setOptionValue(name, value), f"the option {name}")
    _require_ok(solver.passModel(_model(programme)), "the programme")
    _require_ok(solver.run(), "the run")
    return _result(solver, is_integer=any(programme.integers))


def _quiet_solver() -> Any:
    """A solver that prints nothing: stdout may hold JSON alone, and HiGHS 1.16 prints its name when it is made."""
    import highspy

    class Quiet(highspy.Highs):
        def enableCallbacks(self) -> Any:  # noqa: N802 - the constructor calls it, and it is what prints
            self.silent()
            return super().enableCallbacks()

    return Quiet()


def _model(programme: Programme) -> Any:
    import highspy

    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(programme.costs), len(programme.row_lowers)
    model.col_cost_ = np.array(programme.costs)
    model.col_lower_, model.col_upper_ = np.array(programme.lowers), np.array(programme.uppers)
    model.row_lower_, model.row_upper_ = np.array(programme.row_lowers), np.array(programme.row_uppers)
    model.offset_ = programme.constant
    kinds = highspy.HighsVarType
    model.integrality_ = [kinds.kInteger if one else kinds.kContinuous for one in programme.integers]
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.num_col_, model.a_matrix_.num_row_ = model.num_col_, model.num_row_
    model.a_matrix_.start_ = np.array([*programme.starts, len(programme.indices)], np.int32)
    model.a_matrix_.index_ = np.array(programme.indices, np.int32)
    model.a_matrix_.value_ = np.array(programme.values)
    return model


def _result(solver: Any, *, is_integer: bool) -> Run:
    import highspy

    status, found = solver.getModelStatus(), solver.getInfo()
    states = highspy.HighsModelStatus
    version = solver.version()
    nodes = max(0, int(found.mip_node_count))
    if status == states.kInfeasible:
        return Run(False, True, (), INF, INF, nodes, False, version)
    limited = (states.kTimeLimit, states.kSolutionLimit, states.kIterationLimit)
    if status != states.kOptimal and status not in limited:
        raise PlacementError(
            f"HiGHS {version} ended with {solver.modelStatusToString(status)!r}, which is neither a plan nor a proof; "
            "report this with the output of `pip show highspy`"
        )
    has_values = found.primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible)
    values = tuple(solver.getSolution().col_value) if has_values else ()
    objective = float(found.objective_function_value) if has_values else INF
    is_proved = status == states.kOptimal and has_values
    bound = float(found.mip_dual_bound) if is_integer else (objective if is_proved else -INF)
    return Run(has_values or None, is_proved, values, objective, bound, nodes, status == states.kTimeLimit, version)


def _require_ok(status: Any, what: str) -> None:
    import highspy

    if status == highspy.HighsStatus.kError:
        raise PlacementError(f"HiGHS rejects {what}; report this with the output of `pip show highspy`")
