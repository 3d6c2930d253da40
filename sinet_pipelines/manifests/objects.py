"""Kubernetes objects as plain values, and their text as YAML: equal rows have equal bytes."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from sinet_pipelines.errors import InventoryError

Object = dict[str, Any]
PART = "app.kubernetes.io/component"
MANAGED = {"app.kubernetes.io/part-of": "sinet", "app.kubernetes.io/managed-by": "sinet-render"}
# text that Kubernetes' tools parse as a number, but our library as text without quotes: 1e3, 0o17, 08
_NUMBER_ELSEWHERE = re.compile(r"[-+]?(0o[0-7_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?)|[yYnN]")
_DNS_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def made(api: str, kind: str, name: str, *, namespace: str = "", labels: Object | None = None, **rest: Any) -> Object:
    """An object.

    Args:
        api: its `apiVersion`.
        kind: its kind.
        name: its name.
        namespace: empty for an object of the whole cluster.
        labels: labels in addition to those of all rendered objects.
        rest: its other parts (`spec`, `data`, `rules`), in Kubernetes' spelling.

    Raises:
        InventoryError: Kubernetes does not allow the name.
    """
    for what in filter(None, (name, namespace)):
        if not _DNS_NAME.fullmatch(what):
            allowed = "small letters, digits, '-' and '.', at most 253"
            raise InventoryError(f"a {kind} would be called {what[:80]!r}; a row's names for clusters have {allowed}")
    metadata: Object = {"name": name, **({"namespace": namespace} if namespace else {})}
    annotations = rest.pop("annotations", None)
    metadata["labels"] = {**MANAGED, **(labels or {})}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def camel_case(value: Any) -> Any:
    """The parts of a pod from `placement/bindings.py`, with the client's names replaced by those of manifests.

    >>> camel_case({"run_as_user": 1, "seccomp_profile": {"type": "RuntimeDefault"}})
    {'runAsUser': 1, 'seccompProfile': {'type': 'RuntimeDefault'}}
    """
    if isinstance(value, dict):
        return {
            re.sub("_([a-z])", lambda found: found[1].upper(), name): camel_case(one) for name, one in value.items()
        }
    if isinstance(value, list):
        return [camel_case(one) for one in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, no YAML references, and text so that every parser reads it as text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else "'" if _NUMBER_ELSEWHERE.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(*objects: Object) -> str:
    """The objects as YAML documents of one file."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def left_behind(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Descriptions of objects that are in the old files but not in the new ones, with the folder of their region.

    `kubectl apply` does not delete them: a quota that was removed from its row still rejects pods.

    Args:
        before: old text by name, `east/limits.yaml`.
        now: new text by name.
    """
    return sorted(_objects_of(before) - _objects_of(now))


def _objects_of(files: Mapping[str, str]) -> set[str]:
    found = set()
    for name, text in files.items():
        if name.endswith(".yaml") and "/" in name:
            objects = [one for one in yaml.safe_load_all(text) if one["kind"] != "Kustomization"]
            found |= {f"{name.split('/')[0]}: {one['kind']} {one['metadata']['name']}" for one in objects}
    return found
