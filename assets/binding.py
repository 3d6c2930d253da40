"""What an asset's page shows of its binding: region and hardware, what it needs, and the Job that it would be."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from resources.markdown import shown
from resources.placement import HARDWARE_TAG, JOB_TAG, NEEDS_TAG, REGION_TAG
from sinet_pipelines.markdown import Markdown, code, code_block, together
from sinet_pipelines.placement.needs import Needs

SHORT = ("container_config", "pod_spec_config", "job_spec_config")  # labels stand among the kinds and tags already


def with_binding(asset: dg.AssetsDefinition | dg.AssetSpec) -> dg.AssetsDefinition | dg.AssetSpec:
    """The asset with its binding on its page, where it has one."""
    if not isinstance(asset, dg.AssetsDefinition) or not asset.is_executable or REGION_TAG not in asset.op.tags:
        return asset
    tags = asset.op.tags
    return asset.map_asset_specs(
        lambda spec: spec.replace_attributes(
            metadata={**spec.metadata, **binding_entries(tags, name=spec.key.to_user_string())}
        )
    )


def binding_entries(tags: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """Definition metadata from a step's tags: where it runs, what it needs, its Job in short.

    Args:
        tags: of the step.
        name: of the asset, as the command that shows all of the Job takes it.
    """
    needs = Needs.from_json(tags[NEEDS_TAG])
    job = _config(tags[JOB_TAG])
    short = {part.removesuffix("_config"): job[part] for part in SHORT}
    limits = job["container_config"]["resources"]["limits"]  # requests are the same
    short["container"] = {**short["container"], "resources": {"limits": limits}}
    whole = Markdown(f"{code(f'sinet render {name}')} shows all of it.")
    return {
        "runs_in": f"{tags[REGION_TAG]} on {tags[HARDWARE_TAG]}",
        "needs": _told(needs, tags[HARDWARE_TAG]),
        "job": shown(together(code_block(_yaml(short), "yaml"), whole)),
    }


def _config(tag: Any) -> dict[str, Any]:
    return json.loads(tag) if isinstance(tag, str) else tag


def _told(needs: Needs, hardware: str) -> str:
    """The needs in words, what is usual left out."""
    cores = needs.cpu_millicores / 1000
    said = [f"{cores:g} {'core' if cores == 1 else 'cores'}", f"{needs.memory_mib / 1024:g} GiB"]
    said += [f"{needs.count} x {hardware}"] if needs.count else []
    said += [f"{needs.hours:g} h", f"priority {needs.priority}"]
    said += [f"ready by {needs.latest_finish:%H:%M} UTC"] if needs.latest_finish else []
    said += ["may be preempted"] if needs.is_preemptible else []
    said += ["cheap: a process of the run's own pod"] if needs.is_cheap else []
    said += [f"may move to {', '.join('/'.join(place) for place in needs.may_move_to)}"] if needs.may_move_to else []
    return ", ".join(said)


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Plain data as lines of YAML; JSON is YAML, so what stands in a list is told as that."""
    for name, child in value.items():
        if isinstance(child, dict) and child:
            yield f"{indent}{name}:"
            yield from _yaml(child, indent + "  ")
        elif isinstance(child, list):
            yield f"{indent}{name}:"
            yield from (f"{indent}  - {json.dumps(item)}" for item in child)
        else:
            yield f"{indent}{name}: {json.dumps(child)}"
