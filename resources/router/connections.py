"""Connects the router to the clusters of the regions, by the kubeconfig context in each region's row."""

from typing import Any

import kubernetes.client
import kubernetes.config
from dagster_k8s.client import PatchedApiClient

from resources.router.clock import Clock, Patience
from resources.router.cluster import RegionCluster
from sinet_pipelines.deployment.cluster import rights
from sinet_pipelines.deployment.cluster.api import kubeconfig_errors
from sinet_pipelines.deployment.cluster.proxies import use_proxy
from sinet_pipelines.errors import ClusterError, first_line
from sinet_pipelines.inventory.regions import Inventory, Region


class RegionClusters:
    """The clusters of the regions by name, each connected on first use."""

    def __init__(self, inventory: Inventory, *, kubeconfig: str | None, clock: Clock, patience: Patience) -> None:
        self._inventory = inventory
        self._kubeconfig, self._clock, self._patience = kubeconfig, clock, patience
        self._clusters: dict[str, RegionCluster] = {}

    def get(self, region: str) -> RegionCluster:
        """The cluster of a region.

        Raises:
            ClusterError: the kubeconfig has no such context.
        """
        if region not in self._clusters:
            self._clusters[region] = connect(
                self._inventory.region(region), kubeconfig=self._kubeconfig, clock=self._clock, patience=self._patience
            )
        return self._clusters[region]


def connect(region: Region, *, kubeconfig: str | None, clock: Clock, patience: Patience) -> RegionCluster:
    """Connects to the cluster of a region, by the kubeconfig context in the region's row.

    Raises:
        ClusterError: the kubeconfig has no such context.
    """

    def apis() -> tuple[Any, Any]:
        client = PatchedApiClient(configuration=client_configuration(region, kubeconfig=kubeconfig))
        return kubernetes.client.BatchV1Api(client), kubernetes.client.CoreV1Api(client)

    cure = rights.cure(region, region.cluster.run_service_account)
    return RegionCluster(region.name, *apis(), clock=clock, patience=patience, renew=apis, lacks_right=cure)


def client_configuration(region: Region, *, kubeconfig: str | None) -> Any:
    """The client configuration of a region's cluster, without retries: the router itself decides on repetitions.

    Raises:
        ClusterError: the kubeconfig has no such context.
    """
    context = region.cluster.kubeconfig_context
    kubeconfig = region.cluster.kubeconfig_file or kubeconfig
    try:
        configuration = kubernetes.config.new_client_from_config(config_file=kubeconfig, context=context).configuration
    except kubeconfig_errors() as error:
        where = kubeconfig or "the default kubeconfig"
        cure = f"add the context to it, or change `kubeconfig_context` of {region.name}"
        raise ClusterError(
            f"{where} has no usable context {context!r} ({first_line(error)}); {cure}", is_final=True
        ) from error
    use_proxy(configuration, file=kubeconfig, context=context)
    configuration.retries = False
    return configuration
