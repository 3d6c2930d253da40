"""The variables of a container as its pod's spec says them, and what the kubelet says of those that it cannot find."""

import base64
import re
from typing import Any

from tests.clusters.objects import Objects
from tests.clusters.pods import Pod

Body = dict[str, Any]
KINDS = {
    "configMap": ("configmaps", "configmap", "ConfigMap"),
    "secret": ("secrets", "secret", "Secret"),
}
REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")


class ConfigError(Exception):
    """A container cannot be made as its spec says; the message is the kubelet's."""


def entries(body: Body) -> dict[str, bytes]:
    """What a config map or secret holds, by key."""
    is_secret = body.get("kind") == "Secret"
    data = (body.get("data") or {}).items()
    found = {key: base64.b64decode(value) if is_secret else str(value).encode() for key, value in data}
    found |= {key: base64.b64decode(value) for key, value in (body.get("binaryData") or {}).items()}
    return found | {key: str(value).encode() for key, value in (body.get("stringData") or {}).items()}


def variables(pod: Pod, container: Body, objects: Objects) -> dict[str, str]:
    """The variables of a container, those of its spec alone.

    Raises:
        ConfigError: it names a config map, a secret or a key that is not there.
    """
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for kind in KINDS:
            if ref := source.get(f"{kind}Ref"):
                body = _looked_up(kind, pod, ref, objects)
                prefix = source.get("prefix", "")
                found |= {f"{prefix}{key}": value.decode() for key, value in entries(body or {}).items()}
    for one in container.get("env") or []:
        value = _value(one, pod, objects)
        if value is not None:
            found[one["name"]] = expanded(value, found)
    return found


def expanded(text: str, known: dict[str, str]) -> str:
    """The text with `$(NAME)` replaced where NAME is known, as in commands, arguments and later variables."""

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return REFERENCE.sub(replaced, text)


def _value(one: Body, pod: Pod, objects: Objects) -> str | None:
    source = one.get("valueFrom")
    if source is None:
        return one.get("value") or ""
    if field := source.get("fieldRef"):
        return _field(field["fieldPath"], pod)
    for kind in KINDS:
        if ref := source.get(f"{kind}KeyRef"):
            return _keyed(kind, pod, ref, objects)
    return None


def _field(path: str, pod: Pod) -> str:
    known = {
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": pod.uid,
        "spec.nodeName": pod.node,
        "spec.serviceAccountName": pod.spec.get("serviceAccountName", "default"),
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }
    labels = {f"metadata.labels['{key}']": value for key, value in pod.labels.items()}
    return (known | labels)[path]


def _keyed(kind: str, pod: Pod, ref: Body, objects: Objects) -> str | None:
    body = _looked_up(kind, pod, ref, objects)
    if body is None:
        return None
    found = entries(body)
    if ref["key"] not in found:
        if ref.get("optional"):
            return None
        raise ConfigError(f"couldn't find key {ref['key']} in {KINDS[kind][2]} {pod.namespace}/{ref['name']}")
    return found[ref["key"]].decode()


def _looked_up(kind: str, pod: Pod, ref: Body, objects: Objects) -> Body | None:
    plural, word, _ = KINDS[kind]
    body = objects.get(plural, pod.namespace, ref["name"])
    if body is None and not ref.get("optional"):
        raise ConfigError(f'{word} "{ref["name"]}" not found')
    return body
