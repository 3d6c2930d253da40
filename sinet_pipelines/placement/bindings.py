"""Turns a region, a kind of hardware and a step's needs into the configuration of the step's Kubernetes Job.

The settings of a region's cluster (namespace, service account, image, secrets) are not included: the router adds them.
"""

import math
from collections.abc import Sequence
from typing import Any

from sinet_pipelines.errors import NeedsError, UnknownHardwareError
from sinet_pipelines.inventory.hardware import GIB, Hardware
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.roots import secret_of
from sinet_pipelines.inventory.sites import StorageTier, TierKind
from sinet_pipelines.placement.needs import Needs

DEADLINE = 2  # times the estimated hours: an estimate may be wrong by half, but a Job that hangs must end
SHORTEST_DEADLINE_S = 600  # a pod of a new node pulls its image first
KEPT_S = 24 * 3600  # a day, so that the pod and log of a failure at night can be read the next day
GRACE_S = 30  # in addition to a checkpoint: to report it
SPOT_WEIGHT = 100  # of 100: a preemptible step prefers spot nodes before everything else
LABEL = "sinet.ai"
# a pod's own folder for caches: its user is a number without an entry in the image
HOME, HOME_PATH = "home", "/home/sinet"
CREDENTIALS_PATH = "/etc/sinet/credentials"  # `<reader>/<store>/` below it, as `storage/credentials.py` reads them
DASK_TLS = "dask-tls"  # volume with the certificates of the region's Dask scheduler
INSTANCE, INSTANCE_FILE = "dagster-instance", "dagster.yaml"  # volume and file with the address of the event log


def hardware_for(region: Region, wanted: str) -> Hardware:
    """The hardware of a request in a region: a kind's own id, or a class (`gpu`) for the region's first of it.

    Raises:
        UnknownHardwareError: the region has no such hardware on site.

    >>> from sinet_pipelines.inventory.regions import read_inventory
    >>> hardware_for(read_inventory(None).region("WEST"), "gpu").id
    'nvidia-t4'
    """
    if wanted not in {row.accelerator for row in region.catalogue}:
        region.kind(wanted)
    for kind in region.kinds:
        if wanted in (kind.id, kind.accelerator):
            return kind
    allowed = ", ".join(region.hardware)
    raise UnknownHardwareError(f"{region.name} has no {wanted} on site (it has: {allowed}); bind to one of these")


def check_needs(region: Region, hardware: Hardware, needs: Needs) -> None:
    """Checks that a node of the region can satisfy the needs.

    Raises:
        NeedsError: no node can; the message has the largest available amount.
    """
    cluster, where = region.cluster, f"{hardware.id} in {region.name}"
    limits = (
        ("cpu_millicores", needs.cpu_millicores, cluster.node_cpu_millicores),
        ("memory_mib", needs.memory_mib, cluster.node_memory_mib),
        ("count", needs.count, 0 if hardware.is_cpu else hardware.devices_per_node),
    )
    for name, wanted, most in limits:
        if wanted > most:
            raise NeedsError(
                f"{name} is {wanted}, and {where} has at most {most} on a node; request less or bind elsewhere"
            )
    if needs.device_memory_gib * GIB > hardware.memory_bytes:
        has = f"{hardware.memory_bytes / GIB:g}"
        raise NeedsError(
            f"device_memory_gib is {needs.device_memory_gib:g}, and {where} has {has}; request less or bind elsewhere"
        )
    for kind in needs.storage:
        if region.tier(TierKind(kind)) is None:
            has = ", ".join(tier.kind for tier in region.storage) or "none"
            raise NeedsError(f"storage is {kind}, and {region.name} has {has}; request one of these or add a tier")


