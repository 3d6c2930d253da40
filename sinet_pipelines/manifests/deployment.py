"""All files of a deployment, by region, for `kubectl apply -k DIR/<region>`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sinet_pipelines.errors import InventoryError
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.manifests import base, dask, policies, queues, scripts, streams
from sinet_pipelines.manifests.control import control
from sinet_pipelines.manifests.objects import Object, as_yaml
from sinet_pipelines.words import counted

HEAD = "# Written by `sinet render --deploy`; put changes into inventory.yaml or an overlay of your own.\n"
_CONTEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]*")  # used unchanged in scripts and YAML


def hub_of(regions: Sequence[Region]) -> Region:
    """The region whose cluster runs Dagster.

    Raises:
        InventoryError: there is no such region, or more than one.
    """
    found = [region for region in regions if region.cluster.runs_dagster]
    if len(found) != 1:
        names = ", ".join(region.name for region in found) or "no region"
        raise InventoryError(f"{names} runs Dagster; set `cluster: {{runs_dagster: true}}` of one region alone")
    return found[0]


def files(regions: Sequence[Region], *, instance: Mapping[str, Any], step_instance: str) -> dict[str, str]:
    """Text by name of every file.

    Args:
        regions: regions of the inventory.
        instance: `deploy/dagster.yaml`.
        step_instance: text of `deploy/dagster-step.yaml`.

    Raises:
        InventoryError: a cluster cannot be set up from a row.
    """
    hub = hub_of(regions)
    found: dict[str, str] = {}
    for region in regions:
        if not _CONTEXT.fullmatch(region.cluster.kubeconfig_context):
            allowed = "letters, digits and _ . : / @ -"
            raise InventoryError(
                f"{region.name}: the context {region.cluster.kubeconfig_context!r} has more than {allowed}"
            )
        parts = _parts(region, step_instance=step_instance)
        if region is hub:
            settings = base.settings(region, step_instance="")[:1]  # Dagster's own pods do not use a step's instance
            parts["dagster.yaml"] = control(region, instance=instance, settings=settings)
        found |= _folder(region.key, parts)
        if queue := queues.queues(region):
            found |= _folder(f"{region.key}/kueue", {"queues.yaml": queue})
    found |= {f"{policies.FOLDER}/{name}": text for name, text in policies.files(regions).items()}
    found["secrets.sh"] = scripts.secrets(regions, hub)
    found["kubeconfig.sh"] = scripts.kubeconfig(regions, hub)
    found["README.md"] = _readme(regions, hub)
    return found


def _parts(region: Region, *, step_instance: str) -> dict[str, list[Object]]:
    return {
        "namespace.yaml": base.namespace(region),
        "accounts.yaml": base.accounts(region),
        "settings.yaml": base.settings(region, step_instance=step_instance),
        "claims.yaml": base.claims(region),
        "priorities.yaml": base.priorities(region),
        "limits.yaml": base.limits(region),
        "network.yaml": base.network(region),
        "streams.yaml": streams.ingesters(region),
        "dask.yaml": dask.dask_workers(region),
    }


def _folder(name: str, parts: Mapping[str, Sequence[Object]]) -> dict[str, str]:
    """The files of a kustomize base; parts without objects have no file."""
    held = {file: objects for file, objects in parts.items() if objects}
    base_file = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": list(held)}
    found = {f"{name}/{file}": HEAD + as_yaml(*objects) for file, objects in held.items()}
    return {f"{name}/kustomization.yaml": HEAD + as_yaml(base_file), **found}


def _readme(regions: Sequence[Region], hub: Region) -> str:
    """The setup commands, in their order."""
    lines = [f"# {counted(len(regions), 'cluster')}, and what to apply", "", HEAD[2:].strip(), ""]
    for region in regions:
        lines.append(f"    {region.cluster.kubectl()} apply -k {region.key}")
    lines += ["    ./secrets.sh FILE        # FILE holds the database's URL", "    ./kubeconfig.sh", ""]
    lines += ["Pods that name a secret wait until the scripts have made it, and then start by themselves.", ""]
    for region in regions:
        lines += _notes(region)
    at = hub.cluster.kubectl(namespace=hub.cluster.namespace)
    lines += ["", f"The pages: `{at} port-forward service/sinet-webserver 3000`, then http://127.0.0.1:3000.", ""]
    return "\n".join(lines)


def _notes(region: Region) -> list[str]:
    cluster = region.cluster
    kubectl = cluster.kubectl()
    notes = [f"nodes carry {', '.join(f'`{name}={value}`' for name, value in cluster.node_labels.items())}"]
    if classes := base.runtime_classes(region):
        notes.append(f"runtime classes {', '.join(classes)} come with the operator of the devices")
    for name in cluster.image_pull_secrets:
        made = f"{kubectl} -n {cluster.namespace} create secret docker-registry {name}"
        notes.append(f"`{made} --from-file=.dockerconfigjson=FILE` for the image's registry")
    for name in sorted({tier.secret for tier in region.storage if tier.secret}):
        keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        notes.append(f"secret {name} with {keys}, for steps that read the object store")
    notes += streams.notes(region)
    notes += dask.notes(region)
    if cluster.queue:
        notes.append(f"where Kueue is installed, `{kubectl} apply -k {region.key}/kueue`")
    return [f"- {region.name}: {'; '.join(notes)}."]
