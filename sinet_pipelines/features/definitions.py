"""The definitions in Feast's registry: entity, view and service, with version and lineage in Feast's own fields.

Tags of the view that begin with `online.` are not part of a definition: each write to a replica sets those of its
region, so that Feast's SDK and UI show from which versions of which tables a replica was written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from sinet_pipelines.features.replica_mark import Mark
from sinet_pipelines.features.replicas import VIEW
from sinet_pipelines.storage.fingerprint import fingerprint

if TYPE_CHECKING:
    from feast import Entity, FeatureService, FeatureView

ENTITY = "unit"
EVENT_TIME = "recorded_at"
TIE_BREAKS = ("cycle", "row_hash")  # rows of one instant: the later cycle, then whatever is the same everywhere
SERVICE = f"all_{VIEW}"
ONLINE_TAG = "online."  # begins the tags that each write to a replica sets
_DESCRIPTION = "an engine's sensors over its last cycles, in standard deviations of their regime"


@dataclass(frozen=True)
class Definition:
    """What defines the features of a home.

    Attributes:
        tables: the Delta tables as they are in the registry, one for each region.
        features: the view's features with their types, in order.
        ttl: greatest age of a row that still describes an engine.
        code_version: hash of the code that computes the features; empty where it is not known.
        application: whose features they are; empty for none.
        owner: of the application; empty for none.
        descriptions: of features, with their units.
    """

    tables: tuple[str, ...]
    features: Mapping[str, pa.DataType]
    ttl: timedelta
    code_version: str = ""
    application: str = ""
    owner: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The version of the features: hash of their names, types, greatest age, order of rows, and code."""
        types = [f"{name} {dtype}" for name, dtype in self.features.items()]
        return fingerprint(VIEW, *types, str(self.ttl), *TIE_BREAKS, self.code_version)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the view, of its source and of the service."""
        found = {
            "feature_version": self.version,
            "code_version": self.code_version,
            "application": self.application,
            "tables": " ".join(self.tables),
        }
        return {name: value for name, value in found.items() if value}

    def entity(self) -> "Entity":
        """The entity `unit`."""
        from sinet_pipelines.features.feast_library import Entity, ValueType

        return Entity(name=ENTITY, value_type=ValueType.STRING, description="an engine of the fleet")

    def view(self, *, written: Mapping[str, str] | None = None) -> "FeatureView":
        """The view over the tables.

        Args:
            written: tags that writes to replicas set.
        """
        from sinet_pipelines.features.feast_library import (
            FeatureView,
            Field,
            String,
            from_value_type,
            pa_to_feast_value_type,
        )
        from sinet_pipelines.features.source import DeltaSource

        source = DeltaSource(
            name=VIEW,
            tables=self.tables,
            timestamp_field=EVENT_TIME,
            tie_breaks=TIE_BREAKS,
            description="Delta tables of the features, one for each region",
            tags=self.tags,
            owner=self.owner,
        )
        fields = [
            Field(
                name=name,
                dtype=from_value_type(pa_to_feast_value_type(str(dtype))),
                description=self.descriptions.get(name, ""),
            )
            for name, dtype in self.features.items()
        ]
        return FeatureView(
            name=VIEW,
            source=source,
            schema=[Field(name=ENTITY, dtype=String), *fields],
            entities=[self.entity()],
            ttl=self.ttl,
            description=_DESCRIPTION,
            tags={**self.tags, **(written or {})},
            owner=self.owner,
        )

    def service(self) -> "FeatureService":
        """The service of all features of the view."""
        from feast import FeatureService

        text = f"all features of {VIEW}, version {self.version}"
        return FeatureService(name=SERVICE, features=[self.view()], tags=self.tags, description=text, owner=self.owner)

    def is_of(self, views: "Sequence[FeatureView]", services: "Sequence[FeatureService]") -> bool:
        """Whether a registry holds these very definitions; tags of writes, and what Feast noted there, do not count."""
        for view in views:
            view.materialization_intervals = []
            view.tags = {name: value for name, value in view.tags.items() if not name.startswith(ONLINE_TAG)}
        return list(views) == [self.view()] and [(one.name, dict(one.tags)) for one in services] == [
            (SERVICE, self.tags)
        ]


def written_tags(region: str, mark: Mark) -> dict[str, str]:
    """The tags of a write to the replica of a region: versions of the tables, instants, number of engines.

    Args:
        region: its name; empty for a store of no region.
        mark: of the write.
    """
    begin = f"{ONLINE_TAG}{region}." if region else ONLINE_TAG
    versions = " ".join(f"{name}@{one.version}" for name, one in sorted(mark.tables.items()))
    newest = mark.newest_event_at.isoformat(timespec="seconds") if mark.newest_event_at else ""
    return {
        f"{begin}delta_versions": versions,
        f"{begin}engines": str(mark.entities),
        f"{begin}feature_version": mark.definition,
        f"{begin}newest_event_at": newest,
        f"{begin}written_at": mark.written_at.isoformat(timespec="seconds"),
    }
