"""`sinet predict --similar`: the past failures that are most similar to each unit, beside its prediction."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinet_pipelines.errors import UsageError
from sinet_pipelines.escaping import for_terminal
from sinet_pipelines.inventory.regions import this_inventory

if TYPE_CHECKING:
    from sinet_pipelines.applications.application import Application


def similar_to(home: Path, application: "Application", units: Iterable[str]) -> list[dict[str, Any]]:
    """For each unit, its most similar past failures in the JSON form; notes are printed on stderr, each once.

    A unit without a window to search with has none, and the reason is a note.

    Raises:
        UsageError: the application declares no past failures.
        StorageError: a table of the windows is damaged.
    """
    from sinet_pipelines.notebook.similar import FailureSearch

    search = FailureSearch(home, application, this_inventory().names)
    notes: dict[str, None] = {}
    answer: list[dict[str, Any]] = []
    for unit in units:
        try:
            found = search.similar_to(unit)
        except UsageError as error:
            notes[str(error)] = None
            answer.append({"unit": unit, "region": None, "cycle": None, "failures": []})
            continue
        notes |= dict.fromkeys(found.notes)
        failures = found.rows.to_dicts()
        answer.append({"unit": unit, "region": found.region, "cycle": found.cycle, "failures": failures})
    for note in notes:
        print(for_terminal(f"sinet: {note}"), file=sys.stderr)
    return answer


def print_similar(answer: Sequence[Mapping[str, Any]], *, noun: str) -> None:
    """Prints a table for each unit: past failure, region, cycles to its failure at the similar window, distance."""
    from rich.table import Table

    from sinet_pipelines.cli.terminal import Terminal

    for one in answer:
        if not one["failures"]:
            continue  # a note has the reason
        title = f"past failures most similar to {one['unit']} at cycle {one['cycle']}"
        table = Table(noun, "region", "cycles to failure", "distance", title=title)
        for row in one["failures"]:
            table.add_row(row["unit"], row["region"], str(row["cycles_to_failure"]), f"{row['distance']:.2f}")
        Terminal().print(table)
