"""Each stream of a region is a Deployment that a cluster accepts, and that runs `sinet ingest` alone on its table."""

import json
import subprocess
import sys
from dataclasses import replace

import kubernetes_validate
import pytest
import yaml

from sinet_pipelines.applications.milling.delivery import land_simulated
from sinet_pipelines.errors import InventoryError
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.inventory.sites import TierKind
from sinet_pipelines.inventory.streams import Stream
from sinet_pipelines.manifests import deployment
from sinet_pipelines.manifests.streams import ingesters
from tests.brokers import start_broker
from tests.clusters.pod_security import violations
from tests.conftest import CHECKOUT
from tests.inventory import EAST, NAMES, NULL_ISLAND, REGIONS, WEST

KUBERNETES = "1.36"
MILLS = Stream("nats://broker.east:4222/mills", "milling", name="mills-1", options_secret="nats-mills")
ENGINES = Stream("mqtts://broker.east/$share/sinet/engines/#", "turbofan")
RECORD = {
    "product_id": "L1",
    "product_type": "L",
    "air_temperature_k": 300.0,
    "process_temperature_k": 310.0,
    "rotational_speed_rpm": 1500.0,
    "torque_nm": 40.5,
    "tool_wear_min": 3.0,
    "recorded_at": "2027-03-01T06:00:00Z",
}
STREAMING = replace(EAST, streams=(MILLS, ENGINES))


def files_of(*regions):
    shipped = CHECKOUT / "deploy"
    instance = yaml.safe_load((shipped / "dagster.yaml").read_text())
    return deployment.files(regions, instance=instance, step_instance=(shipped / "dagster-step.yaml").read_text())


def objects_of(region):
    """The objects of a region's streams, by kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one for one in ingesters(region)}


def pod_of(region, name="sinet-ingest-milling"):
    return objects_of(region)["Deployment", name]["spec"]["template"]["spec"]


def without(region, *, tier):
    return replace(region, storage=tuple(one for one in region.storage if one.kind is not tier))


@pytest.mark.parametrize(
    "region",
    [
        STREAMING,
        replace(STREAMING, root=Root("s3://plants/east")),
        replace(
            STREAMING,
            cluster=replace(
                EAST.cluster,
                image_pull_secrets=("pulls",),
                env={"HTTPS_PROXY": "http://proxy:3128"},
                env_config_maps=(),
                node_labels={"rack_row": "7"},
            ),
        ),
    ],
    ids=["files", "store", "own cluster"],
)
def test_a_cluster_accepts_every_object_and_admits_the_pods(region):
    objects = objects_of(region)
    assert set(objects) == {
        ("Deployment", "sinet-ingest-milling"),
        ("NetworkPolicy", "sinet-ingest-milling-to-broker"),
        ("Deployment", "sinet-ingest-turbofan"),
        ("NetworkPolicy", "sinet-ingest-turbofan-to-broker"),
    }
    for (kind, _), one in objects.items():
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
        assert one["metadata"]["namespace"] == region.cluster.namespace
        if kind == "Deployment":
            pod = one["spec"]["template"]["spec"]
            assert violations(pod) == ""
            assert pod["nodeSelector"] == dict(region.cluster.node_labels)


def test_one_pod_at_a_time_stores_a_stream_and_has_time_for_its_last_batch():
    one = objects_of(STREAMING)["Deployment", "sinet-ingest-milling"]
    assert (one["spec"]["replicas"], one["spec"]["strategy"]) == (1, {"type": "Recreate"})
    pod, labels = one["spec"]["template"]["spec"], one["spec"]["template"]["metadata"]["labels"]
    assert one["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert (labels["sinet.ai/region"], labels["sinet.ai/application"]) == ("EAST", "milling")
    assert pod["terminationGracePeriodSeconds"] == 120
    (container,) = pod["containers"]
    assert container["resources"]["requests"] == {"cpu": "1000m", "memory": "2048Mi"}
    assert not {"livenessProbe", "readinessProbe", "startupProbe", "ports"} & set(container)


def test_the_pod_is_the_regions_step_without_a_token_and_without_the_database():
    pod = pod_of(STREAMING)
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == (EAST.cluster.service_account, False)
    (container,) = pod["containers"]
    assert container["image"] == EAST.cluster.image
    assert container["envFrom"] == [{"configMapRef": {"name": "sinet-settings"}}]
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert mounts["parallel-file-system"] == EAST.tier(TierKind.PARALLEL_FILES).mount_path
    assert set(mounts) == {one["name"] for one in pod["volumes"]}


def test_the_clients_options_are_a_file_of_a_secret():
    pod = pod_of(STREAMING)
    (volume,) = (one for one in pod["volumes"] if one["name"] == "options")
    assert volume["secret"] == {"secretName": "nats-mills", "defaultMode": 0o440}
    (container,) = pod["containers"]
    assert container["command"][-2:] == ["--options", "/etc/sinet/stream/options.json"]
    assert {"name": "options", "mountPath": "/etc/sinet/stream", "readOnly": True} in container["volumeMounts"]
    assert not [one for one in container["env"] if "valueFrom" in one]
    assert "options" not in json.dumps(pod_of(STREAMING, "sinet-ingest-turbofan"))
    made = "`kubectl --context east -n sinet create secret generic nats-mills --from-file=options.json=FILE`"
    assert f"{made} for the stream of milling" in files_of(STREAMING, WEST, NULL_ISLAND)["README.md"]


def test_a_pod_may_connect_to_the_port_of_its_own_broker():
    found = objects_of(STREAMING)
    for name, port in (("sinet-ingest-milling", 4222), ("sinet-ingest-turbofan", 8883)):
        spec = found["NetworkPolicy", f"{name}-to-broker"]["spec"]
        pod_labels = found["Deployment", name]["spec"]["template"]["metadata"]["labels"]
        assert spec["podSelector"]["matchLabels"].items() <= pod_labels.items()
        assert spec["policyTypes"] == ["Egress"]
        assert spec["egress"] == [{"ports": [{"port": port, "protocol": "TCP"}]}]


@pytest.mark.slow
def test_the_command_of_the_pod_stores_and_lands_the_messages_of_its_broker(tmp_path):
    """Runs the container's command with the paths of this machine."""
    broker = start_broker("nats", tmp_path / "broker")
    try:
        broker.publish([json.dumps({**RECORD, "record_id": number}).encode() for number in range(20)])
        (container,) = pod_of(replace(EAST, streams=(replace(MILLS, url=broker.url),)))["containers"]
        home, options = tmp_path / "home", tmp_path / "options.json"
        land_simulated(home, regions=NAMES, records=300, with_faults=False)
        options.write_text('{"user": "mill", "password": "unused"}')
        here = {EAST.tier(TierKind.PARALLEL_FILES).mount_path: home, "/etc/sinet/stream/options.json": options}
        command = [str(here.get(one, one)) for one in container["command"]]
        assert command[:2] == ["sinet", "ingest"]
        command = [sys.executable, "-m", "sinet_pipelines.cli", *command[1:], "--idle", "1", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    finally:
        broker.stop()
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["home"], found["source"]) == (str(home), "nats/mills-1")
    assert (found["region"], found["application"]) == ("EAST", "milling")
    assert (found["rows"], found["dead_letters"], found["drops"]) == (20, 0, 1)


