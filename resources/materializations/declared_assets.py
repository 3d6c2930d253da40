"""What the assets of a graph declare: region, application, table, cadence, upstreams, days and code."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date
from typing import cast

import dagster as dg

from resources.dagster_private import BaseAssetGraph
from resources.keys import CADENCE_TAG, INPUTS_TAG, ROLE_TAG, Cadence, Role, declared, name_of
from resources.materializations.kept import place_of
from sinet_pipelines.applications.application import Application
from sinet_pipelines.schemas.contract import Contract


class DeclaredAssets(ABC):
    """The declarations of the assets of a graph."""

    graph: BaseAssetGraph

    @property
    @abstractmethod
    def applications(self) -> Mapping[str, Application]:
        """The applications by name."""

    def application(self, key: dg.AssetKey) -> Application:
        """The application of an asset."""
        return self.applications[name_of(key).application]

    def region(self, key: dg.AssetKey) -> str:
        """The region whose asset it is; empty for an asset that exists once."""
        return name_of(key).region or ""

    def cadence(self, key: dg.AssetKey) -> str:
        """When the asset is made."""
        return declared(self.graph, key, CADENCE_TAG)

    def contract(self, key: dg.AssetKey) -> Contract:
        """The contract of the asset's table."""
        table = place_of(self.graph.get(key)).table
        return self.application(key).table(table.name if table else name_of(key).name)

    def parents_with_days(self, key: dg.AssetKey) -> list[dg.AssetKey]:
        """The upstreams with days that steps make, in the order of their keys."""
        parents = sorted(self.graph.get(key).parent_keys)
        return [one for one in parents if self.graph.get(one).is_partitioned and self.graph.get(one).is_materializable]

    def keys_with_days(self, *cadences: Cadence) -> list[dg.AssetKey]:
        """The assets with days that steps make and that declare one of these cadences (any, where none is given)."""
        return [
            key
            for key in self.graph.toposorted_asset_keys
            if (node := self.graph.get(key)).is_materializable
            and node.is_partitioned
            and INPUTS_TAG in node.tags
            and (not cadences or self.cadence(key) in cadences)
        ]

    def events(self) -> list[dg.AssetKey]:
        """The tables of events, which are made from files of the landing zone."""
        keys = [key for key in self.graph.toposorted_asset_keys if not self.graph.get(key).is_partitioned]
        return [key for key in keys if self.cadence(key) == Cadence.LANDING]

    def kind(self, key: dg.AssetKey) -> str:
        """The kind of events that a table of events is made from."""
        kinds = self.application(key).data.events
        return next(kind.name for kind in kinds if kind.contract.name == name_of(key).name)

    def first_day(self, key: dg.AssetKey) -> date:
        """The day on which the partitions of an asset with days begin: the first landed day of its application."""
        days = self.graph.get(key).partitions_def
        return cast(dg.DailyPartitionsDefinition, days).start.date()

    def code(self, key: dg.AssetKey) -> str:
        """The code version of an asset."""
        return self.graph.get(key).code_version or ""

    def above(self, key: dg.AssetKey) -> set[dg.AssetKey]:
        """All direct and indirect upstreams of an asset; not those of an endpoint, which serves whatever changes."""
        above, left = set[dg.AssetKey](), [key]
        while left:
            for parent in self.graph.get(left.pop()).parent_keys:
                if parent not in above:
                    above.add(parent)
                    if declared(self.graph, parent, ROLE_TAG) != Role.ENDPOINT:
                        left.append(parent)
        return above
