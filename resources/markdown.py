"""Metadata that Dagster's UI renders as markdown; nothing else in the repository calls `MetadataValue.md`."""

import dagster as dg

from sinet_pipelines.markdown import Markdown


def shown(markdown: Markdown) -> dg.MarkdownMetadataValue:
    """Markdown as metadata.

    Raises:
        TypeError: it is text that was not made by a builder of `sinet_pipelines.markdown`.
    """
    if not isinstance(markdown, Markdown):
        raise TypeError(f"{type(markdown).__name__} is not Markdown; build it with sinet_pipelines.markdown")
    return dg.MetadataValue.md(markdown)
