"""The image's recipe: what it copies is there, what it installs is pinned, and nobody in it is root."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest

from sinet_pipelines.manifests.control import PROJECT
from sinet_pipelines.placement.bindings import HOME_PATH
from tests.conftest import CHECKOUT
from tests.inventory import REGIONS

OPTIONAL = {"inventory.yam[l]"}  # in brackets, since a recipe copies nothing that is not there
BUILT = ("*.egg-info", "__pycache__")


def instructions():
    """The lines of the recipe as (instruction, rest), continued ones as one."""
    text = (CHECKOUT / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def arguments_of(instruction):
    return [rest for name, rest in instructions() if name == instruction]


def variables():
    return dict(pair.split("=", 1) for line in arguments_of("ENV") for pair in shlex.split(line))


def copied():
    return [source for line in arguments_of("COPY") for source in shlex.split(line)[:-1]]


def test_what_is_copied_is_there_and_is_not_ignored():
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    for source in copied():
        name = source.replace("[l]", "l")
        assert f"!{name}" in ignored
        assert source in OPTIONAL or (CHECKOUT / source).exists(), source


def test_nothing_else_is_copied_and_no_secret_can_be():
    kept = {line.removeprefix("!") for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert kept == {source.replace("[l]", "l") for source in copied()}
    assert not [line for _, line in instructions() if re.search("passw|secret|token|credential", line, re.IGNORECASE)]
    assert not arguments_of("ADD")


def test_every_package_is_pinned_and_torch_comes_first():
    installs = [part.strip() for line in arguments_of("RUN") for part in line.split("&&") if "pip install" in part]
    assert all("-c constraints.txt" in install for install in installs)
    assert installs[0].endswith(" torch")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (extras,) = re.findall(r"\.\[([a-z,]+)\]", " ".join(installs))
    assert set(extras.split(",")) == {"walk", "clusters", "pulsar"}
    pins = {line.split("==")[0] for line in (CHECKOUT / "constraints.txt").read_text().splitlines()}
    assert {*project["clusters"], "torch"} <= pins


def test_python_is_the_one_that_the_project_wants():
    (base,) = arguments_of("FROM")
    assert base.startswith("python:3.11-slim")


def test_it_runs_as_the_numeric_user_of_the_rows():
    user, group = arguments_of("USER")[-1].split(":")
    assert user == group
    assert {region.cluster.run_as_user for region in REGIONS} == {int(user)}
    assert instructions()[-2][0] == "USER"  # nothing after it is done as root, and it starts so


def test_its_paths_are_those_of_the_pods():
    found = variables()
    assert arguments_of("WORKDIR") == [PROJECT] == [found["PYTHONPATH"]] == [found["SINET_PROJECT"]]
    assert found["HOME"] == HOME_PATH
    made = " ".join(arguments_of("RUN"))
    for region in REGIONS:
        assert found["DAGSTER_HOME"] == region.cluster.dagster_home
        assert f"mkdir -p {region.cluster.dagster_home} " in made


@pytest.mark.slow
def test_what_is_copied_is_enough_for_the_code_location_and_a_step(tmp_path):
    for source in copied():
        origin = CHECKOUT / source
        if origin.is_dir():
            shutil.copytree(origin, tmp_path / source, ignore=shutil.ignore_patterns(*BUILT))
        elif origin.exists():
            shutil.copy(origin, tmp_path)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SINET_", "DAGSTER_", "PYTHON"))}
    env |= {"PYTHONPATH": str(tmp_path), "SINET_PROJECT": str(tmp_path), "SINET_HOME": str(tmp_path / "home")}
    script = "import assets.definitions, resources.router.worker as worker; print(worker.__file__)"
    command = [sys.executable, "-W", "ignore", "-c", script]
    ended = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == str(tmp_path / "resources" / "router" / "worker.py")
