"""The KServe InferenceService of an endpoint, from which KServe makes Deployment, Service and routes.

The predictor is the pod of `pods.py`. The annotation selects KServe's raw mode, which rolls out like a Deployment and
allows init containers. Its value is the mode's older name, which newer releases accept too.
"""

from typing import Any

from sinet_pipelines.deployment.cluster.pods import pod_spec
from sinet_pipelines.deployment.cluster.wanted import Wanted, annotations, host_names, labels, object_name
from sinet_pipelines.inventory.regions import Region

SERVER = "kserve-container"  # the container name that KServe expects


def inference_service(region: Region, wanted: Wanted, *, attempt: int = 1) -> dict[str, Any]:
    """The InferenceService of an endpoint.

    Raises:
        ServingError: the region has no storage that a pod can mount.
    """
    serving = region.cluster.serving
    hosts = host_names(region, wanted.model, address=serving.address)
    spec = pod_spec(region, wanted, hosts=hosts, server=SERVER)
    (server,) = spec["containers"]
    # KServe routes to the first port, and rejects a second one in some of its modes
    spec["containers"] = [{**server, "ports": server["ports"][:1]}]
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": object_name(wanted.model),
            "namespace": region.cluster.namespace,
            "labels": labels(region, wanted),
            "annotations": {**annotations(wanted), "serving.kserve.io/deploymentMode": "RawDeployment"},
        },
        "spec": {
            "predictor": {
                **spec,
                "labels": labels(region, wanted),
                "annotations": annotations(wanted, attempt=attempt),
                "minReplicas": serving.replicas,
                "maxReplicas": serving.replicas,
                "deploymentStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
                },
            }
        },
    }
