"""The Job of a step: everything that its region, its hardware and its needs say of it, and nothing that no node has."""

from dataclasses import replace

import pytest

from sinet_pipelines.errors import NeedsError, UnknownHardwareError
from sinet_pipelines.placement.bindings import hardware_for, step_config
from sinet_pipelines.placement.needs import Needs
from tests.inventory import EAST, HARDWARE, NULL_ISLAND, REGIONS, WEST, get_hardware

TRAINING = Needs(
    cpu_millicores=16000,
    memory_mib=131072,
    count=4,
    hours=10,
    is_preemptible=True,
    priority="high",
    checkpoint_seconds=300,
    storage=("parallel-file-system", "local-nvme", "object-store"),
    scratch_gib=100,
)


def config(region=EAST, hardware="nvidia-h100", needs=TRAINING, **more):
    return step_config(region, get_hardware(hardware), needs, **more)


def test_what_it_computes_with_is_asked_for_and_limited_alike():
    amounts = {"cpu": "16000m", "memory": "131072Mi", "nvidia.com/gpu": "4"}
    assert config()["container_config"]["resources"] == {"requests": amounts, "limits": amounts}


def test_a_kind_that_is_counted_is_one_at_least_and_cpu_is_none():
    assert config(needs=Needs())["container_config"]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert set(config(hardware="cpu", needs=Needs())["container_config"]["resources"]["limits"]) == {"cpu", "memory"}


def test_it_goes_to_nodes_of_its_region_that_have_the_kind():
    pod = config()["pod_spec_config"]
    assert pod["node_selector"] == {
        "topology.kubernetes.io/region": "east",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
    }
    assert pod["runtime_class_name"] == "nvidia"
    assert "runtime_class_name" not in config(NULL_ISLAND, "fpga", Needs())["pod_spec_config"]


def test_only_what_may_be_taken_away_goes_to_spot_nodes_and_prefers_them():
    spot, kept = config()["pod_spec_config"], config(needs=replace(TRAINING, is_preemptible=False))["pod_spec_config"]
    assert [one["key"] for one in spot["tolerations"]] == ["nvidia.com/gpu", "sinet.ai/spot"]
    assert [one["key"] for one in kept["tolerations"]] == ["nvidia.com/gpu"]
    assert "affinity" in spot
    assert "affinity" not in kept


def test_it_has_time_to_save_its_state_and_an_end():
    found = config()
    assert found["pod_spec_config"]["termination_grace_period_seconds"] == 330  # 300 to save, 30 to report it
    assert found["job_spec_config"] == {
        "backoff_limit": 0,
        "active_deadline_seconds": 72000,  # twice the ten hours
        "ttl_seconds_after_finished": 86400,
    }
    assert config(needs=Needs(hours=0.01))["job_spec_config"]["active_deadline_seconds"] == 600


def test_queue_priority_and_cost_stand_on_the_job():
    found = config()
    assert found["job_metadata"]["labels"] == {
        "sinet.ai/region": "EAST",
        "sinet.ai/hardware": "nvidia-h100",
        "sinet.ai/capacity": "spot",
        "sinet.ai/team": "predictive-maintenance",
        "sinet.ai/cost-centre": "sinet",
        "kueue.x-k8s.io/queue-name": "sinet",
        "kueue.x-k8s.io/priority-class": "sinet-high",
    }
    assert found["pod_spec_config"]["priority_class_name"] == "sinet-high"
    assert found["pod_template_spec_metadata"]["labels"]["sinet.ai/team"] == "predictive-maintenance"
    unqueued = replace(EAST, cluster=replace(EAST.cluster, queue=""))
    assert not [name for name in config(unqueued)["job_metadata"]["labels"] if "kueue" in name]