def test_no_part_of_a_topic_is_replaced_by_a_variable():
    (container,) = pod_of(STREAMING, "sinet-ingest-turbofan")["containers"]
    assert container["command"][2] == "mqtts://broker.east/$$share/sinet/engines/#"


def test_regions_without_streams_are_rendered_without_them():
    before, after = files_of(*REGIONS), files_of(STREAMING, WEST, NULL_ISLAND)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed == {"east/kustomization.yaml", "east/streams.yaml", "README.md"}
    assert "streams.yaml" in yaml.safe_load(after["east/kustomization.yaml"])["resources"]
    assert not any("ingest" in text for text in before.values())


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (
            replace(MILLS, application="mining"),
            r"^EAST: no application 'mining' lands rows of a stream \(known: turbof",
        ),
        (
            replace(MILLS, url="amqp://broker/mills"),
            r"^EAST, stream of milling: 'amqp://broker/mills' names no broker \(",
        ),
        (replace(MILLS, url="nats://broker:99999/a"), "^EAST, stream of milling: 'nats://broker:99999/a' is no URL"),
        (replace(MILLS, memory_mib=2**30), "^EAST, stream of milling: memory_mib is 1073741824, and cpu in EAST has"),
    ],
)
def test_a_stream_that_nothing_reads_is_refused_in_one_sentence(stream, words):
    with pytest.raises(InventoryError, match=words):
        files_of(replace(EAST, streams=(stream,)), WEST, NULL_ISLAND)


def test_a_region_without_a_file_system_has_no_home_for_a_stream():
    with pytest.raises(
        InventoryError, match="^EAST has streams and local-nvme, object-store; their home is on a paral"
    ):
        ingesters(without(STREAMING, tier=TierKind.PARALLEL_FILES))
