"""The facts of a model card as plain values; `card.py` renders them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Terms:
    """The application's terms and metric on its card.

    Attributes:
        groups: the word for several groups: `engines`.
        group: the word for one group: `engine`.
        history: the word for the training groups: `run to failure`.
        live: the word for the groups to predict: `live`.
        metric: name of the metric of candidates and slices: `RMSE`.
        unit: unit of the metric; empty for a pure number.
        digits: number of decimals of the metric.
        better: the word for a better value: `less` or `more`.
        second: name of a second measure by slice, of which less is better; empty where there is none.
    """

    groups: str
    group: str
    history: str
    live: str
    metric: str
    unit: str = ""
    digits: int = 2
    better: str = "less"
    second: str = ""

    @property
    def metric_with_unit(self) -> str:
        """`RMSE in cycles`."""
        return f"{self.metric} in {self.unit}" if self.unit else self.metric

    def column(self, where: str = "") -> str:
        """Heading of a column with the metric: `RMSE out of fold (cycles)`.

        Args:
            where: the rows of the figures: `out of fold`; empty for none.
        """
        title = f"{self.metric} {where}".strip()
        return f"{title} ({self.unit})" if self.unit else title

    def text(self, value: float | None) -> str:
        """The value with its digits; `not measured` for None."""
        return "not measured" if value is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Data:
    """The data of a model.

    Attributes:
        fleet: name of the data.
        simulated: whether the rows were made by a simulator, not measured.
        first_day: ISO day of the first rows.
        last_day: ISO day of the last rows.
        history_groups: number of groups for training.
        live_groups: number of groups to predict.
        rows: validated rows.
        set_aside: rows in quarantine.
        source: author and citation of the data.
        licence: licence of the data.
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
        labels: the predicted quantity, as text.
        folds: number of folds of the cross-validation over whole groups.
        held_out_share: share of the training groups that no fit uses, 0 to 1.
        seed: seed of all random numbers.
        metrics: one sentence for each measure, with its reason.
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
        name: name of its family.
        score_out_of_fold: the out-of-fold metric; None where it was not measured.
        chosen: whether it became the model.
        why: why it was chosen or not.
    """

    name: str
    score_out_of_fold: float | None
    chosen: bool
    why: str


@dataclass(frozen=True)
class Slice:
    """Errors over one part of the evaluation set.

    Attributes:
        cut: the column that divides the rows (`region`, `origin`), or `all`.
        value: the value of that column, or `all`.
        groups: number of groups.
        rows: number of rows.
        score: the metric by predictor, the model first, then its baselines.
        second: the second measure by predictor; empty where there is none.
    """

    cut: str
    value: str
    groups: int
    rows: int
    score: Mapping[str, float]
    second: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Coverage:
    """The measured coverage of a set of intervals.

    Attributes:
        where: the set: out of fold, live, a region.
        covered: number of intervals that contain the truth.
        n: number of intervals.
        least: lower end of the two-sided 95 % binomial band of `covered` for valid intervals.
        most: upper end of that band.
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
        level: nominal coverage, 0 to 1.
        method: how they are computed, in one sentence with its source.
        coverage: the measured coverage of each set of predictions.
    """

    level: float
    method: str
    coverage: tuple[Coverage, ...]


@dataclass(frozen=True)
class Artefact:
    """One form of the model that could be served.

    Attributes:
        name: `trees FP32`.
        score: the out-of-fold metric; for an INT8 form that of its source, changed by the growth of its error.
        bytes: size of its file in bytes.
        p50_ms: median time of one prediction in ms.
        verdict: `served`, `lost` (another form is better) or `refused` (it exceeds a limit).
        why: the reason.
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
        verdict: `barred` or `may be promoted`.
        why: the reason.
    """

    name: str
    place: str
    score: float | None
    verdict: str
    why: str


@dataclass(frozen=True)
class Versions:
    """The versions and hashes that identify the model.

    Attributes:
        version: its number in the registry.
        sha256: SHA-256 of the served file.
        code: code version of the asset that made the card.
        tables: version of each table that the model was made from, by the table's name.
        made_at: time at which the card was made, ISO 8601, UTC.
        origin: the code that made the model, as `commit`, `tree` and `author`; empty where unknown.
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
        promoted: whether this version had the alias `champion` when the card was made; the alias may have moved since.
        reason: one sentence.
    """

    promoted: bool
    reason: str


@dataclass(frozen=True)
class ModelCard:
    """All facts of a card.

    Attributes:
        name: name of the model in the registry.
        application: the use case, as text.
        family: kind of model, as text.
        terms: terms and metric of the application.
        intended_use: its users and their purposes.
        out_of_scope: what it must not be used for.
        factors: what the errors may depend on, and which of these are measured.
        data: the data that it was made from.
        protocol: how it was trained and evaluated.
        candidates: the models that were compared.
        slices: errors by part of the evaluation set.
        intervals: its intervals; None where the model has none.
        artefacts: the forms that could be served; empty where quantization has not run.
        experiments: challengers that are not candidates.
        considerations: effects on people, possible harm and its limits.
        limits: limits of its use.
        versions: its versions and hashes.
        decision: the gate's decision; None before it.
        reproduce: the command that reproduces it.
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
