"""The events of a cluster: who was told what last, in the order of the telling."""

from typing import Any

Key = tuple[str, str, str, str, str, str]  # namespace, kind, name, reason, message, type


class Events:
    """What happened to objects; what happens again is counted, and is the newest."""

    def __init__(self) -> None:
        self._counts: dict[Key, int] = {}
        self._order: dict[Key, int] = {}
        self._made = 0

    def record(
        self, namespace: str, kind: str, name: str, reason: str, message: str, *, is_warning: bool = False
    ) -> None:
        """Records an event about an object."""
        key = (namespace, kind, name, reason, message, "Warning" if is_warning else "Normal")
        self._made += 1
        self._counts[key] = self._counts.get(key, 0) + 1
        self._order[key] = self._made

    def shown(self, namespace: str, requested: dict[str, str]) -> list[dict[str, Any]]:
        """The events of a namespace as the API shows them, chosen by fields such as `involvedObject.name`."""
        items = []
        for key, at in sorted(self._order.items(), key=lambda one: one[1]):
            where, kind, name, reason, message, severity = key
            has = {"involvedObject.kind": kind, "involvedObject.name": name, "reason": reason, "type": severity}
            if where != namespace or any(has.get(field) != value for field, value in requested.items()):
                continue
            when = f"2026-01-{at // 86400 % 28 + 1:02d}T{at // 3600 % 24:02d}:{at // 60 % 60:02d}:{at % 60:02d}Z"
            items.append(
                {
                    "metadata": {"name": f"{name}.{at:x}", "namespace": where, "creationTimestamp": when},
                    "involvedObject": {"kind": kind, "name": name, "namespace": where},
                    "reason": reason,
                    "message": message,
                    "type": severity,
                    "count": self._counts[key],
                    "firstTimestamp": when,
                    "lastTimestamp": when,
                }
            )
        return items

    def reasons(self, kind: str, name: str) -> list[str]:
        """The reasons of an object's events, in the order of their last time."""
        found = sorted((at, key[3]) for key, at in self._order.items() if key[1:3] == (kind, name))
        return [reason for _, reason in found]
