"""Serves pages of a home on the address of Dagster's UI, so that an asset page can link to them.

A browser does not open a `file://` address from a page that came by HTTP. The pages are model cards, in the home's
`cards/`, and data docs, in each region whose root is a folder; they run no script and load nothing.
"""

import re
from pathlib import Path
from typing import Any

from sinet_pipelines.cli.guard import Application, Message, Receive, Send
from sinet_pipelines.storage.layout import DATA_DOCS, data_docs, region_root

CARDS, DOCS = "/cards", f"/{DATA_DOCS}"
_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
_OF_REGION = re.compile(rf"{DOCS}/(\w[\w-]*)/(\w[\w-]*)/")


class CardPages:
    """An ASGI application that serves `/cards/...` and `/data_docs/<region>/...` and passes other requests on."""

    def __init__(self, inner: Application, home: Path) -> None:
        self._inner = inner
        self._home = home

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Responds to one request."""
        found = self._folder(scope.get("path", "")) if scope["type"] == "http" else None
        if found is None:
            await self._inner(scope, receive, send)
            return
        from starlette.exceptions import HTTPException
        from starlette.responses import PlainTextResponse
        from starlette.staticfiles import StaticFiles

        prefix, folder, cure = found
        files: Any = StaticFiles(directory=folder, check_dir=False)
        files.config_checked = True  # a folder that is not there has no pages
        try:
            await files({**scope, "root_path": scope.get("root_path", "") + prefix}, receive, _confined(send))
        except HTTPException as error:
            detail = f"no page at {scope['path']!r}: {cure}" if error.status_code == 404 else error.detail
            await PlainTextResponse(detail, error.status_code)(scope, receive, _confined(send))

    def _folder(self, path: str) -> tuple[str, Path, str] | None:
        """The prefix of a path, the folder with its pages, and how to make a missing one; None for other paths."""
        if path.startswith(f"{CARDS}/"):
            return CARDS, self._home / "cards", "materialise model_card"
        if found := _OF_REGION.match(path):
            folder = region_root(self._home, found[1]) / data_docs(found[2])
            return (
                found[0].removesuffix("/"),
                folder,
                "old pages are removed; materialise the validated rows of the day",
            )
        return None


def _confined(send: Send) -> Send:
    """The same response with a policy under which a page runs no script and loads nothing."""

    async def confined(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"content-security-policy", _POLICY)]}
        await send(message)

    return confined
