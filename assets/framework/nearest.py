"""The index of past failures of a region: windows before failures as vectors, for the search of similar ones."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from assets.framework.regional import here
from assets.framework.reports import made
from resources.keys import Cadence
from resources.placement import bind
from sinet_pipelines.applications.application import Application
from sinet_pipelines.errors import ContractError, StorageError
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.tables import TableStore

if TYPE_CHECKING:
    from sinet_pipelines.features.nearest import PastFailures

RECALL_CHECK = "finds_what_an_exact_search_finds"


def failure_index_of(
    application: Application,
    region: Region,
    *,
    windows: Callable[[TableStore], pl.DataFrame],
    deps: Iterable[dg.AssetKey],
) -> dg.AssetsDefinition:
    """The asset of a region's index of past failures.

    The index is a blob, and its ref has the version of the embedding in its name: an index of other features has
    another name. An index whose recall is too low is not used: the former one stays, and the asset is not made.

    Args:
        application: with `past_failures`.
        region: of the windows and of the index.
        windows: those before past failures, as `past_failures.windows`; here its code counts for the asset.
        deps: upstreams of the windows.

    Raises:
        ContractError: the application declares no past failures.
    """
    past = application.past_failures
    if past is None:
        raise ContractError(f"application {application.name} declares no `past_failures` to index; declare them")
    key = dg.AssetKey(application.key("failure_index", region=region.name))

    @dg.asset(
        key=key,
        deps=list(deps),
        output_required=False,
        check_specs=[
            dg.AssetCheckSpec(
                RECALL_CHECK,
                asset=key,
                description="Of the 10 nearest windows by comparison with all vectors, the index finds at least 95 %.",
            )
        ],
        **bind(region, cadence=Cadence.FOLLOW, data_class=DataClass.FEATURE, kinds={"usearch"}),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        from sinet_pipelines.features.nearest import RECALL_LIMIT, to_bytes
        from sinet_pipelines.storage.fingerprint import fingerprint

        place = here(context, region)
        index, facts = _measured(past, windows(place.tables))
        found, query_ms = facts["recall_at_10"], facts.pop("query_ms")
        yield dg.AssetCheckResult(
            passed=found is None or found >= RECALL_LIMIT,
            check_name=RECALL_CHECK,
            description=_reason(found, facts["failures"]),
            metadata={} if found is None else {"recall_at_10": round(found, 4), "limit": RECALL_LIMIT},
        )
        if found is not None and found < RECALL_LIMIT:
            return
        content = to_bytes(index, facts)
        place.blobs.point(past.ref, put_sound(place.blobs, content))
        named = f"{past.embedding.version}-{facts['content']}"
        entries = {
            "vectors": facts["vectors"],
            "failures": facts["failures"],
            "recall_at_10": "no window to measure it by" if found is None else round(found, 4),
            "query_ms": query_ms,
            "windows_left_out": facts["left_out"],
            "bytes": len(content),
            "embedding": past.embedding.version,
        }
        yield made(context, fingerprint(named), entries=entries)

    return asset


def _measured(past: "PastFailures", rows: pl.DataFrame) -> tuple[Any, dict[str, Any]]:
    """The index of every n-th window, and its facts; the windows between these measure the recall of its file.

    A window with a feature that is no finite number is left out and counted.
    """
    import numpy as np

    from sinet_pipelines.features.nearest import LEFT, QUERIES, build, from_bytes, recall, spread_out, to_bytes
    from sinet_pipelines.storage.fingerprint import fingerprint

    vectors_BD = past.embedding.of(rows)
    is_finite_B = np.isfinite(vectors_BD).all(axis=1)
    rows, vectors_BD = rows.filter(pl.Series(is_finite_B)), vectors_BD[is_finite_B]
    phase_B = rows[LEFT].to_numpy() % past.every
    kept = rows.filter(pl.Series(phase_B == 0)).select(past.group, past.order, LEFT, past.standard)
    kept_BD = vectors_BD[phase_B == 0]
    queries = spread_out(np.flatnonzero(phase_B == past.every // 2).tolist(), QUERIES)
    index = build(kept, kept_BD)
    stored, _ = from_bytes(to_bytes(index, {}))
    began = perf_counter()
    for place in queries:
        stored.nearest_groups(vectors_BD[place], 10, group=past.group, but=rows[past.group][place])
    facts = {
        "vectors": kept.height,
        "failures": kept[past.group].n_unique(),
        "left_out": int((~is_finite_B).sum()),
        "recall_at_10": recall(stored, kept_BD, vectors_BD[queries]),
        "standards": sorted(kept[past.standard].unique()),
        "content": fingerprint(kept.write_csv(), kept_BD.tobytes().hex()),
        "query_ms": round(1000 * (perf_counter() - began) / max(len(queries), 1), 3),
    }
    return index, facts


def _reason(found: float | None, failures: int) -> str:
    if found is None:
        return f"{failures} past failures with a complete window: there is nothing to measure"
    return f"{found:.1%} of the 10 nearest windows of {failures} past failures are found"


def put_sound(blobs: BlobStore, content: bytes) -> str:
    """Stores a blob, and replaces one of the same name whose bytes were changed; returns its name.

    Raises:
        StorageError: it cannot be written.
    """
    name = blobs.put(content)
    try:
        blobs.get(name)
    except StorageError:
        blobs.remove(name, unless_after=datetime.now(UTC))
        blobs.put(content)
    return name
