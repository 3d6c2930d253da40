"""The endpoint as a step sees it: a server is re-used for the same bytes, asked sanely, and asked for a fleet."""

import hashlib
from datetime import UTC, datetime

import polars as pl
import pytest

from resources.serving import ServingResource
from sinet_pipelines.deployment.process import stop_servers
from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.features.sample import mean_engine
from sinet_pipelines.features.sequences import sequences_to_table
from sinet_pipelines.regions import WEST
from sinet_pipelines.registry.versions import Version
from sinet_pipelines.schemas.features import LIVE_SEQUENCES, MAX_RUL_CYCLES
from sinet_pipelines.schemas.telemetry import SENSORS
from sinet_pipelines.storage.tables import empty
from tests.sinet_pipelines.deployment.served import rul_graph

#: One regime about the settings of zero, every sensor 0 with a spread of 1: its mean engine is a window of zeros.
REGIMES = OperatingRegimes(
    (1.0, 1.0, 1.0), ((0.0, 0.0, 0.0),), ((0.0,) * len(SENSORS),), ((1.0,) * len(SENSORS),), (10,)
)


@pytest.fixture
def serving(tmp_path):
    yield ServingResource(home=str(tmp_path))
    for folder in (tmp_path / "serving").glob("WEST/*"):
        stop_servers(folder)


def version_of(graph, number=1):
    sha256 = hashlib.sha256(graph).hexdigest()
    return Version("rul", number, sha256, "any", f"run-{number}", ("champion",), {}, datetime(2026, 3, 1, tzinfo=UTC))


def answer_of(bias, cycle):
    """What `rul_graph` says of a window of zeros, by hand."""
    return bias + 0.01 * cycle


def test_a_server_of_the_same_bytes_is_kept_and_of_others_replaced(serving):
    graph, other = (rul_graph(bias).SerializeToString() for bias in (50.0, 60.0))
    first = serving.serve(version_of(graph), graph, region=WEST, regimes=REGIMES)
    again = serving.serve(version_of(graph), graph, region=WEST, regimes=REGIMES)
    assert again.pid == first.pid
    assert first.url.startswith("http://127.0.0.1:")
    second = serving.serve(version_of(other, 2), other, region=WEST, regimes=REGIMES)
    assert second.pid != first.pid
    said = serving.ask_sample("rul", region=WEST, regimes=REGIMES)
    cycle = float(mean_engine(REGIMES).cycle_B[0])
    assert said.rul_cycles == pytest.approx(answer_of(60.0, cycle), abs=1e-3)
    assert said.is_sane
    assert said.latency_ms > 0


def test_an_answer_beyond_the_target_is_not_sane_and_says_so(serving):
    graph = rul_graph(MAX_RUL_CYCLES + 100.0).SerializeToString()
    serving.serve(version_of(graph), graph, region=WEST, regimes=REGIMES)
    said = serving.ask_sample("rul", region=WEST, regimes=REGIMES)
    assert not said.is_sane
    assert said.reason.endswith("(allowed: 0 to 125)")


def test_each_engine_gets_its_answer_and_an_interval_only_where_the_model_has_one(serving):
    asked = mean_engine(REGIMES)
    facts = {"role": "live", "recorded_at": datetime(2026, 3, 1, tzinfo=UTC), "row_hash": "x"}
    graph = rul_graph(50.0).SerializeToString()
    serving.serve(version_of(graph), graph, region=WEST, regimes=REGIMES)
    rows = pl.DataFrame({"unit": asked.unit, "cycle": asked.cycle_B}).with_columns(
        pl.lit(value).alias(name) for name, value in facts.items()
    )
    rows = rows.with_columns(pl.col("recorded_at").dt.date().alias("event_date"))
    sequences = pl.DataFrame(pl.from_arrow(sequences_to_table(asked, rows=rows)))
    (said,) = serving.predict("rul", sequences, region=WEST).to_dicts()
    assert said["rul_cycles"] == pytest.approx(answer_of(50.0, said["cycle"]), abs=1e-3)
    assert (said["lower_cycles"], said["upper_cycles"], said["model"], said["version"]) == (None, None, "rul", "1")


def test_a_region_without_live_engines_asks_nobody(serving):
    said = serving.predict("rul", empty(LIVE_SEQUENCES), region=WEST)
    assert said.height == 0
    assert {"unit", "cycle", "rul_cycles", "lower_cycles", "upper_cycles", "model", "version"} <= set(said.columns)
