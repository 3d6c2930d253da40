"""Assets that are not what their application states are refused when definitions load, each with one sentence."""

from dataclasses import replace

import dagster as dg
import pytest

from assets.framework.consistency import require_consistent
from resources.keys import CADENCE_TAG, INPUTS_TAG, ROLE_TAG, Cadence, Role
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.errors import ContractError
from tests.deployed import deployment_at

DAYS = dg.DailyPartitionsDefinition("2026-03-01")
NOTHING = replace(MILLING, landed=None, source=None, served=None)
ENDPOINT = dg.AssetSpec("endpoint", tags={ROLE_TAG: str(Role.ENDPOINT)})
TABLE = dg.AssetSpec("table")


def test_an_application_whose_assets_are_what_it_states_is_not_refused():
    assert require_consistent(MILLING, [ENDPOINT, TABLE]) is None
    assert require_consistent(NOTHING, [TABLE]) is None


@pytest.mark.parametrize(
    ("application", "specs", "reason"),
    [
        (NOTHING, [], r"milling has no assets \(needed: a module of a stage in assets/milling/\)"),
        (
            NOTHING,
            [dg.AssetSpec("zone", tags={ROLE_TAG: str(Role.LANDING_ZONE)})],
            "lands nothing, and zone is made of what lands .*give the application `landed`",
        ),
        (NOTHING, [dg.AssetSpec("raw", tags={CADENCE_TAG: str(Cadence.LANDING)})], "lands nothing, and raw"),
        (NOTHING, [dg.AssetSpec("daily", partitions_def=DAYS)], "lands nothing, and daily .* or has days"),
        (
            replace(MILLING, served=None),
            [dg.AssetSpec("daily", partitions_def=DAYS, tags={INPUTS_TAG: "lunar"})],
            r"daily declares inputs 'lunar', and there is no such rule \(known: landed_rows",
        ),
        (
            replace(NOTHING, rules={"windows": None}),
            [TABLE],
            r"rules that no asset declares: windows; declare each with `bind\(inputs=\.\.\.\)`, or remove it",
        ),
        (
            replace(MILLING, served=None, rules={"same_day": None}),
            [dg.AssetSpec("daily", partitions_def=DAYS, tags={INPUTS_TAG: "same_day"})],
            "rules with names of the platform's: same_day; rename them",
        ),
        (MILLING, [TABLE], "is served, and none of its assets is the endpoint"),
        (
            NOTHING,
            [ENDPOINT],
            "endpoint is an endpoint, and application milling does not state its inputs",
        ),
        (MILLING, [ENDPOINT, dg.AssetSpec("other", tags=ENDPOINT.tags)], "has 2 endpoints"),
        (NOTHING, [dg.AssetSpec("x", metadata={"sinet/table": "none"})], "milling has no table 'none'"),
    ],
)
def test_what_is_not_as_stated_is_refused(application, specs, reason):
    with pytest.raises(ContractError, match=reason):
        require_consistent(application, specs)


def test_definitions_of_such_an_application_do_not_load(tmp_path):
    from assets.definitions import build_defs

    with pytest.raises(ContractError, match="milling has rules that no asset declares: windows"):
        build_defs(deployment_at(tmp_path), [replace(MILLING, rules={"windows": None})])
