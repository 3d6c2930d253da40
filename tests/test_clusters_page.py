"""docs/clusters.md: each command is one that there is, about objects that `sinet render --deploy` writes."""

import re
import shlex

import kubernetes_validate
import pytest
import typer
import yaml

from sinet_pipelines.cli.main import app
from sinet_pipelines.inventory.sites import TierKind
from sinet_pipelines.manifests import deployment
from tests.conftest import CHECKOUT
from tests.inventory import EAST, REGIONS

PAGE = (CHECKOUT / "docs" / "clusters.md").read_text()
COMMANDS = re.findall(r"^    ((?:sinet|kubectl|docker|DIR/)\S* ?.*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def files():
    shipped = CHECKOUT / "deploy"
    instance = yaml.safe_load((shipped / "dagster.yaml").read_text())
    return deployment.files(REGIONS, instance=instance, step_instance=(shipped / "dagster-step.yaml").read_text())


def test_the_page_goes_from_the_image_to_the_walk():
    assert [command.split()[0] for command in COMMANDS][:3] == ["docker", "docker", "sinet"]
    assert any("sinet run" in command for command in COMMANDS)


@pytest.mark.parametrize("command", [one[one.index("sinet ") :] for one in COMMANDS if re.search("(^|-- )sinet ", one)])
def test_each_sinet_command_is_one_that_there_is(command):
    name, *arguments = shlex.split(command.split("-- ")[-1])[1:]
    group = typer.main.get_command(app)
    found = group.commands[name]
    context = found.make_context(name, arguments, parent=typer.Context(group))  # fails on an option that it has not
    assert context.command is found


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("kubectl")])
def test_each_kubectl_command_is_about_what_is_rendered(command, files):
    words = shlex.split(command)
    if "--context" in words:
        context = words[words.index("--context") + 1]
        assert context in {region.cluster.kubeconfig_context for region in REGIONS}
    if "-n" in words:
        assert words[words.index("-n") + 1] == EAST.cluster.namespace
    for folder in (word.removeprefix("DIR/") for word in words if word.startswith("DIR/")):
        assert f"{folder}/kustomization.yaml" in files
    objects = [one for name, text in files.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text)]
    there = {(one["kind"].lower(), one["metadata"]["name"]) for one in objects if "metadata" in one}
    assert {tuple(word.split("/")) for word in words if re.fullmatch("(deployment|service)/.+", word)} <= there


@pytest.mark.parametrize("script", [one.split()[0] for one in COMMANDS if one.startswith("DIR/")])
def test_each_script_is_written(script, files):
    assert files[script.removeprefix("DIR/")].startswith("#!/bin/bash")


def test_the_label_is_the_one_by_which_steps_choose_nodes():
    (label,) = re.findall(r"label nodes --all (\S+)", PAGE)
    assert dict([label.split("=")]) == EAST.cluster.node_labels


def test_the_volume_of_the_page_is_one_that_the_claim_takes(files):
    text = re.search(r"^    apiVersion: v1\n(?:    .*\n)+", PAGE, re.MULTILINE)[0]
    volume = yaml.safe_load(text)
    kubernetes_validate.validate(volume, "1.36", strict=True)
    claims = yaml.safe_load(files["east/claims.yaml"].split("\n", 1)[1])
    assert claims["metadata"]["name"] == EAST.tier(TierKind.PARALLEL_FILES).where
    assert volume["spec"]["accessModes"] == claims["spec"]["accessModes"]
    assert volume["spec"]["capacity"]["storage"] == claims["spec"]["resources"]["requests"]["storage"]


def test_the_rights_of_the_page_are_those_of_the_role():
    from sinet_pipelines.manifests.rights import RUNS

    (row,) = re.findall(r"the processes that start runs: (.*) \|", PAGE)
    values = {tuple(part.replace("`", "").split(" ", 1)) for part in row.split("; ")}
    reported = {(what.lower(), tuple(verbs.split(", "))) for what, verbs in values}
    assert reported == {(rule["resources"][0], tuple(rule["verbs"])) for rule in RUNS}
