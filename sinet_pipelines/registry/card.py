"""Renders a model card from facts: intended use, data, figures and limits of a model.

Its sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting" (FAT*): details, intended use,
factors, metrics, evaluation and training data, quantitative analyses, ethical considerations, caveats. Candidates,
intervals, quantization, experiments, service and reproduction are further sections. Missing facts are marked.
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
from sinet_pipelines.registry.card_facts import Coverage, ModelCard, Slice, Terms

#: Section and caption of each picture by its name; other pictures are appended to the quantitative analyses.
CAPTIONS: Mapping[str, tuple[str, str]] = {
    "learning_curves": ("Candidates", "Learning curves: error by epoch, with the chosen epoch"),
    "predicted_against_true": ("Quantitative analyses", "Predicted against true values, with intervals"),
    "error_against_truth": ("Quantitative analyses", "Error against true values; above zero is too large"),
    "calibration": ("Intervals", "Nominal against measured coverage"),
    "coverage_by_predicted": ("Intervals", "Coverage by predicted value"),
    "pareto": ("Quantization", "Error against size and latency"),
    "rul_by_region": ("In service", "Predictions by region"),
    "drift_by_day": ("In service", "Input drift by day"),
}
OTHER_PICTURES = "Quantitative analyses"


def card_markdown(card: ModelCard) -> Markdown:
    """The card as markdown, without pictures, for Dagster's UI and the registry."""
    return to_markdown(_title(card), _sections(card, {}))


def card_html(card: ModelCard, pictures: Mapping[str, bytes] | None = None) -> str:
    """The card as one self-contained HTML file.

    Args:
        card: the facts.
        pictures: PNG bytes by name; those named in `CAPTIONS` go to their section, others to the quantitative analyses.
    """
    description = f"{card.application}, version {card.versions.version}, {card.versions.made_at}"
    return to_html(_title(card), _sections(card, pictures or {}), subtitle=description)


def _title(card: ModelCard) -> str:
    return f"Model card: {card.name}"


def _sections(card: ModelCard, pictures: Mapping[str, bytes]) -> list[Section]:
    by_title: dict[str, list[Block]] = {
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
        "Reproduction": [Command(card.reproduce)],
    }
    for name, png in pictures.items():
        section, caption = CAPTIONS.get(name, (OTHER_PICTURES, name.replace("_", " ")))
        by_title[section].append(Picture(png, caption))
    return [Section(title, tuple(blocks)) for title, blocks in by_title.items() if blocks]


def _glance(card: ModelCard) -> list[Block]:
    blocks: list[Block] = []
    if card.decision is None:
        blocks.append(Words("The gate has not decided yet.", emphasis=True))
    else:
        word = "Promoted" if card.decision.promoted else "Not promoted"
        blocks.append(Words(f"{word}: {card.decision.reason}", emphasis=True, good=card.decision.promoted))
        blocks.append(Words("This was so when the card was made; `sinet status` shows the version that serves now."))
    if card.data.simulated:
        blocks.append(
            Words(
                f"Simulated: no row is of a real {card.terms.group}, and no figure here holds for one.",
                emphasis=True,
            )
        )
    return [*blocks, Figures(_key_figures(card))]


def _key_figures(card: ModelCard) -> dict[str, str]:
    figures = {}
    if card.slices:
        scores, terms = card.slices[0].score.items(), card.terms
        figures.update({f"{terms.metric}, {name}": f"{terms.text(one)} {terms.unit}".strip() for name, one in scores})
    if card.intervals and card.intervals.coverage:
        first = card.intervals.coverage[0]
        figures[f"{card.intervals.level:.0%} intervals, {first.where}"] = _share(first)
    served = next((one for one in card.artefacts if one.verdict == "served"), None)
    if served:
        figures["served size"] = _size(served.bytes)
        figures["served p50"] = f"{served.p50_ms:.3g} ms"
    return {
        **figures,
        f"{card.terms.groups} {card.terms.history}": f"{card.data.history_groups:,}",
        "rows": f"{card.data.rows:,}",
    }


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
    data, protocol, terms = card.data, card.protocol, card.terms
    rows = {
        "fleet": f"{data.fleet} ({'simulated' if data.simulated else 'delivered'})",
        "days": f"{data.first_day} to {data.last_day}",
        terms.groups: f"{data.history_groups:,} {terms.history}, {data.live_groups:,} {terms.live}",
        "rows": f"{data.rows:,} validated, {data.set_aside:,} set aside",
        "labels": protocol.labels,
        "split": f"{protocol.held_out_share:.0%} of the history {terms.groups} are held out of every fit; "
        f"{protocol.folds} folds over whole {terms.groups} among the others; seed {protocol.seed}",
        "source": data.source,
        "licence": data.licence,
    }
    return [Facts(rows)]


