"""Data docs: a page of Great Expectations for the sample of a table's days, in the root of the region.

The page has values of rows, so its class is `raw`: it stays in its region. Its words are escaped before the library
renders them, since its templates escape some of them only. It runs no script and loads nothing from elsewhere.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinet_pipelines.escaping import for_html
from sinet_pipelines.storage.files import disk_errors
from sinet_pipelines.storage.layout import data_docs, is_local
from sinet_pipelines.storage.objects import Object, Objects, Tagged

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult

MOST_BYTES = 1 << 20  # of a page; a larger one has no values
PAGES_KEPT = 400  # of a table, the newest: each day of a year has one, also if the days are large
WRITING = timedelta(hours=1)  # a page that was replaced, or half written, since then may be one of a run in progress
_SHOWN_VALUES = 10  # of a rule
_SHOWN_CHARACTERS = 80  # of a value
_HEAD_BYTES = 4096  # of a page, with its days
_DAY = r"(\d{4}-\d\d-\d\d)"
_NAME = re.compile(rf"{_DAY}_{_DAY}_[0-9a-f]{{12}}\.(?:html|parquet)")
_LEFTOVER = re.compile(rf"\.{_NAME.pattern}\.[0-9a-f]+")
_DAYS = re.compile(rb'<meta name="days" content="([-0-9 ]*)">')
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="UTF-8"><meta name="days" content="{{ days }}"><title>{{ heading }}</title>
<style>
body { font-family: sans-serif; margin: 2em; max-width: 75em }
table { border-collapse: collapse } td, th { border: 1px solid #bbb; padding: .2em .5em; vertical-align: top }
.badge-secondary { background: #eee }
</style></head>
<body><h1>{{ heading }}</h1>
{% for section in sections %}{% set section_loop = loop -%}{% include 'section.j2' %}{% endfor %}
</body></html>
"""


def page_of(result: "ExpectationSuiteValidationResult", *, heading: str, days: Sequence[date] = ()) -> bytes:
    """The result as a page in HTML.

    Args:
        result: of the sample.
        heading: what was checked.
        days: days of the sample.
    """
    page = _render(result, heading, days, values=_SHOWN_VALUES)
    return page if len(page) <= MOST_BYTES else _render(result, heading, days, values=0)


def keep_page(
    objects: Objects, content: bytes, *, application: str, table: str, days: Sequence[date], suffix: str = "html"
) -> str:
    """Writes a page, or the rows of a sample; returns its key.

    The name has a hash of the content, so what a link leads to never changes.

    Args:
        objects: objects of the region.
        content: the page or file.
        application: application of the table.
        table: name of the table.
        days: days of the sample, at least one.
        suffix: `html`, or `parquet` for rows.
    """
    name = f"{min(days)}_{max(days)}_{sha256(content).hexdigest()[:12]}.{suffix}"
    key = f"{data_docs(application)}/{table}/{name}"
    objects.put(key, content)
    return key


def remove_pages_of(objects: Objects, days: Collection[date], *, application: str, table: str) -> None:
    """Removes the pages and samples that have rows of some days, which were withdrawn.

    Args:
        objects: objects of the region.
        days: the days.
        application: application of the table.
        table: name of the table.
    """
    for one, (first, last) in _pages(objects, f"{data_docs(application)}/{table}"):
        there = [day for day in days if first <= day <= last]
        if there and (not one.key.endswith(".html") or _has_one_of(objects.get(one.key), there)):
            objects.delete(one.key)


def remove_old_pages(objects: Objects, *, application: str, table: str, needed: Collection[str], now: datetime) -> None:
    """Removes pages that later ones replace, those beyond the newest 400, and what killed writers left.

    Args:
        objects: objects of the region.
        application: application of the table.
        table: name of the table.
        needed: names of pages that stay: checks of days that fail link to them.
        now: UTC.
    """
    folder = f"{data_docs(application)}/{table}"
    found = sorted(_pages(objects, folder), key=lambda page: (page[0].modified_at, page[0].key), reverse=True)
    newest: dict[tuple[date, date], str] = {}
    for place, (one, span) in enumerate(found):
        is_page, name = one.key.endswith(".html"), one.key.rpartition("/")[2]
        is_replaced = span in newest and one.modified_at < now - WRITING
        if is_page:
            newest.setdefault(span, name)
        if name not in needed and (is_replaced or place >= PAGES_KEPT):
            objects.delete(one.key)
    if is_local(objects.root):
        _remove_leftovers(Path(objects.root) / folder, now)


