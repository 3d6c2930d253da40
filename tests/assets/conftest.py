"""What tests of stages share: a home in which the small fleet was walked from its drops to the model card."""

import shutil

import dagster as dg
import pytest

from resources.keys import everywhere, global_key
from resources.settings import settings
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.models.families import CANDIDATE_NAMES
from sinet_pipelines.regions import REGIONS
from tests.conftest import executor_for

REGIONAL = (
    *("raw_telemetry", "validated_telemetry", "failure_events", "truth_events", "regime_cells", "window_features"),
    *("training_sequences", "evaluation_sequences", "calibration_sequences"),
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
    shutil.copytree(landed, home / "landing")
    days = sorted({day for region in REGIONS for day in LandingZone(home / "landing").days(region.name)})
    keys = [*(key for name in REGIONAL for key in everywhere(name)), *map(global_key, GLOBAL)]
    with dg.DagsterInstance.ephemeral() as instance:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SINET_HOME", str(home))
            settings.cache_clear()
            assert executor_for(home, definitions)(instance, keys, (days[0], days[-1])).success
        settings.cache_clear()
        yield home, instance
