"""Reads the `proxy-url` of a kubeconfig for the Python client, which ignores it; `kubectl` uses it.

Without the proxy, calls would go to the API directly. They would fail where only the proxy reaches the API, and bypass
the proxy where it enforces rules.
"""

import re
from typing import Any

from sinet_pipelines.errors import ClusterError

_PROXY = re.compile(r"https?://[^/\s]+/?", re.IGNORECASE)


def use_proxy(configuration: Any, *, file: str | None, context: str) -> None:
    """Sets the proxy of a context's cluster, if the kubeconfig names one; it overrides the proxy of the environment.

    Args:
        configuration: the client's configuration, which was loaded from the context.
        file: path of the kubeconfig, or several paths separated as in `$KUBECONFIG`; None for the client's default.
        context: name of the context.

    Raises:
        ClusterError: the client does not support this kind of proxy.
    """
    from kubernetes.config import kube_config

    merged = kube_config.KubeConfigMerger(file or kube_config.KUBE_CONFIG_DEFAULT_LOCATION).config
    name = merged["contexts"].get_with_name(context)["context"]["cluster"]
    proxy = merged["clusters"].get_with_name(name)["cluster"].safe_get("proxy-url")
    if not proxy:
        return
    if not _PROXY.fullmatch(str(proxy)):
        scheme = str(proxy).partition("://")[0]  # the rest may contain a password
        raise ClusterError(
            f"the proxy-url of cluster {name!r} in {file or 'the default kubeconfig'} is a {scheme[:20]} proxy; "
            "steps and endpoints use http:// and https:// proxies alone: name one of these",
            is_final=True,
        )
    configuration.proxy, configuration.no_proxy = str(proxy), None
