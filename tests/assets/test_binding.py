"""The page of an asset says where it runs, what it needs and which Job it would be there, in few words."""

from datetime import time

import yaml

from assets.framework.binding import binding_entries
from resources.placement import place_tags
from sinet_pipelines.placement.needs import Needs
from tests.inventory import EAST, REGIONS

MOST_BYTES = 2_500  # of one asset; they are loaded with every page


def test_the_page_of_every_asset_that_runs_shows_its_place_its_needs_and_its_job(definitions):
    graph = definitions.resolve_asset_graph()
    for key in graph.executable_asset_keys:
        node = graph.get(key)
        shown = node.metadata
        assert shown["runs_in"] == f"{node.tags['sinet/region']} on {node.tags['sinet/hardware']}"
        assert "core" in shown["needs"]
        assert len(shown["job"].value) < MOST_BYTES


def test_needs_are_told_in_words():
    needs = Needs(
        cpu_millicores=8000,
        memory_mib=98304,
        count=4,
        hours=10,
        latest_finish=time(6, 30),
        is_preemptible=True,
        priority="high",
        may_move_to=(("WEST", "gpu"),),
    )
    assert binding_entries(place_tags(EAST, "nvidia-a100", needs, others=REGIONS), name="a/b")["needs"] == (
        "8 cores, 96 GiB, 4 x nvidia-a100, 10 h, priority high, ready by 06:30 UTC, may be preempted, "
        "may move to WEST/nvidia-t4"
    )
    assert (
        "cheap: a process of the run's own pod"
        in binding_entries(place_tags(EAST, "cpu", Needs(is_cheap=True)), name="a/b")["needs"]
    )


def test_the_job_is_yaml_and_the_same_as_the_steps(definitions):
    tags = place_tags(EAST, "gpu", Needs(count=2, is_preemptible=True))
    text = binding_entries(tags, name="a/b")["job"].value
    content = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    config = tags["dagster-k8s/config"]
    container = config["container_config"]
    assert content["container"] == {**container, "resources": {"limits": container["resources"]["limits"]}}
    assert (content["pod_spec"], content["job_spec"]) == (config["pod_spec_config"], config["job_spec_config"])
    assert "`sinet render a/b` shows all of it." in text
