"""A model's card: what it is for, what it was made from, how good it is and where it ends; facts in, text out.

Its sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting" (FAT*): details, intended use, factors,
metrics, evaluation and training data, quantitative analyses, ethical considerations, caveats. Quantization, experiments
and how to make the model again stand beside them. Who gathers the facts is not known here; what is not known yet is said
to be so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sinet_pipelines.pictures.page import (
    Block,
    Command,
    Facts,
    Figures,
    Picture,
    Points,
    Section,
    Table,
    Words,
    to_html,
    to_markdown,
)


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
        rmse_cycles: on the evaluation set.
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
    """A challenger that may not be promoted.

    Attributes:
        name: what it is.
        place: region and hardware, with whether that is simulated.
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
    """

    version: str
    sha256: str
    code: str
    tables: Mapping[str, str]
    made_at: str


@dataclass(frozen=True)
class Decision:
    """What the gate said.

    Attributes:
        promoted: whether this version serves.
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
        experiments: challengers that may not be promoted.
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


#: Where pictures go, by the name they are given under; any other goes to the end of the analyses.
CAPTIONS: Mapping[str, tuple[str, str]] = {
    "learning_curves": ("Candidates", "Learning curves: error by epoch, with the chosen one"),
    "predicted_against_true": ("Quantitative analyses", "Predicted against true RUL, with intervals"),
    "error_against_truth": ("Quantitative analyses", "Error against true RUL; above zero is too late"),
    "calibration": ("Intervals", "Promised against measured coverage"),
    "coverage_by_predicted": ("Intervals", "Coverage by predicted RUL"),
    "pareto": ("Quantization", "Error against size and latency"),
    "rul_by_region": ("In service", "Remaining life of the fleet by region"),
    "drift_by_day": ("In service", "Input drift by day"),
}
OTHER_PICTURES = "Quantitative analyses"


def card_markdown(card: ModelCard) -> str:
    """The card as markdown, as a page of Dagster or the registry shows it; without pictures."""
    return to_markdown(_title(card), _sections(card, {}))


def card_html(card: ModelCard, pictures: Mapping[str, bytes] | None = None) -> str:
    """The card as one HTML file that needs nothing beside it.

    Args:
        card: the facts.
        pictures: PNG by name; those of `CAPTIONS` go to their section, others to the end of the analyses.
    """
    said = f"{card.application}, version {card.versions.version}, {card.versions.made_at}"
    return to_html(_title(card), _sections(card, pictures or {}), subtitle=said)


def _title(card: ModelCard) -> str:
    return f"Model card: {card.name}"


def _sections(card: ModelCard, pictures: Mapping[str, bytes]) -> list[Section]:
    told: dict[str, list[Block]] = {
        "At a glance": _glance(card),
        "Model details": _details(card),
        "Intended use": [Points(card.intended_use), Words("Not for:"), Points(card.out_of_scope)],
        "Factors": [Points(card.factors)],
        "Metrics": [Points(card.protocol.metrics)],
        "Training and evaluation data": _data(card),
        "Candidates": _candidates(card),
        "Quantitative analyses": _slices(card),
        "Intervals": _intervals(card),
        "Quantization": _artefacts(card),
        "Experiments": _experiments(card),
        "In service": [],
        "Ethical considerations": [Points(card.considerations)],
        "Limits and recommendations": [Points(card.limits)],
        "Made again": [Command(card.reproduce)],
    }
    for name, png in pictures.items():
        section, caption = CAPTIONS.get(name, (OTHER_PICTURES, name.replace("_", " ")))
        told[section].append(Picture(png, caption))
    return [Section(title, tuple(blocks)) for title, blocks in told.items() if blocks]


def _glance(card: ModelCard) -> list[Block]:
    blocks: list[Block] = []
    if card.decision is None:
        blocks.append(Words("The gate was not asked yet.", emphasis=True))
    else:
        word = "Serves" if card.decision.promoted else "Does not serve"
        blocks.append(Words(f"{word}: {card.decision.reason}", emphasis=True, good=card.decision.promoted))
    if card.data.simulated:
        blocks.append(Words("Simulated: no row is of a real engine, and no figure here holds for one.", emphasis=True))
    return [*blocks, Figures(_key_figures(card))]


def _key_figures(card: ModelCard) -> dict[str, str]:
    figures = {}
    if card.slices:
        errors = card.slices[0].rmse_cycles.items()
        figures.update({f"RMSE, {name}": f"{error:.2f} cycles" for name, error in errors})
    if card.intervals and card.intervals.coverage:
        first = card.intervals.coverage[0]
        figures[f"{card.intervals.level:.0%} intervals, {first.where}"] = _share(first)
    served = next((one for one in card.artefacts if one.verdict == "served"), None)
    if served:
        figures["served size"] = _size(served.bytes)
        figures["served p50"] = f"{served.p50_ms:.3g} ms"
    return {**figures, "engines learnt from": f"{card.data.history_engines:,}", "rows": f"{card.data.rows:,}"}


