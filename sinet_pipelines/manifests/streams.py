"""The processes that read a region's streams: for each stream a Deployment of `sinet ingest`, and access to its broker.

The pod is that of a step on `cpu` that writes rows of class raw in the region, with its volumes and credentials, but
without Dagster's instance and the Secret with the database's URL, which `sinet ingest` does not use.
"""

from dataclasses import replace
from typing import Any

from sinet_pipelines.applications import load_applications
from sinet_pipelines.errors import InventoryError, NeedsError, UsageError
from sinet_pipelines.ingestion.streams.source import Address, parse_url
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.sites import StorageTier, TierKind
from sinet_pipelines.inventory.streams import Stream
from sinet_pipelines.manifests.objects import PART, Object, camel_case, made
from sinet_pipelines.placement.bindings import LABEL, step_config, store_mounts
from sinet_pipelines.placement.needs import Needs

OPTIONS, OPTIONS_FOLDER, OPTIONS_KEY = "options", "/etc/sinet/stream", "options.json"
READABLE = 0o440  # by the pod's user and group alone
LAST_BATCH_S = 90  # a batch of 64 MiB and its drops take seconds; a slow or distant store is allowed ten times that


def ingesters(region: Region) -> list[Object]:
    """A Deployment and a network policy for each stream of the region; empty for a region without streams.

    Raises:
        InventoryError: no broker has the scheme of a URL, no application lands such rows, or no pod can store them.
    """
    if not region.streams:
        return []
    known = [one.name for one in load_applications() if one.landed is not None]
    found = []
    for stream in region.streams:
        if stream.application not in known:
            raise InventoryError(
                f"{region.name}: no application {stream.application!r} lands rows of a stream (known: "
                f"{', '.join(known)}); name one of them"
            )
        found += [_deployment(region, stream), _egress(region, stream)]
    return found


def notes(region: Region) -> list[str]:
    """What an operator prepares for the streams of a region, as parts of a sentence."""
    kubectl = region.cluster.kubectl(namespace=region.cluster.namespace)
    return [
        f"`{kubectl} create secret generic {one.options_secret} --from-file={OPTIONS_KEY}=FILE` for the stream of "
        f"{one.application}"
        for one in region.streams
        if one.options_secret
    ]


def _name(stream: Stream) -> str:
    return f"sinet-ingest-{stream.application.replace('_', '-')}"


def _address(region: Region, stream: Stream) -> Address:
    try:
        return parse_url(stream.url)
    except UsageError as error:
        raise InventoryError(f"{region.name}, stream of {stream.application}: {error}") from error


def _files(region: Region) -> StorageTier:
    """The file system with the home."""
    if tier := region.tier(TierKind.PARALLEL_FILES):
        return tier
    has = ", ".join(tier.kind for tier in region.storage) or "no storage"
    raise InventoryError(
        f"{region.name} has streams and {has}; their home is on a {TierKind.PARALLEL_FILES}: add this tier to `storage`"
    )


def _deployment(region: Region, stream: Stream) -> Object:
    """One process at a time stores the stream: the old pod ends before the new one starts.

    There is no probe. The process listens on no port, waits for a broker that is away, and exits for every error, after
    which its container starts again; another start cures nothing else.
    """
    name, command, config = _name(stream), _command(region, stream), _config(region, stream)
    labels = {PART: name, f"{LABEL}/application": stream.application, **config["pod_template_spec_metadata"]["labels"]}
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {PART: name}},
        "template": {"metadata": {"labels": labels}, "spec": _pod(region, stream, command=command, config=config)},
    }
    return made("apps/v1", "Deployment", name, namespace=region.cluster.namespace, labels=labels, spec=spec)


def _config(region: Region, stream: Stream) -> dict[str, Any]:
    """The configuration of a step on `cpu` with the needs of the stream."""
    needs = Needs(
        cpu_millicores=stream.cpu_millicores,
        memory_mib=stream.memory_mib,
        priority="high",  # while it is preempted, the messages fill the broker
        checkpoint_seconds=LAST_BATCH_S,
    )
    without_dagster = replace(region, cluster=replace(region.cluster, step_instance_config_map=""))
    try:
        return step_config(without_dagster, region.kind("cpu"), needs)
    except NeedsError as error:
        raise InventoryError(f"{region.name}, stream of {stream.application}: {error}") from error


def _pod(region: Region, stream: Stream, *, command: list[str], config: dict[str, Any]) -> Object:
    cluster, shaped = region.cluster, camel_case(config["pod_spec_config"])
    pulls = [{"name": one} for one in cluster.image_pull_secrets]
    secret = {"secretName": stream.options_secret, "defaultMode": READABLE}
    options = [{"name": OPTIONS, "secret": secret}] if stream.options_secret else []
    return {
        **shaped,
        "nodeSelector": config["pod_spec_config"]["node_selector"],  # labels of nodes, with their own spelling
        "serviceAccountName": cluster.service_account,
        **({"imagePullSecrets": pulls} if pulls else {}),
        "containers": [_container(region, stream, command=command, config=config["container_config"])],
        "volumes": [*shaped["volumes"], *camel_case(_stores(region)["pod_spec_config"]["volumes"]), *options],
    }


def _container(region: Region, stream: Stream, *, command: list[str], config: dict[str, Any]) -> Object:
    cluster, shaped = region.cluster, camel_case(config)
    stores = camel_case(_stores(region)["container_config"])
    maps = [{"configMapRef": {"name": one}} for one in cluster.env_config_maps]
    options = [{"name": OPTIONS, "mountPath": OPTIONS_FOLDER, "readOnly": True}] if stream.options_secret else []
    return {
        **shaped,
        "name": "ingest",
        "image": cluster.image,
        "imagePullPolicy": cluster.image_pull_policy,
        "command": command,
        "env": [
            *shaped["env"],
            *stores["env"],
            *({"name": name, "value": value} for name, value in cluster.env.items()),
        ],
        **({"envFrom": maps} if maps else {}),
        "volumeMounts": [*shaped["volumeMounts"], *stores["volumeMounts"], *options],
        "terminationMessagePolicy": "FallbackToLogsOnError",  # `kubectl describe pod` shows why it ended
    }


def _stores(region: Region) -> dict[str, Any]:
    """The mounts of the region's credentials at its own store; empty where its data is on the file system."""
    if region.root is None or region.root.is_local:
        return {"container_config": {"env": [], "volume_mounts": []}, "pod_spec_config": {"volumes": []}}
    return store_mounts(region, [region])


def _command(region: Region, stream: Stream) -> list[str]:
    command = ["sinet", "ingest", stream.url, "--region", region.name, "--application", stream.application]
    command += ["--home", _files(region).mount_path]
    command += ["--name", stream.name] if stream.name else []
    command += ["--options", f"{OPTIONS_FOLDER}/{OPTIONS_KEY}"] if stream.options_secret else []
    return [one.replace("$", "$$") for one in command]  # Kubernetes replaces $(NAME), and $$ by $


def _egress(region: Region, stream: Stream) -> Object:
    """Allows connections to the broker's port: by port, because addresses change."""
    name, port = _name(stream), _address(region, stream).port
    spec = {
        "podSelector": {"matchLabels": {PART: name}},
        "policyTypes": ["Egress"],
        "egress": [{"ports": [{"port": port, "protocol": "TCP"}]}],
    }
    policy = f"{name}-to-broker"
    return made("networking.k8s.io/v1", "NetworkPolicy", policy, namespace=region.cluster.namespace, spec=spec)
