"""The facts on a model's card, as plain values; `card.py` tells them, whoever holds them fills them in."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Data:
    """The rows behind a model.

    Attributes:
        fleet: its name.
        simulated: whether the rows were made by a simulator, not measured.
        first_day: ISO day of the first rows.
        last_day: ISO day of the last rows.
        history_engines: run to failure, to learn from.
        live_engines: still running, to predict.
        rows: validated rows.
        set_aside: rows in quarantine.
        source: who made the data and what is to be cited.
        licence: under which it may be used.
    """

    fleet: str
    simulated: bool
    first_day: str
    last_day: str
    history_engines: int
    live_engines: int
    rows: int
    set_aside: int
    source: str
    licence: str


@dataclass(frozen=True)
class Protocol:
    """How it was learnt and judged.

    Attributes:
        labels: what is predicted, in words.
        folds: of the cross-validation over whole engines.
        held_out_share: share of the history engines that no fit sees, 0 to 1.
        seed: of everything drawn.
        metrics: the measures and why these, one sentence each.
    """

    labels: str
    folds: int
    held_out_share: float
    seed: int
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """A model that could have been chosen.

    Attributes:
        name: family or blend.
        rmse_out_of_fold_cycles: of the cross-validation, None where it was not measured.
        chosen: whether it became the model.
        why: why it was chosen or was not.
    """

    name: str
    rmse_out_of_fold_cycles: float | None
    chosen: bool
    why: str


@dataclass(frozen=True)
class Slice:
    """Errors over one part of the evaluation set.

    Attributes:
        cut: what is compared: all, region, origin.
        value: which region or origin.
        engines: in it.
        rows: in it.
        rmse_cycles: by predictor, the model first, then its yardsticks; truth capped.
        score: PHM08 score by predictor.
    """

    cut: str
    value: str
    engines: int
    rows: int
    rmse_cycles: Mapping[str, float]
    score: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Coverage:
    """How many intervals held the truth.

    Attributes:
        where: which predictions: out of fold, live, a region.
        covered: intervals that hold the truth.
        n: intervals.
        least: fewest that chance leaves honest intervals, 95 times in 100.
        most: most likewise.
    """

    where: str
    covered: int
    n: int
    least: int
    most: int


@dataclass(frozen=True)
class Intervals:
    """What the intervals promise and keep.

    Attributes:
        level: promised share of truths, 0 to 1.
        method: how they are made, in a sentence with its source.
        coverage: measured, one a group of predictions.
    """

    level: float
    method: str
    coverage: tuple[Coverage, ...]


@dataclass(frozen=True)
class Artefact:
    """One form of the model that could be served.

    Attributes:
        name: `trees FP32`.
        rmse_cycles: out of fold; of an INT8 form that of its source, grown by as much as its error grew.
        bytes: of its file.
        p50_ms: median time of one answer.
        verdict: `served`, `lost`, `refused`.
        why: why it won, lost or was refused.
    """

    name: str
    rmse_cycles: float
    bytes: int
    p50_ms: float
    verdict: str
    why: str


@dataclass(frozen=True)
class Experiment:
    """A challenger from outside the candidates, and whether it may ever be promoted.

    Attributes:
        name: its family.
        place: where it was made: its region, with the hardware where that is told.
        rmse_cycles: on the same questions; None where it did not come so far.
        verdict: what was concluded.
        why: the reason.
    """

    name: str
    place: str
    rmse_cycles: float | None
    verdict: str
    why: str


@dataclass(frozen=True)
class Versions:
    """What names the model for good.

    Attributes:
        version: in the registry.
        sha256: of the served file.
        code: version of the code.
        tables: version of each table it was made from.
        made_at: instant of the card, ISO, UTC.
        origin: commit, state of the tree and author of the code that made it, by these words; empty where unknown.
    """

    version: str
    sha256: str
    code: str
    tables: Mapping[str, str]
    made_at: str
    origin: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What the gate said.

    Attributes:
        promoted: whether this version had the alias `champion` when the card was made; an alias may move since.
        reason: one sentence.
    """

    promoted: bool
    reason: str


@dataclass(frozen=True)
class ModelCard:
    """All that a card says.

    Attributes:
        name: of the model in the registry.
        application: what it belongs to.
        family: kind of model, in words.
        intended_use: who uses it for what.
        out_of_scope: what it must not be used for.
        factors: what the errors may depend on, and which of it is measured.
        data: what it was made from.
        protocol: how.
        candidates: what could have been chosen.
        slices: errors by part of the evaluation set.
        intervals: None where the model gives none.
        artefacts: forms that could be served; none where quantization has not run.
        experiments: challengers from outside the candidates.
        considerations: people, harm and how it is kept small.
        limits: where it ends.
        versions: what names it.
        decision: what the gate said; None before it was asked.
        reproduce: the command that makes it again.
    """

    name: str
    application: str
    family: str
    intended_use: tuple[str, ...]
    out_of_scope: tuple[str, ...]
    factors: tuple[str, ...]
    data: Data
    protocol: Protocol
    candidates: tuple[Candidate, ...]
    slices: tuple[Slice, ...]
    intervals: Intervals | None
    artefacts: tuple[Artefact, ...]
    experiments: tuple[Experiment, ...]
    considerations: tuple[str, ...]
    limits: tuple[str, ...]
    versions: Versions
    decision: Decision | None
    reproduce: str
