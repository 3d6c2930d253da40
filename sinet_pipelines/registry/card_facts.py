"""The facts of a model card as plain values; `card.py` renders them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Terms:
    """The terms and the metric of the application, as its card uses them.

    Attributes:
        groups: the word for several groups: `engines`.
        group: for one of them: `engine`.
        history: kind of the training groups: `run to failure`.
        live: kind of the groups to predict: `live`.
        metric: of candidates and slices: `RMSE`.
        unit: of the metric; empty for a pure number.
        digits: of the metric.
        best: the word for a better value: `less`.
        second: of a second measure by slice; empty where there is none.
    """

    groups: str
    group: str
    history: str
    live: str
    metric: str
    unit: str = ""
    digits: int = 2
    best: str = "less"
    second: str = ""

    @property
    def metric_with_unit(self) -> str:
        """`RMSE in cycles`."""
        return f"{self.metric} in {self.unit}" if self.unit else self.metric

    def column(self, where: str = "") -> str:
        """Heading of a column of the metric: `RMSE out of fold (cycles)`."""
        title = f"{self.metric} {where}".strip()
        return f"{title} ({self.unit})" if self.unit else title

    def text(self, value: float | None) -> str:
        """The value with its digits, or that it was not measured."""
        return "not measured" if value is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Data:
    """The data of a model.

    Attributes:
        fleet: its name.
        simulated: whether the rows were made by a simulator, not measured.
        first_day: ISO day of the first rows.
        last_day: ISO day of the last rows.
        history_groups: number of groups for training.
        live_groups: number of groups to predict.
        rows: validated rows.
        set_aside: rows in quarantine.
        source: the author of the data and the citation.
        licence: of the data.
    """

    fleet: str
    simulated: bool
    first_day: str
    last_day: str
    history_groups: int
    live_groups: int
    rows: int
    set_aside: int
    source: str
    licence: str


@dataclass(frozen=True)
class Protocol:
    """How the model was trained and evaluated.

    Attributes:
        labels: what is predicted, as text.
        folds: of the cross-validation over whole groups.
        held_out_share: share of the training groups that are in no fit, 0 to 1.
        seed: of everything drawn.
        metrics: the measures and the reasons for them, one sentence each.
    """

    labels: str
    folds: int
    held_out_share: float
    seed: int
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """A model that was compared with others.

    Attributes:
        name: family or blend.
        score_out_of_fold: the metric of the cross-validation, None where it was not measured.
        chosen: whether it became the model.
        why: why it was chosen or was not.
    """

    name: str
    score_out_of_fold: float | None
    chosen: bool
    why: str


@dataclass(frozen=True)
class Slice:
    """Errors over one part of the evaluation set.

    Attributes:
        cut: the column of the parts: all, region, origin.
        value: the region or origin.
        groups: number of groups.
        rows: number of rows.
        score: the metric by predictor, the model first, then its baselines.
        second: the second measure by predictor.
    """

    cut: str
    value: str
    groups: int
    rows: int
    score: Mapping[str, float]
    second: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Coverage:
    """How many intervals contained the truth.

    Attributes:
        where: which predictions: out of fold, live, a region.
        covered: number of intervals that contain the truth.
        n: number of intervals.
        least: smallest number that chance allows for valid intervals, 95 times in 100.
        most: largest number likewise.
    """

    where: str
    covered: int
    n: int
    least: int
    most: int


@dataclass(frozen=True)
class Intervals:
    """Nominal and measured coverage of the intervals.

    Attributes:
        level: nominal share of truths inside, 0 to 1.
        method: how they are made, in a sentence with its source.
        coverage: measured, one for each group of predictions.
    """

    level: float
    method: str
    coverage: tuple[Coverage, ...]


@dataclass(frozen=True)
class Artefact:
    """One form of the model that could be served.

    Attributes:
        name: `trees FP32`.
        score: the metric out of fold; of an INT8 form that of its source, worse by as much as its error grew.
        bytes: size of its file.
        p50_ms: median time of one prediction.
        verdict: `served`, `lost`, `refused`.
        why: why it was chosen, lost or was rejected.
    """

    name: str
    score: float
    bytes: int
    p50_ms: float
    verdict: str
    why: str


@dataclass(frozen=True)
class Experiment:
    """A challenger that is not a candidate, and whether it may be promoted.

    Attributes:
        name: its family.
        place: its region, with the hardware if known.
        score: the metric on the same rows; None where it was not measured.
        verdict: the conclusion.
        why: the reason.
    """

    name: str
    place: str
    score: float | None
    verdict: str
    why: str


@dataclass(frozen=True)
class Versions:
    """Identifies the model: versions and hashes.

    Attributes:
        version: in the registry.
        sha256: of the served file.
        code: version of the code.
        tables: version of each table it was made from.
        made_at: time of the card, ISO, UTC.
        origin: commit, state of the tree and author of the code that made it, by these names; empty where unknown.
    """

    version: str
    sha256: str
    code: str
    tables: Mapping[str, str]
    made_at: str
    origin: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """The decision of the gate.

    Attributes:
        promoted: whether this version had the alias `champion` when the card was made; an alias may move since.
        reason: one sentence.
    """

    promoted: bool
    reason: str


@dataclass(frozen=True)
class ModelCard:
    """All facts of a card.

    Attributes:
        name: of the model in the registry.
        application: the application of the model.
        family: kind of model, as text.
        terms: terms and metric of the application.
        intended_use: who uses it for what.
        out_of_scope: what it must not be used for.
        factors: what the errors may depend on, and which of these are measured.
        data: what it was made from.
        protocol: how it was trained and evaluated.
        candidates: the models that were compared.
        slices: errors by part of the evaluation set.
        intervals: None where the model has none.
        artefacts: forms that could be served; none where quantization has not run.
        experiments: challengers that are not candidates.
        considerations: people, harm and how it is limited.
        limits: limits of its use.
        versions: its versions and hashes.
        decision: the gate's decision; None before it.
        reproduce: the command that makes it again.
    """

    name: str
    application: str
    family: str
    terms: Terms
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
