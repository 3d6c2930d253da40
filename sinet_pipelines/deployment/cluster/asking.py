"""Asks an endpoint by the address that was recorded for it, through a switch from one version to the next."""

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from numpy.typing import NDArray

from sinet_pipelines.deployment.client import SWITCH_S, Answer, ask
from sinet_pipelines.deployment.cluster.record import ClusterEndpoint
from sinet_pipelines.deployment.cluster.wanted import object_name
from sinet_pipelines.deployment.connection import UnreachableError
from sinet_pipelines.errors import ServingError
from sinet_pipelines.regions import Region, get_region

PAUSE_S = 0.2
ROLLOUT_S = 60.0  # until gateways and load balancers send requests to a server that has just become ready


def ask_service(
    url: str,
    model: str,
    inputs: Mapping[str, NDArray],
    *,
    region: Region,
    version: str = "",
    patience_s: float | None = None,
) -> Answer:
    """What the endpoint answers, by whichever version is served now.

    A connection that ends before its answer is made again, to another server: to ask twice changes nothing. So is one
    that a gateway answers by itself, with a 404, 502 or 503 of its own, while it knows no server yet.

    Args:
        url: root of the endpoint.
        model: its name.
        inputs: as `client.infer` takes them.
        region: where it serves, for what a message advises.
        version: that must answer; any, if empty. For a moment after a switch the one before may.
        patience_s: how long the endpoint is asked until it answers; None: as long as a switch takes.

    Raises:
        UsageError: the server refused what was sent.
        ServingError: no server answers at this address, or another version does.
    """
    give_up_at = time.monotonic() + (SWITCH_S if patience_s is None else patience_s)
    while True:
        try:
            answer = ask(url, model, inputs)
        except UnreachableError as error:
            if time.monotonic() > give_up_at:
                raise ServingError(_unreachable(url, model, region, error)) from error
        except ServingError:  # foreign words, or a server's fault; what the server refuses is a UsageError
            if time.monotonic() > give_up_at:
                raise
        else:
            if version in ("", answer.version):
                return answer
            if time.monotonic() > give_up_at:
                raise ServingError(
                    f"{url} answers with version {answer.version} of {model} (applied: {version}); see with "
                    "`sinet status` what else has these labels or this address"
                )
        time.sleep(PAUSE_S)


def ask_recorded(record: ClusterEndpoint, inputs: Mapping[str, NDArray]) -> Answer:
    """What a recorded endpoint answers."""
    return ask_service(record.url, record.model, inputs, region=get_region(record.region))


def _unreachable(url: str, model: str, region: Region, error: UnreachableError) -> str:
    cluster, port = region.cluster, region.cluster.serving.http_port
    why = error.__cause__ or error
    is_own_name = (urlsplit(url).hostname or "").endswith(".svc")
    cure = f"`sinet status` says how it stands in {region.name}"
    if is_own_name:
        forward = f"{cluster.kubectl(namespace=cluster.namespace)} port-forward"
        cure += (
            f"; only {region.name}'s own cluster knows this name: give serving.address in its row for other regions, "
            f"or on this machine `{forward} service/{object_name(model)} {port}` and --url http://127.0.0.1:{port}"
        )
    return f"the endpoint of {region.name} does not answer at {url} ({why}); {cure}"
