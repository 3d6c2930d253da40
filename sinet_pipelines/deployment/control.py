"""The control token: who may load and unload models of a running server, over HTTP and gRPC."""

import hmac

from sinet_pipelines.errors import UsageError


class ControlRefusedError(UsageError):
    """A request to load or unload a model without the control token."""


def require_control(control_token: bytes, authorization: bytes | None) -> None:
    """Checks that the request has the control token.

    Args:
        control_token: of the server; empty where it has none.
        authorization: the request's header; None without one.

    Raises:
        ControlRefusedError: the server has no control token, or the request has another one or none.
    """
    if not control_token:
        raise ControlRefusedError(
            "this server does not load or unload models by request; use `sinet serve`, or start the server with "
            "SINET_SERVE_TOKEN in its environment"
        )
    if authorization is None or not hmac.compare_digest(authorization, b"Bearer " + control_token):
        raise ControlRefusedError("loading and unloading needs the control token; send it as a bearer token")
