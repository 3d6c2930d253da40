"""A model's card: what it is for, what it was made from, how good it is and where it ends; facts in, text out.

Its sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting" (FAT*): details, intended use,
factors, metrics, evaluation and training data, quantitative analyses, ethical considerations, caveats. Quantization,
experiments and how to make the model again stand beside them. What is not known yet is said to be so.
"""

from collections.abc import Mapping, Sequence

from sinet_pipelines.markdown import Markdown
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
from sinet_pipelines.registry.card_facts import Coverage, ModelCard, Slice

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


def card_markdown(card: ModelCard) -> Markdown:
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
        word = "Promoted" if card.decision.promoted else "Not promoted"
        blocks.append(Words(f"{word}: {card.decision.reason}", emphasis=True, good=card.decision.promoted))
        blocks.append(Words("So when this card was made; an alias may move: `sinet status` shows what serves now."))
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
    return {**figures, "engines run to failure": f"{card.data.history_engines:,}", "rows": f"{card.data.rows:,}"}


def _details(card: ModelCard) -> list[Block]:
    made_from = {f"table {name}": version for name, version in card.versions.tables.items()}
    return [
        Facts(
            {
                "kind": card.family,
                "version": card.versions.version,
                "SHA-256": card.versions.sha256,
                "code": card.versions.code,
                **card.versions.origin,
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
        "split": f"{protocol.held_out_share:.0%} of the history engines are in no fit; {protocol.folds} folds over "
        f"whole engines among the others; seed {protocol.seed}",
        "source": data.source,
        "licence": data.licence,
    }
    return [Facts(said)]


def _candidates(card: ModelCard) -> list[Block]:
    if not card.candidates:
        return [Words("None was compared.")]
    rows = tuple(
        (one.name, _cycles(one.rmse_out_of_fold_cycles), "chosen" if one.chosen else "not chosen", one.why)
        for one in card.candidates
    )
    marked = frozenset(place for place, one in enumerate(card.candidates) if one.chosen)
    return [Table(("candidate", "RMSE out of fold (cycles)", "decision", "why"), rows, frozenset({1}), marked)]


def _slices(card: ModelCard) -> list[Block]:
    if not card.slices:
        return [Words("Not evaluated yet.")]
    blocks: list[Block] = [
        Words("RMSE in cycles, the model beside its yardsticks; less is better."),
        _by_slice([(one, one.rmse_cycles) for one in card.slices], figure="{:.2f}"),
    ]
    if scored := [(one, one.score) for one in card.slices if one.score]:
        blocks += [Words("PHM08 score of the same; less is better."), _by_slice(scored, figure="{:,.0f}")]
    return blocks


def _by_slice(errors: Sequence[tuple[Slice, Mapping[str, float]]], *, figure: str) -> Table:
    """A row a slice, a column a predictor, in the order in which these are first told."""
    predictors = list(dict.fromkeys(name for _, by_name in errors for name in by_name))
    rows = tuple(
        (
            one.value if one.cut == one.value else f"{one.cut}: {one.value}",
            f"{one.engines:,}",
            f"{one.rows:,}",
            *(figure.format(by_name[name]) if name in by_name else "not measured" for name in predictors),
        )
        for one, by_name in errors
    )
    return Table(("slice", "engines", "rows", *predictors), rows, frozenset(range(1, 3 + len(predictors))))


def _intervals(card: ModelCard) -> list[Block]:
    if card.intervals is None:
        return [Words("The model gives no intervals.")]
    rows = tuple(
        (
            one.where,
            f"{one.covered} of {one.n}",
            _share(one),
            f"{one.least} to {one.most}",
            ("yes" if one.least <= one.covered <= one.most else "no") if one.n else "no truth yet",
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
    head = ("artefact", "RMSE out of fold (cycles)", "size", "p50 (ms)", "verdict", "why")
    return [Table(head, rows, frozenset({1, 2, 3}), marked)]


def _experiments(card: ModelCard) -> list[Block]:
    if not card.experiments:
        return [Words("None is running.")]
    rows = tuple((one.name, one.place, _cycles(one.rmse_cycles), one.verdict, one.why) for one in card.experiments)
    return [Table(("challenger", "where", "RMSE (cycles)", "verdict", "why"), rows, frozenset({2}))]


def _cycles(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"


def _share(one: Coverage) -> str:
    return f"{100 * one.covered / one.n:.1f} %" if one.n else "no truth yet"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
