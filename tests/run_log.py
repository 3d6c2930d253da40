"""The log of a run as Dagster's run page queries it: the page's own query, taken from the webserver's bundle."""

import asyncio
import re
from functools import cache
from pathlib import Path

import dagster_webserver

BUNDLE = Path(dagster_webserver.__file__).parent / "webapp" / "build"
QUERY = "RunLogsQuery"
_HEAD = re.compile(r"(?:query|fragment) (\w+)(?:\([^)]*\)| on \w+) \{")


@cache
def run_page_query():
    """The page's query for a run's log with every fragment that it spreads, as the browser sends it."""
    known = {}
    for script in BUNDLE.rglob("*.js"):
        text = script.read_text(errors="replace").replace("\\n", "\n")
        known |= {found.group(1): _block(text, found) for found in _HEAD.finditer(text)}
    wanted, chosen = [QUERY], {}
    while wanted:
        name = wanted.pop()
        if name not in chosen:
            chosen[name] = known[name]
            wanted += re.findall(r"\.\.\.(\w+)", known[name])
    return "\n".join(chosen.values())


def _block(text, head):
    """A query or fragment from its head to its closing brace."""
    depth, end = 1, head.end()
    while depth and end < len(text):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    return text[head.start() : end]


def open_run_log(instance, run_id):
    """The events of a run as the page receives them; fails on an answer with errors, for which the page shows none."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget
    from dagster_graphql.schema import create_schema

    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
        answer = asyncio.run(
            create_schema().execute_async(
                run_page_query(),
                context_value=workspace.create_request_context(),
                variable_values={"runId": run_id, "limit": 100_000},
            )
        )
    assert answer.errors is None, answer.errors
    return answer.data["logsForRun"]["events"]
