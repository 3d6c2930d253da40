"""What a pod's spec mounts, as folders and files of this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clusters.environment import entries
from tests.clusters.objects import Objects
from tests.clusters.pods import Pod

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - the folder


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine that a pod sees at a path of its own."""

    source: Path
    path: str
    is_read_only: bool

    def to_json(self) -> dict[str, Any]:
        """For the process that makes the mount."""
        return {"source": str(self.source), "path": self.path, "is_read_only": self.is_read_only}


def mounts_of(
    pod: Pod, container: dict[str, Any], objects: Objects, *, folder: Path, claims: dict[str, Path], claimed: Path
) -> list[Mount]:
    """The mounts of a container, outer paths first.

    Args:
        pod: whose container it is.
        container: of its spec.
        objects: of its cluster.
        folder: the pod's own, gone with it.
        claims: folders that stand for claims, by name.
        claimed: where the folders of all other claims are, which outlive their pods.
    """
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes") or []}
    found = []
    for one in container.get("volumeMounts") or []:
        volume = volumes[one["name"]]
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        source = claims.get(claim, claimed / str(claim)) if claim else folder / "volumes" / one["name"]
        is_new = not source.exists()
        source.mkdir(parents=True, exist_ok=True)
        is_read_only = bool(one.get("readOnly"))
        for kind, plural, key in (("configMap", "configmaps", "name"), ("secret", "secrets", "secretName")):
            if kind in volume:
                is_read_only = True
                if is_new:
                    _write(source, volume[kind], objects.get(plural, pod.namespace, volume[kind][key]))
        if inner := one.get("subPath"):
            source = source / inner
            if not source.exists():
                source.mkdir(parents=True)
        found.append(Mount(source, one["mountPath"], is_read_only))
    return sorted(found, key=lambda mount: mount.path.count("/"))


def _write(folder: Path, source: dict[str, Any], body: dict[str, Any] | None) -> None:
    """Writes the entries of a config map or secret as files."""
    has = entries(body or {})
    chosen = {one["path"]: has[one["key"]] for one in source.get("items") or []} or has
    for name, content in chosen.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def token_mount(folder: Path, *, token: str, authority: bytes, namespace: str) -> Mount:
    """The token of a pod's service account, as a kubelet mounts it."""
    place = folder / "serviceaccount"
    place.mkdir(parents=True, exist_ok=True)
    (place / "token").write_text(token)
    (place / "ca.crt").write_bytes(authority)
    (place / "namespace").write_text(namespace)
    return Mount(place, TOKEN_PATH, is_read_only=True)
