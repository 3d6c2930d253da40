"""Data docs: a page of Great Expectations for the sample of a table's days, in the root of the region.

The page has values of rows, so its class is `raw`: it stays in its region. Its words are escaped before the library
renders them, since its templates escape some of them only. It runs no script and loads nothing from elsewhere.
"""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sinet_pipelines.escaping import for_html
from sinet_pipelines.storage.layout import data_docs
from sinet_pipelines.storage.objects import Objects

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult

MOST_BYTES = 1 << 20  # of a page; a larger one has no values
PAGES_KEPT = 60  # of a table, the newest
_SHOWN_VALUES = 10  # of a rule
_SHOWN_CHARACTERS = 80  # of a value
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="UTF-8"><title>{{ heading }}</title>
<style>
body { font-family: sans-serif; margin: 2em; max-width: 75em }
table { border-collapse: collapse } td, th { border: 1px solid #bbb; padding: .2em .5em; vertical-align: top }
.badge-secondary { background: #eee }
</style></head>
<body><h1>{{ heading }}</h1>
{% for section in sections %}{% set section_loop = loop -%}{% include 'section.j2' %}{% endfor %}
</body></html>
"""


def page_of(result: "ExpectationSuiteValidationResult", *, heading: str) -> bytes:
    """The result as a page in HTML.

    Args:
        result: of the sample.
        heading: what was checked.
    """
    page = _render(result, heading, values=_SHOWN_VALUES)
    return page if len(page) <= MOST_BYTES else _render(result, heading, values=0)


def keep_page(objects: Objects, page: bytes, *, application: str, table: str, day: date) -> str:
    """Writes a page and removes the oldest ones of the table; returns its key.

    Args:
        objects: objects of the region.
        page: the page.
        application: application of the table.
        table: name of the table.
        day: first day of the sample; a later page of the same day replaces this one.
    """
    folder = f"{data_docs(application)}/{table}"
    key = f"{folder}/{day}.html"
    objects.put(key, page)
    others = [one for one in objects.children(folder).objects if one.key != key]
    newest_first = sorted(others, key=lambda one: (one.modified_at, one.key), reverse=True)
    for old in newest_first[PAGES_KEPT - 1 :]:
        objects.delete(old.key)
    return key


def _render(result: "ExpectationSuiteValidationResult", heading: str, *, values: int) -> bytes:
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
    page: str = _view().render(document, "sinet_page.j2", heading=for_html(heading))
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
