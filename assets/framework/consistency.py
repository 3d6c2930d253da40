"""Checks when definitions load that the assets of an application match its declaration."""

from collections.abc import Iterable, Sequence

import dagster as dg

from resources.keys import CADENCE_TAG, INPUTS_TAG, ROLE_TAG, Cadence, Role
from resources.materializations.inputs import RULES
from resources.residency import TABLE
from sinet_pipelines.applications.application import Application
from sinet_pipelines.errors import ContractError


def require_consistent(application: Application, assets: Iterable[dg.AssetsDefinition | dg.AssetSpec]) -> None:
    """Checks that the assets match the application.

    Args:
        application: with its tables, rules, landed data and endpoint.
        assets: all of the application.

    Raises:
        ContractError: they do not; the message names the first difference.
    """
    specs = [spec for one in assets for spec in ([one] if isinstance(one, dg.AssetSpec) else one.specs)]
    if not specs:
        raise ContractError(
            f"application {application.name} has no assets (needed: a module of a stage in "
            f"assets/{application.name}/); add one, or take the name from the list of applications"
        )
    for spec in specs:
        if table := spec.metadata.get(TABLE):
            application.table(str(getattr(table, "value", table)))
    _require_landed(application, specs)
    _require_rules(application, specs)
    _require_endpoint(application, specs)


def _require_landed(application: Application, specs: Sequence[dg.AssetSpec]) -> None:
    landing = [
        spec.key.to_user_string()
        for spec in specs
        if spec.tags.get(ROLE_TAG) == Role.LANDING_ZONE
        or spec.tags.get(CADENCE_TAG) == Cadence.LANDING
        or spec.partitions_def is not None
    ]
    if landing and application.landed is None:
        raise ContractError(
            f"application {application.name} lands nothing, and {landing[0]} is made of what lands or has days; give "
            "the application `landed`, or the asset another cadence and no days"
        )


def _require_rules(application: Application, specs: Sequence[dg.AssetSpec]) -> None:
    declared = {spec.tags[INPUTS_TAG] for spec in specs if INPUTS_TAG in spec.tags}
    known = ", ".join([*RULES, *application.rules])
    made_by_days = [spec for spec in specs if spec.partitions_def and {INPUTS_TAG, CADENCE_TAG} & set(spec.tags)]
    for spec in made_by_days:
        rule = spec.tags.get(INPUTS_TAG, "")
        if rule not in RULES and rule not in application.rules:
            raise ContractError(
                f"{spec.key.to_user_string()} declares inputs {rule!r}, and there is no such rule (known: {known}); "
                "name one of them"
            )
    if unused := sorted(set(application.rules).difference(declared)):
        raise ContractError(
            f"application {application.name} has rules that no asset declares: {', '.join(unused)}; declare each with "
            "`bind(inputs=...)`, or remove it"
        )
    if twice := sorted(set(application.rules).intersection(RULES)):
        raise ContractError(
            f"application {application.name} has rules with names of the platform's: {', '.join(twice)}; rename them"
        )


def _require_endpoint(application: Application, specs: Sequence[dg.AssetSpec]) -> None:
    endpoints = [spec for spec in specs if spec.tags.get(ROLE_TAG) == Role.ENDPOINT]
    if application.served is not None and not endpoints:
        raise ContractError(
            f"application {application.name} is served, and none of its assets is the endpoint; add one with the role "
            "`endpoint`, or take `served` away"
        )
    if application.served is None and endpoints:
        raise ContractError(
            f"{endpoints[0].key.to_user_string()} is an endpoint, and application {application.name} does not state "
            "its inputs; give the application `served`"
        )
    if len(endpoints) > 1:
        found = ", ".join(spec.key.to_user_string() for spec in endpoints)
        raise ContractError(f"application {application.name} has {len(endpoints)} endpoints ({found}); keep one")
