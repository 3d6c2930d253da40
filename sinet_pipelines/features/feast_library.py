"""The parts of Feast that the platform uses, imported in half of the time that Feast takes by itself.

Feast marks its classes with `typeguard.typechecked`, which parses and compiles each of them again: half of the CPU time
of `import feast` (0.64). mypy checks the same of our calls, so the mark does nothing while Feast is imported here.
Whoever imports Feast before that gets Feast as it is.

Importing this module takes seconds: import it inside functions.
"""

from collections.abc import Callable
from typing import Any

import typeguard


def _unchecked(target: Any = None, **_: Any) -> Any:
    """Stands for `typeguard.typechecked`: returns the class or function that it marks, without checks of types."""
    return (lambda one: one) if target is None else target


_checked: Callable[..., Any] = typeguard.typechecked
typeguard.typechecked = _unchecked
try:
    from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
    from feast.data_source import DataSource
    from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
    from feast.infra.registry.base_registry import BaseRegistry
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
    from feast.repo_config import FeastConfigBaseModel
    from feast.type_map import pa_to_feast_value_type
    from feast.types import String, from_value_type
finally:
    typeguard.typechecked = _checked

__all__ = (
    "BaseRegistry",
    "DataSource",
    "DataSourceProto",
    "Entity",
    "FeastConfigBaseModel",
    "FeatureStore",
    "FeatureView",
    "Field",
    "OfflineStore",
    "OnDemandFeatureView",
    "RepoConfig",
    "RetrievalJob",
    "RetrievalMetadata",
    "String",
    "ValueType",
    "from_value_type",
    "pa_to_feast_value_type",
)
