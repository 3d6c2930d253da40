"""What a selection of a backfill may be."""

import pytest

from assets.turbofan.keys import regional_key
from schedules.backfill_goal import select
from sinet_pipelines.errors import UsageError
from tests.inventory import EAST

RAW, VALIDATED = regional_key(EAST, "raw_telemetry"), regional_key(EAST, "validated_telemetry")


@pytest.fixture(scope="module")
def assets(definitions):
    return definitions.resolve_asset_graph()


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("group:nothing", "matches no asset; `sinet status` shows every asset; groups are"),
        ('key:"EAST/turbofan/landing_zone"', "matches only files that no step makes"),
        ("EAST/turbofan/no_such_asset+", "names an asset that does not exist"),
        ("raw_telemetry", "names an asset that does not exist"),
        ("gro up:", "cannot be read; write Dagster's asset selection syntax"),
        ("", "cannot be read"),
        ("status:healthy", "has an attribute that only Dagster's UI has"),
        ("job:nightly", "has an attribute that only Dagster's UI has"),
        ("code_location:here", "has an attribute that only Dagster's UI has"),
    ],
)
def test_what_is_no_selection_is_refused(assets, selection, message):
    with pytest.raises(UsageError, match=message):
        select(assets, selection)


def test_neighbours_groups_and_patterns_select_what_steps_make(assets):
    assert select(assets, "+EAST/turbofan/validated_telemetry") == {RAW, VALIDATED}  # not the files of the landing zone
    assert RAW in select(assets, 'key:"EAST/turbofan/*"')
    assert VALIDATED in select(assets, 'group:validation and not key:"WEST/*"')
