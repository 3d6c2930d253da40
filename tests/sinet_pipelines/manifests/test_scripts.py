"""The scripts that fill secrets: what they hand to kubectl is what runs read, and no secret is on a command line."""

import json
import os
import subprocess
from dataclasses import replace

import kubernetes.config
import pytest

from sinet_pipelines.manifests import scripts
from tests.inventory import EAST, REGIONS

URL = "postgresql+psycopg2://sinet:s3cret%21@db.example:5432/dagster"
# stands in for the clusters: notes its arguments, answers as an API server's kubectl, keeps the files it is given
KUBECTL = """#!/bin/bash
printf '%s\\n' "$*" >> "$NOTED/arguments"
case "$*" in
  *"config view"*) printf https://api.example:6443 ;;
  *"get deployment"*) echo "$STANDING" ;;
  *"get secret"*resourceVersion*) printf 4711 ;;
  *"get secret"*base64decode*) printf s3cret-token ;;
  *"get secret"*) printf QUJD ;;
  *"create secret"*)
    for one in "$@"; do case $one in --from-file=*) cp "${one##*=}" "$NOTED/made-$2"; echo made ;; esac; done ;;
  *apply*) cat > /dev/null ;;
esac
"""


@pytest.fixture
def carried_out(tmp_path):
    """Runs a script with the stand-in; returns the ended process and the folder of what it noted."""

    def run(text, *arguments):
        (tmp_path / "kubectl").write_text(KUBECTL)
        (tmp_path / "kubectl").chmod(0o755)
        (tmp_path / "script.sh").write_text(text)
        env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "NOTED": str(tmp_path)}
        command = ["bash", str(tmp_path / "script.sh"), *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300), tmp_path

    return run


def test_each_region_gets_the_url_of_the_database_without_its_end_of_line(carried_out, tmp_path):
    (tmp_path / "url").write_text(URL + "\n")
    ended, noted = carried_out(scripts.secrets(REGIONS, EAST), str(tmp_path / "url"))
    assert ended.returncode == 0, ended.stderr
    for region in REGIONS:
        assert (noted / f"made-{region.cluster.kubeconfig_context}").read_text() == URL
    arguments = (noted / "arguments").read_text()
    assert "s3cret" not in arguments + ended.stdout + ended.stderr
    assert arguments.count("apply --server-side") == len(REGIONS)  # a client's apply keeps a copy in an annotation


def test_a_url_with_the_end_of_line_of_windows_is_the_url(carried_out, tmp_path):
    (tmp_path / "url").write_bytes(URL.encode() + b"\r\n")
    ended, noted = carried_out(scripts.secrets(REGIONS, EAST), str(tmp_path / "url"))
    assert ended.returncode == 0, ended.stderr
    assert (noted / "made-east").read_text() == URL


@pytest.mark.parametrize("standing", ["", "deployment.apps/one"])
def test_pods_that_are_there_begin_again_with_another_url_and_none_is_wanted(
    carried_out, tmp_path, monkeypatch, standing
):
    monkeypatch.setenv("STANDING", standing)
    (tmp_path / "url").write_text(URL)
    ended, noted = carried_out(scripts.secrets(REGIONS, EAST), str(tmp_path / "url"))
    assert ended.returncode == 0, ended.stderr
    patches = [line.split(" -p ")[1] for line in (noted / "arguments").read_text().splitlines() if " patch " in line]
    template = {"template": {"metadata": {"annotations": {"sinet.ai/secrets": "4711"}}}}
    assert [json.loads(one) for one in patches] == [{"spec": template}] * (3 if standing else 0)


@pytest.mark.parametrize("text", ["postgresql://sinet@db/dagster", "postgres://sinet@db/dagster", ""])
def test_another_scheme_is_refused_before_anything_is_done(carried_out, tmp_path, text):
    (tmp_path / "url").write_text(text)
    ended, noted = carried_out(scripts.secrets(REGIONS, EAST), str(tmp_path / "url"))
    assert ended.returncode == 2
    assert "does not begin with postgresql+psycopg2://" in ended.stderr
    assert not (noted / "arguments").exists()


def test_the_kubeconfig_has_a_usable_context_for_each_region(carried_out):
    ended, noted = carried_out(scripts.kubeconfig(REGIONS, EAST))
    assert ended.returncode == 0, ended.stderr
    made = noted / "made-east"
    contexts, _ = kubernetes.config.list_kube_config_contexts(str(made))
    assert {one["name"] for one in contexts} == {region.cluster.kubeconfig_context for region in REGIONS}
    client = kubernetes.config.new_client_from_config(str(made), "west")
    assert client.configuration.host == "https://api.example:6443"
    assert list(client.configuration.api_key.values()) == ["Bearer s3cret-token"]
    assert "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token" in made.read_text()
    assert "s3cret" not in (noted / "arguments").read_text() + ended.stdout + ended.stderr


def test_an_address_of_ipv6_and_contexts_that_look_like_numbers_are_read_as_they_are(carried_out, monkeypatch):
    monkeypatch.setenv("SERVER_WEST", "https://[fd00::1]:6443")
    named = {"EAST": "007", "WEST": "1e3", "NULL_ISLAND": "on"}
    regions = [
        replace(one, cluster=replace(one.cluster, kubeconfig_context=named[one.name], namespace="123"))
        for one in REGIONS
    ]
    ended, noted = carried_out(scripts.kubeconfig(regions, regions[0]))
    assert ended.returncode == 0, ended.stderr
    contexts, active = kubernetes.config.list_kube_config_contexts(str(noted / "made-007"))
    assert [one["name"] for one in contexts] == ["007", "1e3", "on"]
    assert active["name"] == "007"
    assert {one["context"]["namespace"] for one in contexts} == {"123"}
    client = kubernetes.config.new_client_from_config(str(noted / "made-007"), "1e3")
    assert client.configuration.host == "https://[fd00::1]:6443"
    assert list(client.configuration.api_key.values()) == ["Bearer s3cret-token"]


def test_an_api_may_have_another_address_for_dagsters_cluster(carried_out, monkeypatch):
    monkeypatch.setenv("SERVER_WEST", "https://west.inside:6443")
    _, noted = carried_out(scripts.kubeconfig(REGIONS, EAST))
    client = kubernetes.config.new_client_from_config(str(noted / "made-east"), "west")
    assert client.configuration.host == "https://west.inside:6443"
