"""Requests predictions from an endpoint at its address, also while one version replaces another."""

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from numpy.typing import NDArray

from sinet_pipelines.deployment.client import SWITCH_S, Prediction, predict
from sinet_pipelines.deployment.cluster.record import ClusterEndpoint
from sinet_pipelines.deployment.cluster.wanted import object_name
from sinet_pipelines.deployment.connection import UnreachableError
from sinet_pipelines.errors import ServingError
from sinet_pipelines.inventory.regions import Region

PAUSE_S = 0.2  # between two tries
ROLLOUT_S = 60.0  # until gateways use a new server, or the only server of a drained node is replaced


def predict_at_address(
    url: str,
    model: str,
    inputs: Mapping[str, NDArray],
    *,
    region: Region,
    version: str = "",
    patience_s: float | None = None,
) -> Prediction:
    """The endpoint's outputs.

    The request is repeated where the connection ends before a response, where a gateway rejects it with 404, 502 or 503
    since it has no server yet, and where another version than the required one responds, as just after a switch.

    Args:
        url: root of the endpoint.
        model: name of the model.
        inputs: as for `client.infer`.
        region: the region of the endpoint, for messages.
        version: number of the required version; empty for any.
        patience_s: time in seconds for which the request is repeated; None for the time that a switch takes.

    Raises:
        UsageError: the server rejected the request.
        ServingError: no server responds at this address in time, or another version does.
    """
    deadline = time.monotonic() + (SWITCH_S if patience_s is None else patience_s)
    while True:
        try:
            prediction = predict(url, model, inputs)
        except UnreachableError as error:
            if time.monotonic() > deadline:
                raise ServingError(_unreachable(url, model, region, error)) from error
        except ServingError:  # of a gateway, another program or a faulty server; a rejected request is a UsageError
            if time.monotonic() > deadline:
                raise
        else:
            if version in ("", prediction.version):
                return prediction
            if time.monotonic() > deadline:
                raise ServingError(
                    f"{url} responds with version {prediction.version} of {model} (applied: {version}); check with "
                    "`sinet status` what else has these labels or this address"
                )
        time.sleep(PAUSE_S)


def predict_recorded(record: ClusterEndpoint, inputs: Mapping[str, NDArray], *, region: Region) -> Prediction:
    """The outputs of a recorded endpoint, of any version; arguments and errors are those of `predict_at_address`."""
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
