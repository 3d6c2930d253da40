"""Pod Security "restricted", rule by rule, as kubernetes.io/docs/concepts/security/pod-security-standards has it.

A second implementation: the API server's own is not here. `violations` reads a pod's spec as plain JSON.
"""

from collections.abc import Iterator

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
SECCOMP = ("RuntimeDefault", "Localhost")


def violations(spec: dict) -> list[str]:
    """What the standard forbids of a pod; empty where it is admitted."""
    return [*_of_pod(spec), *(found for container in _containers(spec) for found in _of_container(container, spec))]


def _containers(spec: dict) -> list[dict]:
    return [one for kind in ("initContainers", "containers", "ephemeralContainers") for one in spec.get(kind, [])]


def _of_pod(spec: dict) -> Iterator[str]:
    security = spec.get("securityContext", {})
    yield from (f"{name} is on" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name))
    for volume in spec.get("volumes", []):
        yield from (f"volume {volume['name']} is a {kind}" for kind in set(volume) - {"name"} - VOLUMES)
    for one in security.get("sysctls", []):
        if one["name"] not in SYSCTLS:
            yield f"sysctl {one['name']}"
    if "windowsOptions" in security and security["windowsOptions"].get("hostProcess"):
        yield "hostProcess"
    if security.get("runAsUser") == 0:
        yield "the pod runs as root"


def _of_container(container: dict, spec: dict) -> Iterator[str]:
    of_pod, own, name = spec.get("securityContext", {}), container.get("securityContext", {}), container["name"]
    if own.get("privileged"):
        yield f"{name} is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name} does not forbid allowPrivilegeEscalation"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name} does not drop ALL capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name} adds capabilities"
    if own.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is not True:
        yield f"{name} may run as root"
    if own.get("runAsUser") == 0:
        yield f"{name} runs as root"
    if own.get("seccompProfile", of_pod.get("seccompProfile", {})).get("type") not in SECCOMP:
        yield f"{name} has no seccomp profile"
    if own.get("procMount", "Default") != "Default":
        yield f"{name} has procMount {own['procMount']}"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name} has a hostPort"
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe, {}).get("httpGet", {}).get("host"):
            yield f"{name} probes another host"
    profile = own.get("appArmorProfile", of_pod.get("appArmorProfile", {})).get("type", "RuntimeDefault")
    if profile not in SECCOMP:
        yield f"{name} has AppArmor {profile}"
