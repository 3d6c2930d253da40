"""The way to a cluster's API that a kubeconfig names: `proxy-url`, which `kubectl` takes and the client does not.

Without it a call would go straight to the API: it fails where only the proxy leads there, or passes a firewall by.
"""

import re
from typing import Any

from sinet_pipelines.errors import ClusterError

_PROXY = re.compile(r"https?://[^/\s]+/?", re.IGNORECASE)


def go_by_proxy(configuration: Any, *, file: str | None, context: str) -> None:
    """Sets the proxy of a context's cluster, where its kubeconfig names one; a variable of the environment gives way.

    Args:
        configuration: of the client, as it was loaded from the context.
        file: the kubeconfig, or several, parted as in `$KUBECONFIG`; None for the client's own default.
        context: its name there.

    Raises:
        ClusterError: the proxy is of a kind that the client cannot use.
    """
    from kubernetes.config import kube_config

    merged = kube_config.KubeConfigMerger(file or kube_config.KUBE_CONFIG_DEFAULT_LOCATION).config
    name = merged["contexts"].get_with_name(context)["context"]["cluster"]
    proxy = merged["clusters"].get_with_name(name)["cluster"].safe_get("proxy-url")
    if not proxy:
        return
    if not _PROXY.fullmatch(str(proxy)):
        scheme = str(proxy).partition("://")[0]  # the rest may hold a password
        raise ClusterError(
            f"the proxy-url of cluster {name!r} in {file or 'the default kubeconfig'} is a {scheme[:20]} proxy; "
            "steps and endpoints go by http:// and https:// proxies alone: name one of these",
            is_final=True,
        )
    configuration.proxy, configuration.no_proxy = str(proxy), None
