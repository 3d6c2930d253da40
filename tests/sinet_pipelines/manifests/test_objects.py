"""Rendered text is read alike by every parser, and what is rendered no more is named."""

import re

import pytest
import yaml

from sinet_pipelines.manifests.objects import as_yaml, left_behind

# what the parser of kubectl and kustomize resolves a word without quotes to, where it is a number: YAML 1.1 and 1.2
NUMBER = re.compile(r"[-+]?(0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?)")


@pytest.mark.parametrize(
    "text", ["03788745", "08", "1e3", "72225e2", "1E5", "1e+3", "0o17", "12.", "1_000", "y", "N", "on", "null", "true"]
)
def test_text_that_looks_like_a_number_or_a_truth_stands_in_quotes(text):
    written = as_yaml({"labels": {"rack": text}})
    word = written.splitlines()[1].split(": ")[1]
    assert word == f"'{text}'"
    assert yaml.safe_load(written) == {"labels": {"rack": text}}


@pytest.mark.parametrize(
    "text", ["sinet", "v1", "apps/v1", "1.2.3", "10.0.0.1", "500m", "64Gi", "a-1e3", "https://a:1"]
)
def test_other_words_stand_without(text):
    assert as_yaml({"a": text}) == f"a: {text}\n"
    assert not NUMBER.fullmatch(text)


def test_objects_that_are_rendered_no_more_are_named_by_the_folder_of_their_region():
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "sinet"}}
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "sinet"}}
    before = {"east/limits.yaml": as_yaml(quota, limits), "west/limits.yaml": as_yaml(quota), "secrets.sh": "#!\n"}
    now = {"east/other.yaml": as_yaml(limits), "east/kustomization.yaml": as_yaml({"kind": "Kustomization"})}
    assert left_behind(before, now) == ["east: ResourceQuota sinet", "west: ResourceQuota sinet"]
    assert left_behind(now, now) == []