def step_config(
    region: Region, hardware: Hardware, needs: Needs, *, attempt_memory_factor: float = 1.0
) -> dict[str, Any]:
    """The value of the tag `dagster-k8s/config` of a step: the parts of its Job, in Kubernetes' fields.

    Requests and limits are equal, so that a full node evicts the step among the last.

    Args:
        region: where the step runs.
        hardware: the kind it runs on; the number in the needs, at least one unless it is `cpu`.
        needs: of the step.
        attempt_memory_factor: more memory for an attempt after one that ran out; limited to a node's memory.

    Raises:
        NeedsError: no node of the region can satisfy the needs.
    """
    check_needs(region, hardware, needs)
    cluster, labels = region.cluster, _labels(region, hardware, needs)
    memory_mib = min(math.ceil(needs.memory_mib * attempt_memory_factor), cluster.node_memory_mib)
    tiers = [tier for kind in needs.storage if (tier := region.tier(TierKind(kind)))]
    return {
        "container_config": _container(region, hardware, needs, memory_mib=memory_mib, tiers=tiers),
        "pod_spec_config": _pod(region, hardware, needs, tiers=tiers),
        "pod_template_spec_metadata": {"labels": labels},
        "job_spec_config": {
            "backoff_limit": 0,  # a pod restarted by Kubernetes would be a duplicate start; the retry policy retries
            "active_deadline_seconds": deadline_s(needs),
            "ttl_seconds_after_finished": KEPT_S,
        },
        "job_metadata": {"labels": {**labels, **_queue_labels(region, needs)}},
    }