def test_the_tiers_that_it_reads_are_mounted_or_told():
    found = config()
    mounts = {one["name"]: one["mount_path"] for one in found["container_config"]["volume_mounts"]}
    instance = "/opt/dagster/dagster_home/dagster.yaml"
    own = {"home": "/home/sinet", "dagster-instance": instance}
    assert mounts == {"parallel-file-system": "/mnt/sinet", "local-nvme": "/scratch", **own}
    files, scratch, home, settings = found["pod_spec_config"]["volumes"]
    assert settings == {"name": "dagster-instance", "config_map": {"name": "dagster-step-instance"}}
    assert found["pod_spec_config"]["automount_service_account_token"] is False
    assert files == {"name": "parallel-file-system", "persistent_volume_claim": {"claim_name": "sinet-files"}}
    claim = scratch["ephemeral"]["volume_claim_template"]["spec"]
    assert claim["resources"] == {"requests": {"storage": "100Gi"}}
    reported = {one["name"]: one["value"] for one in found["container_config"]["env"]}
    assert home == {"name": "home", "empty_dir": {}}
    assert reported == {
        "SINET_REGION": "EAST",
        "HOME": "/home/sinet",
        "AWS_ENDPOINT_URL": "https://objects.east.sinet.internal",
    }
    assert found["container_config"]["env_from"] == [{"secret_ref": {"name": "sinet-objects"}}]


def test_an_attempt_after_one_that_ran_out_has_more_memory_but_no_more_than_a_node():
    def memory(factor):
        return config(attempt_memory_factor=factor)["container_config"]["resources"]["limits"]["memory"]

    assert memory(2.0) == "262144Mi"
    assert memory(1000.0) == f"{EAST.cluster.node_memory_mib}Mi"


def test_a_class_of_kinds_means_the_regions_first_of_it():
    assert [hardware_for(region, "gpu").id for region in (EAST, WEST)] == ["nvidia-h100", "nvidia-t4"]
    with pytest.raises(UnknownHardwareError, match=r"NULL_ISLAND has no gpu on site \(it has: fpga"):
        hardware_for(NULL_ISLAND, "gpu")
    with pytest.raises(UnknownHardwareError, match="no hardware 'abacus'"):
        hardware_for(EAST, "abacus")


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (Needs(count=9), "count is 9, and nvidia-h100 in EAST has at most 8 on a node"),
        (Needs(cpu_millicores=65_000), "cpu_millicores is 65000, and .* at most 64000"),
        (Needs(memory_mib=2**20), "memory_mib is 1048576, and .* at most 524288"),
        (Needs(device_memory_gib=96), "device_memory_gib is 96, and nvidia-h100 in EAST has 80"),
    ],
)
def test_a_need_that_no_node_satisfies_is_refused_with_what_there_is(needs, words):
    with pytest.raises(NeedsError, match=words):
        config(needs=needs)


def test_devices_are_of_a_kind_that_is_counted():
    with pytest.raises(NeedsError, match="count is 1, and cpu in EAST has at most 0"):
        config(hardware="cpu", needs=Needs(count=1))


def test_storage_that_a_region_lacks_is_refused_with_what_it_has():
    bare = replace(WEST, storage=WEST.storage[:1])
    with pytest.raises(NeedsError, match="storage is object-store, and WEST has parallel-file-system; request"):
        config(bare, "nvidia-t4", Needs(storage=("object-store",)))


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
def test_every_kind_on_site_has_a_job(region):
    for kind in map(get_hardware, region.hardware):
        found = step_config(region, kind, Needs())
        assert found["job_metadata"]["labels"]["sinet.ai/hardware"] == kind.id


def test_no_label_is_longer_than_a_cluster_takes():
    for kind in HARDWARE:
        assert all(len(value) <= 63 for value in kind.node_labels.values())


def test_a_step_that_deploys_alone_has_a_token_of_an_account_of_its_own():
    pod = config(hardware="cpu", needs=Needs(deploys=True))["pod_spec_config"]
    assert (pod["automount_service_account_token"], pod["service_account_name"]) == (True, "sinet-deploy")
    assert "service_account_name" not in config()["pod_spec_config"]  # that of all other steps