def _details(card: ModelCard) -> list[Block]:
    made_from = {f"table {name}": version for name, version in card.versions.tables.items()}
    return [
        Facts(
            {
                "kind": card.family,
                "version": card.versions.version,
                "SHA-256": card.versions.sha256,
                "code": card.versions.code,
                **made_from,
            }
        )
    ]


def _data(card: ModelCard) -> list[Block]:
    data, protocol = card.data, card.protocol
    said = {
        "fleet": f"{data.fleet} ({'simulated' if data.simulated else 'delivered'})",
        "days": f"{data.first_day} to {data.last_day}",
        "engines": f"{data.history_engines:,} run to failure, {data.live_engines:,} live",
        "rows": f"{data.rows:,} validated, {data.set_aside:,} set aside",
        "labels": protocol.labels,
        "split": f"{protocol.held_out_share:.0%} of the history engines are in no fit; {protocol.folds} folds over whole "
        f"engines among the others; seed {protocol.seed}",
        "source": data.source,
        "licence": data.licence,
    }
    return [Facts(said)]


def _candidates(card: ModelCard) -> list[Block]:
    if not card.candidates:
        return [Words("None was compared.")]
    rows = tuple(
        (one.name, _cycles(one.rmse_out_of_fold_cycles), "chosen" if one.chosen else "", one.why)
        for one in card.candidates
    )
    marked = frozenset(place for place, one in enumerate(card.candidates) if one.chosen)
    return [Table(("candidate", "RMSE out of fold", "", "why"), rows, frozenset({1}), marked)]


def _slices(card: ModelCard) -> list[Block]:
    if not card.slices:
        return [Words("Not evaluated yet.")]
    predictors = list(dict.fromkeys(name for one in card.slices for name in one.rmse_cycles))
    scores = list(dict.fromkeys(name for one in card.slices for name in one.score))
    rows = tuple(
        (
            one.value if one.cut == one.value else f"{one.cut}: {one.value}",
            f"{one.engines:,}",
            f"{one.rows:,}",
            *(_cycles(one.rmse_cycles.get(name)) for name in predictors),
            *(_points(one.score.get(name)) for name in scores),
        )
        for one in card.slices
    )
    head = (*(f"RMSE {name}" for name in predictors), *(f"score {name}" for name in scores))
    numeric = frozenset(range(1, 3 + len(head)))
    return [
        Words("RMSE in cycles and PHM08 score (both: less is better), the model beside its yardsticks."),
        Table(("slice", "engines", "rows", *head), rows, numeric),
    ]


def _intervals(card: ModelCard) -> list[Block]:
    if card.intervals is None:
        return [Words("The model gives no intervals.")]
    rows = tuple(
        (
            one.where,
            f"{one.covered} of {one.n}",
            _share(one),
            f"{one.least} to {one.most}",
            "yes" if one.least <= one.covered <= one.most else "no",
        )
        for one in card.intervals.coverage
    )
    return [
        Words(f"{card.intervals.level:.0%} intervals: {card.intervals.method}"),
        Table(("predictions", "covered", "share", "chance allows (95 %)", "kept"), rows, frozenset({1, 2, 3})),
    ]


def _artefacts(card: ModelCard) -> list[Block]:
    if not card.artefacts:
        return [Words("Nothing was quantized yet.")]
    rows = tuple(
        (one.name, f"{one.rmse_cycles:.2f}", _size(one.bytes), f"{one.p50_ms:.3g}", one.verdict, one.why)
        for one in card.artefacts
    )
    marked = frozenset(place for place, one in enumerate(card.artefacts) if one.verdict == "served")
    head = ("artefact", "RMSE (cycles)", "size", "p50 (ms)", "verdict", "why")
    return [Table(head, rows, frozenset({1, 2, 3}), marked)]


def _experiments(card: ModelCard) -> list[Block]:
    if not card.experiments:
        return [Words("None is running.")]
    rows = tuple((one.name, one.place, _cycles(one.rmse_cycles), one.verdict, one.why) for one in card.experiments)
    return [Table(("challenger", "where", "RMSE (cycles)", "verdict", "why"), rows, frozenset({2}))]


def _cycles(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"


def _points(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.0f}"


def _share(one: Coverage) -> str:
    return f"{100 * one.covered / one.n:.1f} %" if one.n else "no truth yet"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
