"""The endpoint where steps run in clusters: its cluster serves, and all regions ask the address that was recorded."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import ClassVar
from urllib.request import Request, urlopen

import dagster as dg
import pytest

from assets.turbofan.keys import global_key
from resources.serving import ServingResource
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.features.sample import mean_engine
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.deployment.cluster.record import read_record
from sinet_pipelines.deployment.process import stop_servers
from sinet_pipelines.errors import ServingError
from sinet_pipelines.inventory.sites import ServingTarget
from tests.resources.test_serving import REGIMES, SAMPLE, answer_of, version_of
from tests.sinet_pipelines.deployment.cluster import conftest
from tests.sinet_pipelines.deployment.conftest import ensure_rul
from tests.sinet_pipelines.deployment.served import publish_rul, rul_graph

answers, region = conftest.answers, conftest.region
GRAPH = rul_graph(50.0).SerializeToString()


@pytest.fixture
def address(tmp_path):
    """Where a server of version 1 answers, as a Service would lead there."""
    publish_rul(tmp_path / "elsewhere" / "models", "1", bias=50.0)
    folder = tmp_path / "elsewhere" / "WEST" / "rul"
    yield ensure_rul(folder, tmp_path / "elsewhere" / "models", "1").url
    stop_servers(folder)


def test_the_cluster_serves_and_a_sane_row_is_asked_through_the_address(tmp_path, answers, region, address):
    answers.on_get = answers.roll_out
    west, serving = region(address=address), ServingResource(home=str(tmp_path), executor="regions")
    served = serving.serve(version_of(GRAPH), GRAPH, region=west, sample=SAMPLE)
    assert served.url == address
    assert serving.whereabouts(served) == {"served_by": "Deployment sinet/endpoint-rul in WEST"}
    assert read_record(tmp_path / "serving" / "WEST" / "rul") == served
    answer = serving.predict_sample("rul", region=west, sample=SAMPLE, task=RUL)
    assert answer.is_sane
    assert answer.value == pytest.approx(answer_of(50.0, float(mean_engine(REGIMES).cycle_B[0])), abs=1e-3)
    (stage,) = answers.objects[("deployments", "endpoint-rul")]["spec"]["template"]["spec"]["initContainers"]
    assert f"--home={tmp_path}" in stage["args"]
    again = serving.serve(version_of(GRAPH), GRAPH, region=west, sample=SAMPLE)
    assert again == served


def test_a_row_that_says_process_and_one_machine_serve_by_a_process(tmp_path, region, monkeypatch):
    west, serving = region(target=ServingTarget.PROCESS), ServingResource(home=str(tmp_path), executor="regions")
    served = serving.serve(version_of(GRAPH), GRAPH, region=west, sample=SAMPLE)
    try:
        assert serving.whereabouts(served) == {"pid": served.pid}
        on_one_machine = ServingResource(home=str(tmp_path))
        assert on_one_machine.serve(version_of(GRAPH), GRAPH, region=region(), sample=SAMPLE) == served
    finally:
        stop_servers(tmp_path / "serving" / "WEST" / "rul")


def test_a_region_with_a_home_of_its_own_asks_the_address_of_the_newest_materialisation(
    tmp_path, region, address, monkeypatch
):
    owner = SimpleNamespace(model="rul", key=TURBOFAN.key)  # of the model that the address serves
    monkeypatch.setattr("resources.serving.load_applications", lambda: (owner,))
    west, home = region(), str(tmp_path / "home of EAST")

    @dg.op
    def step(context):
        return (
            ServingResource(home=home, executor="regions", own_region="EAST")
            ._predict("rul", SAMPLE, region=west)
            .version
        )

    @dg.job
    def job():
        step()

    with dg.DagsterInstance.ephemeral() as instance:
        with pytest.raises(ServingError, match="no endpoint of rul was made in WEST"):
            job.execute_in_process(instance=instance)
        entry = {"url": dg.MetadataValue.url(address)}
        instance.report_runless_asset_event(dg.AssetMaterialization(global_key("endpoint"), metadata=entry))
        assert job.execute_in_process(instance=instance).output_for_node("step") == "1"


def test_an_address_that_nobody_answers_at_is_told_with_what_to_do(tmp_path, answers, region, monkeypatch):
    monkeypatch.setattr("sinet_pipelines.deployment.cluster.prediction.ROLLOUT_S", 0.0)
    answers.on_get = answers.roll_out
    west, serving = region(address=""), ServingResource(home=str(tmp_path), executor="regions")
    serving.serve(version_of(GRAPH), GRAPH, region=west, sample=SAMPLE)
    with pytest.raises(ServingError) as caught:
        serving.predict_sample("rul", region=west, sample=SAMPLE, task=RUL)
    message = str(caught.value)
    assert "the endpoint of WEST does not respond at http://endpoint-rul.sinet.svc:8000" in message
    assert "set serving.address in its row" in message
    assert "kubectl --context west -n sinet port-forward service/endpoint-rul 8000" in message


class _Gateway(BaseHTTPRequestHandler):
    """Knows no server yet for its first requests, as a gateway just after a rollout; then it hands them on."""

    early: ClassVar[list[int]] = []
    server_url = ""

    def log_message(self, *_):
        """Says nothing."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.early:
            self._say(self.early.pop(0), {}, b"default backend - 404")
            return
        sent = {name: value for name, value in self.headers.items() if name != "Host"}
        with urlopen(Request(self.server_url + self.path, body, sent)) as answer:
            self._say(answer.status, dict(answer.headers), answer.read())

    def _say(self, status, headers, content):
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def gateway(address):
    """A gateway's address; it answers by itself at first, with the codes given, and then hands on."""
    _Gateway.early, _Gateway.server_url = [404, 503, 404], address
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Gateway)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_gateway_that_does_not_know_the_new_server_yet_is_asked_again(tmp_path, answers, region, gateway):
    answers.on_get = answers.roll_out
    west, serving = region(address=gateway), ServingResource(home=str(tmp_path), executor="regions")
    serving.serve(version_of(GRAPH), GRAPH, region=west, sample=SAMPLE)
    assert serving.predict_sample("rul", region=west, sample=SAMPLE, task=RUL).is_sane
    assert _Gateway.early == []


@pytest.mark.parametrize("asked_from", ["WEST", "EAST"])
def test_a_step_waits_longer_than_for_a_switch_while_the_only_server_begins_on_another_node(
    tmp_path, answers, region, gateway, monkeypatch, asked_from
):
    monkeypatch.setattr("sinet_pipelines.deployment.cluster.prediction.SWITCH_S", 0.0)
    answers.on_get = answers.roll_out
    west, serving = region(address=gateway), ServingResource(home=str(tmp_path), executor="regions")
    serving.serve(version_of(GRAPH), GRAPH, region=west, sample=SAMPLE)
    asking = ServingResource(home=str(tmp_path), executor="regions", own_region=asked_from)
    assert asking._predict("rul", SAMPLE, region=west).version == "1"
    assert _Gateway.early == []


def test_another_version_behind_the_address_is_named(tmp_path, answers, region, address, monkeypatch):
    monkeypatch.setattr("sinet_pipelines.deployment.cluster.prediction.ROLLOUT_S", 0.0)
    answers.on_get = answers.roll_out
    west, serving = region(address=address), ServingResource(home=str(tmp_path), executor="regions")
    serving.serve(version_of(GRAPH, 2), GRAPH, region=west, sample=SAMPLE)
    with pytest.raises(ServingError, match="responds with version 1 of rul .applied: 2."):
        serving.predict_sample("rul", region=west, sample=SAMPLE, task=RUL)
