"""The endpoint as a step sees it: a server is re-used for the same bytes, asked sanely, and asked for a fleet."""

import hashlib
from datetime import UTC, datetime

import polars as pl
import pytest

from resources.serving import ServingResource
from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.features.sample import mean_engine
from sinet_pipelines.applications.turbofan.features.sequences import sequences_to_table
from sinet_pipelines.applications.turbofan.schemas.features import LIVE_SEQUENCES, MAX_RUL_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS
from sinet_pipelines.applications.turbofan.serving import SERVED, sample_of
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.deployment.process import stop_servers
from sinet_pipelines.registry.version import Version
from sinet_pipelines.storage.tables import empty
from tests.inventory import WEST
from tests.sinet_pipelines.deployment.served import rul_graph

#: One regime about the settings of zero, every sensor 0 with a spread of 1: its mean engine is a window of zeros.
REGIMES = OperatingRegimes(
    (1.0, 1.0, 1.0), ((0.0, 0.0, 0.0),), ((0.0,) * len(SENSORS),), ((1.0,) * len(SENSORS),), (10,)
)
SAMPLE = sample_of(REGIMES)


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
    first = serving.serve(version_of(graph), graph, region=WEST, sample=SAMPLE)
    again = serving.serve(version_of(graph), graph, region=WEST, sample=SAMPLE)
    assert again.pid == first.pid
    assert first.url.startswith("http://127.0.0.1:")
    second = serving.serve(version_of(other, 2), other, region=WEST, sample=SAMPLE)
    assert second.pid != first.pid
    answer = serving.predict_sample("rul", region=WEST, sample=SAMPLE, task=RUL)
    cycle = float(mean_engine(REGIMES).cycle_B[0])
    assert answer.value == pytest.approx(answer_of(60.0, cycle), abs=1e-3)
    assert answer.is_sane
    assert answer.latency_ms > 0


def test_an_answer_beyond_the_target_is_not_sane_and_says_so(serving):
    graph = rul_graph(MAX_RUL_CYCLES + 100.0).SerializeToString()
    serving.serve(version_of(graph), graph, region=WEST, sample=SAMPLE)
    answer = serving.predict_sample("rul", region=WEST, sample=SAMPLE, task=RUL)
    assert not answer.is_sane
    assert answer.reason.endswith("(allowed: 0 to 125)")


def test_each_engine_gets_its_answer_and_an_interval_only_where_the_model_has_one(serving):
    requested = mean_engine(REGIMES)
    facts = {"role": "live", "recorded_at": datetime(2026, 3, 1, tzinfo=UTC), "row_hash": "x"}
    graph = rul_graph(50.0).SerializeToString()
    serving.serve(version_of(graph), graph, region=WEST, sample=SAMPLE)
    rows = pl.DataFrame({"unit": requested.unit, "cycle": requested.cycle_B}).with_columns(
        pl.lit(value).alias(name) for name, value in facts.items()
    )
    rows = rows.with_columns(pl.col("recorded_at").dt.date().alias("event_date"))
    sequences = pl.DataFrame(pl.from_arrow(sequences_to_table(requested, rows=rows)))
    (answer,) = serving.predict("rul", sequences, region=WEST, served=SERVED).to_dicts()
    assert answer["rul_cycles"] == pytest.approx(answer_of(50.0, answer["cycle"]), abs=1e-3)
    assert (answer["lower_cycles"], answer["upper_cycles"], answer["model"], answer["version"]) == (
        None,
        None,
        "rul",
        "1",
    )


def test_a_region_without_live_engines_asks_nobody(serving):
    answer = serving.predict("rul", empty(LIVE_SEQUENCES), region=WEST, served=SERVED)
    assert answer.height == 0
    assert {"unit", "cycle", "rul_cycles", "lower_cycles", "upper_cycles", "model", "version"} <= set(answer.columns)
