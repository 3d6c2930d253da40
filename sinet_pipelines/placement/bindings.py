"""A region, a kind of hardware and a step's needs turned into the Kubernetes Job that the step becomes.

What a region's cluster is (namespace, service account, image, secrets) is no part of it: the router knows that.
"""

import math
from typing import Any

from sinet_pipelines.errors import NeedsError, UnknownHardwareError
from sinet_pipelines.hardware import GIB, HARDWARE, Hardware, get_hardware
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.regions import Region
from sinet_pipelines.sites import StorageTier, TierKind

DEADLINE = 2  # times the hours that were told: an estimate may be wrong by half, a Job that hangs must end
SHORTEST_DEADLINE_S = 600  # a pod of a new node pulls its image first
KEPT_S = 24 * 3600  # a day: whoever looks at what failed in the night still finds the pod and its log
GRACE_S = 30  # on top of a checkpoint: to report it
SPOT_WEIGHT = 100  # of 100: nothing else pulls a step that may be taken away to other nodes
LABEL = "sinet.ai"
# a pod's own folder for caches: its user is a number that the image need not know
HOME, HOME_PATH = "home", "/home/sinet"
INSTANCE, INSTANCE_FILE = "dagster-instance", "dagster.yaml"  # the volume and the file that say where events go


def hardware_for(region: Region, wanted: str) -> Hardware:
    """The kind that a wish means in a region: a kind's own id, or a class (`gpu`), then the region's first of it.

    Raises:
        UnknownHardwareError: the region has nothing of it on site.

    >>> from sinet_pipelines.regions import WEST
    >>> hardware_for(WEST, "gpu").id
    'nvidia-t4'
    """
    classes = {row.accelerator for row in HARDWARE}
    if wanted not in classes:
        get_hardware(wanted)
    for kind in (get_hardware(found) for found in region.hardware):
        if wanted in (kind.id, kind.accelerator):
            return kind
    allowed = ", ".join(region.hardware)
    raise UnknownHardwareError(f"{region.name} has no {wanted} on site (it has: {allowed}); bind to one of these")


def check_needs(region: Region, hardware: Hardware, needs: Needs) -> None:
    """Nothing, where a node of the region can satisfy the needs.

    Raises:
        NeedsError: no node can; the message says what the largest has.
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
                f"{name} is {wanted}, and {where} has at most {most} on a node; ask for less or bind elsewhere"
            )
    if needs.device_memory_gib * GIB > hardware.memory_bytes:
        has = f"{hardware.memory_bytes / GIB:g}"
        raise NeedsError(
            f"device_memory_gib is {needs.device_memory_gib:g}, and {where} has {has}; ask for less or bind elsewhere"
        )
    for kind in needs.storage:
        if region.tier(TierKind(kind)) is None:
            has = ", ".join(tier.kind for tier in region.storage) or "none"
            raise NeedsError(f"storage is {kind}, and {region.name} has {has}; ask for one of these or add a tier")


def step_config(
    region: Region, hardware: Hardware, needs: Needs, *, attempt_memory_factor: float = 1.0
) -> dict[str, Any]:
    """What the tag `dagster-k8s/config` says of a step: the parts of its Job, in Kubernetes' words.

    Requests and limits are equal, so that a step is among the last that a full node evicts.

    Args:
        region: where the step runs.
        hardware: the kind it runs on; the needs' count of it, at least one where it is no `cpu`.
        needs: of the step.
        attempt_memory_factor: more memory for an attempt after one that ran out; never more than a node has.

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
            "backoff_limit": 0,  # a replaced pod is refused as a duplicate start; the retry policy begins anew
            "active_deadline_seconds": deadline_s(needs),
            "ttl_seconds_after_finished": KEPT_S,
        },
        "job_metadata": {"labels": {**labels, **_queue_labels(region, needs)}},
    }


def pod_security(user: int) -> dict[str, Any]:
    """The part of a pod that Pod Security "restricted" wants of it.

    Args:
        user: number of its user and group; volumes are made over to the group where their kind allows it.
    """
    return {
        "run_as_non_root": True,
        "run_as_user": user,
        "run_as_group": user,
        "fs_group": user,
        "fs_group_change_policy": "OnRootMismatch",  # a file system of millions of files is not walked at each start
        "seccomp_profile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """The part of a container that Pod Security "restricted" wants of it."""
    return {"allow_privilege_escalation": False, "capabilities": {"drop": ["ALL"]}}


def deadline_s(needs: Needs) -> int:
    """After how many seconds a step is ended.

    >>> deadline_s(Needs(hours=0.5))
    3600
    """
    return max(math.ceil(needs.hours * 3600 * DEADLINE), SHORTEST_DEADLINE_S)


def _labels(region: Region, hardware: Hardware, needs: Needs) -> dict[str, str]:
    """By which a region's bill is told apart."""
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
    mounts = [{"name": tier.kind.value, "mount_path": tier.mount_path} for tier in tiers if tier.mount_path]
    mounts.append({"name": HOME, "mount_path": HOME_PATH})
    if region.cluster.step_instance_config_map:
        place = f"{region.cluster.dagster_home}/{INSTANCE_FILE}"
        mounts.append({"name": INSTANCE, "mount_path": place, "sub_path": INSTANCE_FILE})
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
        "automount_service_account_token": needs.deploys,  # other steps ask nothing of the cluster's API
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
    config["volumes"] = volumes
    return config


def grace_s(needs: Needs) -> int:
    """Seconds that a pod has between being told to end and being killed."""
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