def _pages(objects: Objects, folder: str) -> list[tuple[Object, tuple[date, date]]]:
    """The pages and samples of a table, each with first and last day; files of other names are not the platform's."""
    named = ((one, _NAME.fullmatch(one.key.rpartition("/")[2])) for one in objects.children(folder).objects)
    return [
        (one, (date.fromisoformat(name[1]), date.fromisoformat(name[2]))) for one, name in named if name is not None
    ]


def _has_one_of(page: Tagged | None, days: Collection[date]) -> bool:
    """Whether a page may have rows of one of the days; true for a page that does not name its days."""
    found = None if page is None else _DAYS.search(page.content[:_HEAD_BYTES])
    return found is None or any(str(day).encode() in found[1].split() for day in days)


def _remove_leftovers(folder: Path, now: datetime) -> None:
    """Removes dotted files of writers that were killed."""
    with disk_errors(folder):
        for path in folder.glob(".*"):
            if _LEFTOVER.fullmatch(path.name) and path.lstat().st_mtime < (now - WRITING).timestamp():
                path.unlink(missing_ok=True)


def _render(result: "ExpectationSuiteValidationResult", heading: str, days: Sequence[date], *, values: int) -> bytes:
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    escaped = []
    for outcome in result.results:
        found = _escaped(_cut(outcome.to_json_dict(), values))
        config = {name: found["expectation_config"].get(name) for name in ("type", "kwargs", "meta")}
        escaped.append(
            ExpectationValidationResult(
                success=found["success"],
                expectation_config=ExpectationConfiguration(**config),
                result=found["result"],
                exception_info=found["exception_info"],
            )
        )
    suite = ExpectationSuiteValidationResult(
        success=bool(result.success),
        results=escaped,
        suite_name=_escaped(result.suite_name),
        statistics=result.statistics,
        meta=_escaped({name: result.meta[name] for name in ("great_expectations_version", "run_id")}),
    )
    document = ValidationResultsPageRenderer().render(suite)
    page: str = _view().render(document, "sinet_page.j2", heading=for_html(heading), days=" ".join(map(str, days)))
    return page.encode()


def _cut(outcome: dict[str, Any], values: int) -> dict[str, Any]:
    """The outcome with some examples of values, and without the complete lists."""
    result = {name: found for name, found in outcome["result"].items() if not name.startswith("unexpected_index")}
    result.pop("unexpected_list", None)
    for name in ("partial_unexpected_list", "partial_unexpected_index_list", "partial_unexpected_counts"):
        if name in result:
            result[name] = result[name][:values]
    return {**outcome, "result": result}


def _escaped(found: Any) -> Any:
    """The same with every text escaped and cut to a readable length; `$` begins a parameter of the library."""
    if isinstance(found, dict):
        return {name: _escaped(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return type(found)(_escaped(value) for value in found)
    if not isinstance(found, str):
        return found
    cut = found if len(found) <= _SHOWN_CHARACTERS else f"{found[:_SHOWN_CHARACTERS]}..."
    return for_html(cut).replace("$", "&#36;")


@lru_cache(maxsize=1)
def _view() -> Any:
    """The library's view with a page of our own around its sections."""
    from great_expectations.render.view import DefaultJinjaPageView
    from jinja2 import ChoiceLoader, DictLoader

    class View(DefaultJinjaPageView):
        @staticmethod
        def _escape_template_param_value(value: Any) -> Any:
            return value  # every text is escaped already

        def render_styling(self, styling: Mapping[str, Any]) -> str:
            attributes = dict(styling.get("attributes") or {})
            attributes.pop("href", None)  # of a page about the suite, which is not made
            return str(super().render_styling({**styling, "attributes": attributes}))

    view = View()
    view.env.loader = ChoiceLoader([DictLoader({"sinet_page.j2": _PAGE}), view.env.loader])
    return view