def _candidates(card: ModelCard) -> list[Block]:
    if not card.candidates:
        return [Words("No candidates were compared.")]
    rows = tuple(
        (one.name, card.terms.text(one.score_out_of_fold), "chosen" if one.chosen else "not chosen", one.why)
        for one in card.candidates
    )
    marked = frozenset(place for place, one in enumerate(card.candidates) if one.chosen)
    return [Table(("candidate", card.terms.column("out of fold"), "decision", "why"), rows, frozenset({1}), marked)]


def _slices(card: ModelCard) -> list[Block]:
    if not card.slices:
        return [Words("Not evaluated yet.")]
    terms = card.terms
    blocks: list[Block] = [
        Words(f"{terms.metric_with_unit}, the model beside its baselines; {terms.better} is better."),
        _by_slice([(one, one.score) for one in card.slices], terms, figure=f"{{:.{terms.digits}f}}"),
    ]
    if scored := [(one, one.second) for one in card.slices if one.second]:
        blocks += [
            Words(f"{terms.second} of these slices; less is better."),
            _by_slice(scored, terms, figure="{:,.0f}"),
        ]
    return blocks


def _by_slice(errors: Sequence[tuple[Slice, Mapping[str, float]]], terms: Terms, *, figure: str) -> Table:
    """A table with a row for each slice and a column for each predictor, in the order of their first occurrence."""
    predictors = list(dict.fromkeys(name for _, by_name in errors for name in by_name))
    rows = tuple(
        (
            one.value if one.cut == one.value else f"{one.cut}: {one.value}",
            f"{one.groups:,}",
            f"{one.rows:,}",
            *(figure.format(by_name[name]) if name in by_name else "not measured" for name in predictors),
        )
        for one, by_name in errors
    )
    return Table(("slice", terms.groups, "rows", *predictors), rows, frozenset(range(1, 3 + len(predictors))))


def _intervals(card: ModelCard) -> list[Block]:
    if card.intervals is None:
        return [Words("The model has no intervals.")]
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
        Table(("predictions", "covered", "share", "chance allows (95 %)", "within"), rows, frozenset({1, 2, 3})),
    ]


def _artefacts(card: ModelCard) -> list[Block]:
    if not card.artefacts:
        return [Words("No model was quantized yet.")]
    rows = tuple(
        (one.name, card.terms.text(one.score), _size(one.bytes), f"{one.p50_ms:.3g}", one.verdict, one.why)
        for one in card.artefacts
    )
    marked = frozenset(place for place, one in enumerate(card.artefacts) if one.verdict == "served")
    head = ("artefact", card.terms.column("out of fold"), "size", "p50 (ms)", "verdict", "why")
    return [Table(head, rows, frozenset({1, 2, 3}), marked)]


def _experiments(card: ModelCard) -> list[Block]:
    if not card.experiments:
        return [Words("There are no experiments.")]
    rows = tuple((one.name, one.place, card.terms.text(one.score), one.verdict, one.why) for one in card.experiments)
    return [Table(("challenger", "where", card.terms.column(), "verdict", "why"), rows, frozenset({2}))]


def _share(one: Coverage) -> str:
    return f"{100 * one.covered / one.n:.1f} %" if one.n else "no truth yet"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
