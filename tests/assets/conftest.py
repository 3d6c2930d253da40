"""What tests of stages share: a home in which the small fleet was walked from its drops to the model card."""

import shutil

import dagster as dg
import pytest

from assets.turbofan.keys import global_key
from sinet_pipelines.applications.turbofan.families import CANDIDATE_NAMES
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from tests.conftest import executor_for
from tests.deployed import everywhere
from tests.inventory import REGIONS
from tests.zones import landing_zone

REGIONAL = (
    *("raw_telemetry", "validated_telemetry", "failure_events", "truth_events", "regime_cells", "window_features"),
    *("training_sequences", "evaluation_sequences", "calibration_sequences", "failure_index"),
)
GLOBAL = (
    *("operating_regimes", "training_set", "evaluation_set", *CANDIDATE_NAMES),
    *("evaluation", "onnx_models", "int8_model", "served_graph", "registered_model"),
    *("spiking_challenger", "spiking_verdict", "model_card"),
)


@pytest.fixture(scope="session")
def walked(landed, definitions, tmp_path_factory):
    """A home of the small fleet, and the instance that tells how it was made; copy the home to change it."""
    home = tmp_path_factory.mktemp("walked") / "home"
    shutil.copytree(landed, home, dirs_exist_ok=True)
    days = sorted({day for region in REGIONS for day in landing_zone(home, TELEMETRY).days(region.name)})
    keys = [*(key for name in REGIONAL for key in everywhere(name)), *map(global_key, GLOBAL)]
    with dg.DagsterInstance.ephemeral() as instance:
        assert executor_for(home, definitions)(instance, keys, (days[0], days[-1])).success
        yield home, instance