def pod_security(user: int) -> dict[str, Any]:
    """The part of a pod that Pod Security "restricted" requires.

    Args:
        user: number of its user and group; the group gets volumes whose kind allows it.
    """
    return {
        "run_as_non_root": True,
        "run_as_user": user,
        "run_as_group": user,
        "fs_group": user,
        "fs_group_change_policy": "OnRootMismatch",  # does not change millions of files at each start
        "seccomp_profile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """The part of a container that Pod Security "restricted" requires."""
    return {"allow_privilege_escalation": False, "capabilities": {"drop": ["ALL"]}}


def deadline_s(needs: Needs) -> int:
    """Time in seconds after which a step is ended.

    >>> deadline_s(Needs(hours=0.5))
    3600
    """
    return max(math.ceil(needs.hours * 3600 * DEADLINE), SHORTEST_DEADLINE_S)


def _labels(region: Region, hardware: Hardware, needs: Needs) -> dict[str, str]:
    """Labels for the region's cost report."""
    return {
        f"{LABEL}/region": region.name,
        f"{LABEL}/hardware": hardware.id,
        f"{LABEL}/capacity": "spot" if needs.is_preemptible else "reserved",
        f"{LABEL}/team": needs.team,
        f"{LABEL}/cost-centre": needs.cost_centre,
    }


def _queue_labels(region: Region, needs: Needs) -> dict[str, str]:
    if not region.cluster.queue:
        return {}
    return {
        "kueue.x-k8s.io/queue-name": region.cluster.queue,
        "kueue.x-k8s.io/priority-class": region.cluster.workload_priority_classes[needs.priority],
    }


def _container(
    region: Region, hardware: Hardware, needs: Needs, *, memory_mib: int, tiers: list[StorageTier]
) -> dict[str, Any]:
    devices = {} if hardware.is_cpu else {hardware.resource_name: str(max(needs.count, 1))}
    amounts = {"cpu": f"{needs.cpu_millicores}m", "memory": f"{memory_mib}Mi", **devices}
    mounts: list[dict[str, Any]] = [
        {"name": tier.kind.value, "mount_path": tier.mount_path} for tier in tiers if tier.mount_path
    ]
    mounts.append({"name": HOME, "mount_path": HOME_PATH})
    if region.cluster.step_instance_config_map:
        place = f"{region.cluster.dagster_home}/{INSTANCE_FILE}"
        mounts.append({"name": INSTANCE, "mount_path": place, "sub_path": INSTANCE_FILE})
    if region.dask is not None and region.dask.tls_folder:
        mounts.append({"name": DASK_TLS, "mount_path": region.dask.tls_folder, "read_only": True})
    objects = [tier for tier in tiers if tier.kind is TierKind.OBJECT_STORE]
    config: dict[str, Any] = {
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "env": [
            {"name": "SINET_REGION", "value": region.name},
            {"name": "HOME", "value": HOME_PATH},
            *({"name": "AWS_ENDPOINT_URL", "value": tier.where} for tier in objects),
        ],
        "volume_mounts": mounts,
        "security_context": container_security(),
    }
    if objects:
        config["env_from"] = [{"secret_ref": {"name": tier.secret}} for tier in objects if tier.secret]
    return config


def _pod(region: Region, hardware: Hardware, needs: Needs, *, tiers: list[StorageTier]) -> dict[str, Any]:
    cluster = region.cluster
    config: dict[str, Any] = {
        "node_selector": {**cluster.node_labels, **hardware.node_labels},
        "priority_class_name": cluster.priority_classes[needs.priority],
        "security_context": pod_security(cluster.run_as_user),
        "automount_service_account_token": needs.deploys,  # other steps send no request to the cluster's API
        "termination_grace_period_seconds": grace_s(needs),
    }
    if needs.deploys:
        config["service_account_name"] = cluster.serving.service_account
    tolerated = [hardware.taint] if hardware.taint else []
    if needs.is_preemptible:
        tolerated.append(cluster.spot_taint)
        config["affinity"] = _prefers_spot(cluster.capacity_label)
    if tolerated:
        config["tolerations"] = [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in tolerated]
    if hardware.runtime_class:
        config["runtime_class_name"] = hardware.runtime_class
    volumes = [_volume(tier, needs) for tier in tiers if tier.mount_path]
    volumes.append({"name": HOME, "empty_dir": {}})
    if cluster.step_instance_config_map:
        volumes.append({"name": INSTANCE, "config_map": {"name": cluster.step_instance_config_map}})
    if region.dask is not None and region.dask.tls_folder:
        # optional: a step that does not use the workers runs without the Secret, another one fails with its name
        volumes.append({"name": DASK_TLS, "secret": {"secret_name": region.dask.tls_secret, "optional": True}})
    config["volumes"] = volumes
    return config


def store_mounts(reader: Region, stores: Sequence[Region]) -> dict[str, Any]:
    """The parts of a step's Job by which it gets its region's credentials at some stores, as files.

    Args:
        reader: the region where the step runs, whose cluster holds the Secrets.
        stores: the regions whose stores it opens; each has a root on one.
    """
    mounts, volumes = [], []
    for store in stores:
        if store.root is None:
            continue
        name = f"store-{store.key.replace('_', '-')}"
        place = f"{CREDENTIALS_PATH}/{reader.name}/{store.name}"
        mounts.append({"name": name, "mount_path": place, "read_only": True})
        volumes.append({"name": name, "secret": {"secret_name": secret_of(store.name, store.root)}})
    return {
        "container_config": {
            "env": [{"name": "SINET_CREDENTIALS", "value": CREDENTIALS_PATH}],
            "volume_mounts": mounts,
        },
        "pod_spec_config": {"volumes": volumes},
    }


def grace_s(needs: Needs) -> int:
    """Seconds between SIGTERM and SIGKILL for a pod."""
    return needs.checkpoint_seconds + GRACE_S


def _prefers_spot(label: str) -> dict[str, Any]:
    wish = {"match_expressions": [{"key": label, "operator": "In", "values": ["spot"]}]}
    return {
        "node_affinity": {
            "preferred_during_scheduling_ignored_during_execution": [{"weight": SPOT_WEIGHT, "preference": wish}]
        }
    }


def _volume(tier: StorageTier, needs: Needs) -> dict[str, Any]:
    if tier.kind is TierKind.PARALLEL_FILES:
        return {"name": tier.kind.value, "persistent_volume_claim": {"claim_name": tier.where}}
    claim = {
        "access_modes": ["ReadWriteOnce"],
        "storage_class_name": tier.where,
        "resources": {"requests": {"storage": f"{needs.scratch_gib}Gi"}},
    }
    return {"name": tier.kind.value, "ephemeral": {"volume_claim_template": {"spec": claim}}}
