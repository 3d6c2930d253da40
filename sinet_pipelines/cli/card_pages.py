"""Serves the model cards of a home on the address of Dagster's UI, so that an asset page can link to them.

A browser does not open a `file://` address from a page that came by HTTP. The cards are the files in the home's
`cards/`; they run no script and load nothing.
"""

from pathlib import Path
from typing import Any

from sinet_pipelines.cli.guard import Application, Message, Receive, Send

CARDS = "/cards"
_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


class CardPages:
    """An ASGI application that serves `/cards/...` from a folder and passes every other request on."""

    def __init__(self, inner: Application, folder: Path) -> None:
        from starlette.staticfiles import StaticFiles

        self._inner = inner
        self._files: Any = StaticFiles(directory=folder, check_dir=False)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Responds to one request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(f"{CARDS}/"):
            await self._inner(scope, receive, send)
            return
        from starlette.exceptions import HTTPException
        from starlette.responses import PlainTextResponse

        try:
            await self._files({**scope, "root_path": scope.get("root_path", "") + CARDS}, receive, _confined(send))
        except HTTPException as error:
            detail = f"no card at {path!r}: materialise model_card" if error.status_code == 404 else error.detail
            await PlainTextResponse(detail, error.status_code)(scope, receive, _confined(send))


def _confined(send: Send) -> Send:
    """The same response with a policy under which a card runs no script and loads nothing."""

    async def confined(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"content-security-policy", _POLICY)]}
        await send(message)

    return confined
