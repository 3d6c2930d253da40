"""Shows an asset's binding on its page: region and hardware, needs, and its Kubernetes Job."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

from resources.keys import APPLICATION_TAG
from resources.markdown import shown
from resources.placement import HARDWARE_TAG, JOB_TAG, NEEDS_TAG, REGION_TAG
from resources.residency import CLASS_ENTRY, TABLE
from sinet_pipelines.markdown import Markdown, code, code_block, together
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.schemas.contract import DataClass, TableName
from sinet_pipelines.storage.layout import table_uri

TABLE_NAME, URI = "dagster/table_name", "dagster/uri"
SHORT = ("container_config", "pod_spec_config", "job_spec_config")  # labels stand among the kinds and tags already


def binding_of(asset: dg.AssetsDefinition | dg.AssetSpec) -> Callable[[dg.AssetSpec], dict[str, Any]]:
    """The definition metadata of an asset's binding, for its spec; empty for an asset without a binding."""
    if not isinstance(asset, dg.AssetsDefinition) or not asset.is_executable or REGION_TAG not in asset.op.tags:
        return lambda _: {}
    tags = asset.op.tags
    return lambda spec: binding_entries(tags, name=spec.key.to_user_string())


def with_location(spec: dg.AssetSpec, roots: Mapping[str, str]) -> dg.AssetSpec:
    """The spec with the name and the address of its table, where it has one in a region.

    Args:
        spec: with its application's name among its tags.
        roots: where each region keeps its data.
    """
    name, region, application = spec.metadata.get(TABLE), spec.tags.get(REGION_TAG), spec.tags[APPLICATION_TAG]
    if name is None or region is None:
        return spec
    table = TableName(name, DataClass(spec.metadata[CLASS_ENTRY]))
    uri = table_uri(roots[region], application, table)
    return spec.merge_attributes(metadata={TABLE_NAME: f"{region}.{application}.{name}", URI: uri})


def binding_entries(tags: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """Definition metadata from a step's tags: where it runs, what it needs, and a summary of its Job.

    Args:
        tags: of the step.
        name: of the asset, for the command that shows the whole Job.
    """
    needs = Needs.from_json(tags[NEEDS_TAG])
    job = _config(tags[JOB_TAG])
    short = {part.removesuffix("_config"): job[part] for part in SHORT}
    limits = job["container_config"]["resources"]["limits"]  # requests are the same
    short["container"] = {**short["container"], "resources": {"limits": limits}}
    whole = Markdown(f"{code(f'sinet render {name}')} shows all of it.")
    return {
        "runs_in": f"{tags[REGION_TAG]} on {tags[HARDWARE_TAG]}",
        "needs": _needs_text(needs, tags[HARDWARE_TAG]),
        "job": shown(together(code_block(_yaml(short), "yaml"), whole)),
    }


def _config(tag: Any) -> dict[str, Any]:
    return json.loads(tag) if isinstance(tag, str) else tag


def _needs_text(needs: Needs, hardware: str) -> str:
    """The needs as text, without default values."""
    cores = needs.cpu_millicores / 1000
    parts = [f"{cores:g} {'core' if cores == 1 else 'cores'}", f"{needs.memory_mib / 1024:g} GiB"]
    parts += [f"{needs.count} x {hardware}"] if needs.count else []
    parts += [f"{needs.hours:g} h", f"priority {needs.priority}"]
    parts += [f"ready by {needs.latest_finish:%H:%M} UTC"] if needs.latest_finish else []
    parts += ["may be preempted"] if needs.is_preemptible else []
    parts += ["cheap: a process of the run's own pod"] if needs.is_cheap else []
    parts += [f"may move to {', '.join('/'.join(place) for place in needs.may_move_to)}"] if needs.may_move_to else []
    return ", ".join(parts)


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Plain data as lines of YAML; items of a list are written as JSON, which is valid YAML."""
    for name, child in value.items():
        if isinstance(child, dict) and child:
            yield f"{indent}{name}:"
            yield from _yaml(child, indent + "  ")
        elif isinstance(child, list):
            yield f"{indent}{name}:"
            yield from (f"{indent}  - {json.dumps(item)}" for item in child)
        else:
            yield f"{indent}{name}: {json.dumps(child)}"
