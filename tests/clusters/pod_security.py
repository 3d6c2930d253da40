"""Pod Security admission, level `restricted`: what a pod violates, in the words of the API server.

The rules are those of https://kubernetes.io/docs/concepts/security/pod-security-standards/ for pods of Linux.
"""

from collections.abc import Iterator
from typing import Any

VOLUMES = frozenset(
    ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
)
SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    )
)
PROFILES = ("RuntimeDefault", "Localhost")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def violations(spec: dict[str, Any]) -> str:
    """What a pod's spec violates of `restricted`, joined as in the message; "" for nothing."""
    return ", ".join(_found(spec))


def _found(spec: dict[str, Any]) -> Iterator[str]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    containers = [one for kind in kinds for one in spec.get(kind) or []]
    yield from _host(spec, containers)
    if bad := _those(containers, lambda context: context.get("allowPrivilegeEscalation") is not False):
        yield (f"allowPrivilegeEscalation != false ({bad} must set securityContext.allowPrivilegeEscalation=false)")
    yield from _capabilities(containers)
    if kinds := _forbidden_volumes(spec):
        yield f"restricted volume types ({kinds})"
    yield from _identity(spec, containers)
    yield from _seccomp(spec, containers)
    yield from _rarer(spec, containers)


def _host(spec: dict[str, Any], containers: list[dict[str, Any]]) -> Iterator[str]:
    names = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if names:
        yield f"host namespaces ({', '.join(f'{name}=true' for name in names)})"
    if bad := _those(containers, lambda context: bool(context.get("privileged"))):
        yield f"privileged ({bad} must not set securityContext.privileged=true)"
    ports = [str(port["hostPort"]) for one in containers for port in one.get("ports") or [] if port.get("hostPort")]
    if ports:
        yield f"hostPort ({_named(containers)} uses hostPort {', '.join(ports)})"
    sysctls = (spec.get("securityContext") or {}).get("sysctls") or []
    if forbidden := [one["name"] for one in sysctls if one["name"] not in SYSCTLS]:
        yield f"forbidden sysctls ({', '.join(forbidden)})"


def _capabilities(containers: list[dict[str, Any]]) -> Iterator[str]:
    def drops_all(context: dict[str, Any]) -> bool:
        return "ALL" in ((context.get("capabilities") or {}).get("drop") or [])

    def adds(context: dict[str, Any]) -> list[str]:
        added = (context.get("capabilities") or {}).get("add") or []
        return sorted(one for one in added if one != "NET_BIND_SERVICE")

    found = []
    if bad := _those(containers, lambda context: not drops_all(context)):
        found.append(f'{bad} must set securityContext.capabilities.drop=["ALL"]')
    if bad := _those(containers, lambda context: bool(adds(context))):
        added = sorted({name for one in containers for name in adds(one.get("securityContext") or {})})
        names = ", ".join(f'"{name}"' for name in added)
        found.append(f"{bad} must not include {names} in securityContext.capabilities.add")
    if found:
        yield f"unrestricted capabilities ({'; '.join(found)})"


def _forbidden_volumes(spec: dict[str, Any]) -> str:
    found = []
    for volume in spec.get("volumes") or []:
        kinds = set(volume) - {"name"}
        if bad := sorted(kinds - VOLUMES):
            found.append(f'volume "{volume["name"]}" uses restricted volume type "{bad[0]}"')
    return "; ".join(found)


def _identity(spec: dict[str, Any], containers: list[dict[str, Any]]) -> Iterator[str]:
    pod = spec.get("securityContext") or {}

    def may_be_root(context: dict[str, Any]) -> bool:
        return context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True

    if bad := _those(containers, may_be_root):
        yield f"runAsNonRoot != true (pod or {bad} must set securityContext.runAsNonRoot=true)"
    if pod.get("runAsUser") == 0:
        yield "runAsUser=0 (pod must not set runAsUser=0)"
    elif bad := _those(containers, lambda context: context.get("runAsUser") == 0):
        yield f"runAsUser=0 ({bad} must not set runAsUser=0)"


def _seccomp(spec: dict[str, Any], containers: list[dict[str, Any]]) -> Iterator[str]:
    of_pod = ((spec.get("securityContext") or {}).get("seccompProfile") or {}).get("type")

    def is_open(context: dict[str, Any]) -> bool:
        return ((context.get("seccompProfile") or {}).get("type") or of_pod) not in PROFILES

    if bad := _those(containers, is_open):
        yield (
            f"seccompProfile (pod or {bad} must set securityContext.seccompProfile.type to "
            '"RuntimeDefault" or "Localhost")'
        )


def _rarer(spec: dict[str, Any], containers: list[dict[str, Any]]) -> Iterator[str]:
    """Probes of other hosts, unmasked /proc and AppArmor profiles."""
    of_pod = ((spec.get("securityContext") or {}).get("appArmorProfile") or {}).get("type", PROFILES[0])
    if bad := _named([one for one in containers if any((_probe(one, name).get("host")) for name in PROBES)]):
        yield f"probe or lifecycle host ({bad} must not set a host)"
    if bad := _those(containers, lambda context: context.get("procMount", "Default") != "Default"):
        yield f"procMount ({bad} must not set securityContext.procMount)"
    if bad := _those(
        containers, lambda context: (context.get("appArmorProfile") or {}).get("type", of_pod) not in PROFILES
    ):
        yield f"forbidden AppArmor profile ({bad} must set RuntimeDefault or Localhost)"


def _probe(container: dict[str, Any], name: str) -> dict[str, Any]:
    probe = container.get(name) or {}
    return probe.get("httpGet") or probe.get("tcpSocket") or {}


def _those(containers: list[dict[str, Any]], is_bad: Any) -> str:
    return _named([one for one in containers if is_bad(one.get("securityContext") or {})])


def _named(containers: list[dict[str, Any]]) -> str:
    if not containers:
        return ""
    names = ", ".join(f'"{one["name"]}"' for one in containers)
    return f"{'containers' if len(containers) > 1 else 'container'} {names}"
