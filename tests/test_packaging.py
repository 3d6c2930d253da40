"""Packaging: the wheel holds the library alone, and what is installed is what is pinned."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


def _pins():
    lines = (CHECKOUT / "constraints.txt").read_text().split()
    return dict(line.lower().replace("_", "-").split("==") for line in lines)


def _named(requirement):
    return re.split(r"[\[<>=~! ]", requirement)[0].lower().replace("_", "-")


def test_every_requirement_is_pinned():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    missing = {_named(one) for one in wanted} - set(_pins()) - {"sinet-pipelines"}
    assert missing == set()


def test_what_is_installed_is_what_is_pinned():
    pins = _pins()
    found = {d.name.lower().replace("_", "-"): d.version.partition("+")[0] for d in metadata.distributions() if d.name}
    assert {name: (version, pins[name]) for name, version in found.items() if pins.get(name, version) != version} == {}


def test_no_committed_list_names_a_download_address():
    for name in ("constraints.txt", "pyproject.toml", "Makefile", ".ci/run"):
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", (CHECKOUT / name).read_text()), name


@pytest.mark.slow
def test_the_wheel_brings_one_name_and_no_orchestrator(tmp_path):
    source = tmp_path / "source"  # a build leaves a folder behind, from which the next one would take old files
    shutil.copytree(CHECKOUT / "sinet_pipelines", source / "sinet_pipelines")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(CHECKOUT / name, source)
    alone = ["--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path)]
    command = [sys.executable, "-m", "pip", "wheel", *alone, "."]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"sinet_pipelines"}
