"""Requests predictions from an endpoint at its recorded address, also during a switch from one version to the next."""

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from numpy.typing import NDArray

from sinet_pipelines.deployment.client import SWITCH_S, Answer, predict
from sinet_pipelines.deployment.cluster.record import ClusterEndpoint
from sinet_pipelines.deployment.cluster.wanted import object_name
from sinet_pipelines.deployment.connection import UnreachableError
from sinet_pipelines.errors import ServingError
from sinet_pipelines.inventory.regions import Region

PAUSE_S = 0.2
ROLLOUT_S = 60.0  # until gateways use a server that is newly ready, or a drained node's only server is replaced


def predict_at_address(
    url: str,
    model: str,
    inputs: Mapping[str, NDArray],
    *,
    region: Region,
    version: str = "",
    patience_s: float | None = None,
) -> Answer:
    """The endpoint's outputs, from whichever version serves now.

    A connection that ends before its response is repeated to another server: a repeated prediction changes nothing. A
    request that a gateway itself rejects with 404, 502 or 503, while it has no server yet, is repeated too.

    Args:
        url: root of the endpoint.
        model: its name.
        inputs: as for `client.infer`.
        region: the region of the endpoint, for the cure in messages.
        version: required version; empty for any. Just after a switch the former version is accepted too.
        patience_s: how long the request is repeated; None: as long as a switch takes.

    Raises:
        UsageError: the server rejected the request.
        ServingError: no server responds at this address, or another version does.
    """
    deadline = time.monotonic() + (SWITCH_S if patience_s is None else patience_s)
    while True:
        try:
            answer = predict(url, model, inputs)
        except UnreachableError as error:
            if time.monotonic() > deadline:
                raise ServingError(_unreachable(url, model, region, error)) from error
        except ServingError:  # another program's response, or a server's fault; a server's rejection is a UsageError
            if time.monotonic() > deadline:
                raise
        else:
            if version in ("", answer.version):
                return answer
            if time.monotonic() > deadline:
                raise ServingError(
                    f"{url} answers with version {answer.version} of {model} (applied: {version}); see with "
                    "`sinet status` what else has these labels or this address"
                )
        time.sleep(PAUSE_S)


def predict_recorded(record: ClusterEndpoint, inputs: Mapping[str, NDArray], *, region: Region) -> Answer:
    """The outputs of a recorded endpoint; `region` is the row of its region."""
    return predict_at_address(record.url, record.model, inputs, region=region)


def _unreachable(url: str, model: str, region: Region, error: UnreachableError) -> str:
    cluster, port = region.cluster, region.cluster.serving.http_port
    why = error.__cause__ or error
    is_own_name = (urlsplit(url).hostname or "").endswith(".svc")
    cure = f"`sinet status` shows its state in {region.name}"
    if is_own_name:
        forward = f"{cluster.kubectl(namespace=cluster.namespace)} port-forward"
        cure += (
            f"; only {region.name}'s own cluster resolves this name: set serving.address in its row for other regions, "
            f"or on this machine `{forward} service/{object_name(model)} {port}` and --url http://127.0.0.1:{port}"
        )
    return f"the endpoint of {region.name} does not respond at {url} ({why}); {cure}"
