"""The quantization stage of an application with several candidates: graphs that agree with their sources, and a choice.

A graph that does not predict what its source predicts is refused. Of the others one is served.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.framework.registry import CHOICE, graph_ref
from assets.framework.reports import made
from resources.markdown import shown
from sinet_pipelines.markdown import Markdown, points, table
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.fingerprint import fingerprint

if TYPE_CHECKING:
    from sinet_pipelines.quantization.agreement import Agreement
    from sinet_pipelines.quantization.limits import Competition, Entrant

AGREEMENT = "graphs_agree_with_their_sources"


def keep_graphs(
    context: dg.AssetExecutionContext,
    blobs: BlobStore,
    graphs: Mapping[str, bytes],
    found: "Mapping[tuple[str, str], Agreement]",
    *,
    agreed: str,
    rows: Mapping[str, int],
    differences: Mapping[str, float],
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """Reports the agreement of all graphs, and stores them if each agrees with its source.

    Args:
        context: of the step.
        blobs: of the region of graphs.
        graphs: of each candidate, by name.
        found: the agreement by graph and output.
        agreed: the summary where all agree, as a sentence.
        rows: number of compared rows, by the word for them.
        differences: the largest difference of each graph, by the name of the entry.

    Raises:
        DisagreementError: a graph does not agree; none is stored.
    """
    refused = [f"{name}, {output}: {one.reason}" for (name, output), one in found.items() if not one.passed]
    summary = "; ".join(refused) or agreed
    rounded = {name: float(f"{value:.2g}") for name, value in differences.items()}
    yield dg.AssetCheckResult(
        passed=not refused, check_name=AGREEMENT, description=summary, metadata={**rows, **rounded}
    )
    for one in found.values():
        one.require()
    kept = {name: blobs.put(graph) for name, graph in graphs.items()}
    for name, blob in kept.items():
        blobs.point(graph_ref(name), blob)
    yield made(
        context,
        fingerprint(*kept.values()),
        entries={
            "agreement": summary,
            **{f"{name}_bytes": len(graph) for name, graph in graphs.items()},
            "sha256": shown(points(f"{name}: {blob}" for name, blob in kept.items())),
        },
    )


@dataclass(frozen=True)
class GraphChoice:
    """The graph to serve, and why.

    Attributes:
        competition: the result of every graph.
        rows: one for each graph: name, score, costs, reason, and whether it was chosen.
        score: name of the score in the rows.
    """

    competition: "Competition"
    rows: list[dict[str, Any]]
    score: str

    @property
    def decision(self) -> str:
        """The chosen graph with the reason."""
        return f"{self.competition.chosen}: {self.competition.reasons[self.competition.chosen]}"

    @property
    def reasons(self) -> Markdown:
        """The result of each graph as a list."""
        return points(f"{row['name']}: {row['reason']}" for row in self.rows)

    def costs(self, *, heading: str, digits: int) -> Markdown:
        """Score, size and time of each graph as a table.

        Args:
            heading: of the score.
            digits: of the score.
        """
        listed = (
            (row["name"], f"{row[self.score]:.{digits}f}", f"{row['n_bytes'] / 1000:.0f}", f"{row['p50_us']:.0f}")
            for row in self.rows
        )
        return table(("graph", heading, "kB", "p50 us"), listed, numeric=(1, 2, 3))

    def version(self, blobs: BlobStore, names: Iterable[str]) -> str:
        """The version of the choice: of the chosen name and the content of all graphs."""
        return fingerprint(self.competition.chosen, *(blobs.resolve(graph_ref(name)) for name in names))


def choose_graph(blobs: BlobStore, entrants: "Sequence[Entrant]", *, score: str) -> GraphChoice:
    """Chooses the graph to serve, and stores the choice for the stage of the registry and the model card.

    Args:
        blobs: of the region of graphs.
        entrants: the graphs.
        score: name of their score in the stored rows, with its unit.
    """
    from sinet_pipelines.quantization.limits import compete

    competition = compete(entrants)
    rows = [
        {"name": one.name, score: one.score, **asdict(one.footprint)}
        | {"reason": competition.reasons[one.name], "chosen": one.name == competition.chosen}
        for one in entrants
    ]
    blobs.point(CHOICE, blobs.put(json.dumps(rows, sort_keys=True).encode()))
    return GraphChoice(competition, rows, score)
