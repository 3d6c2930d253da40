"""The Makefile in checkouts and with data folders of any name; what it would install is shown, not installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"
RECORDER = """#!/bin/sh
printf '%s\\n' "$@" > arguments.txt
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout called `My plänt #2` that is installed: its Python writes its arguments to a file."""
    folder = tmp_path / "My plänt #2"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(MAKEFILE, folder)
    for name in ("pyproject.toml", "constraints.txt", ".venv/bin/uv"):
        (folder / name).touch()
    python = folder / ".venv" / "bin" / "python"
    python.write_text(RECORDER)
    python.chmod(0o755)
    (folder / ".venv" / ".walk").write_text(f"{folder}\n")
    return folder


def make(folder, *arguments):
    ended = subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("data", ["/data/plain", "/data/6. Turbofan #1", '/da ta/it\'s "so" `x` %25', "/data/日本?"])
def test_any_data_folder_reaches_the_command_as_it_was_given(checkout, data):
    make(checkout, "run", f"DATA={data}")
    assert (checkout / "arguments.txt").read_text().splitlines() == ["-m", "sinet_pipelines.cli", "run", "--data", data]


def test_without_data_the_simulated_fleet_is_walked(checkout):
    make(checkout, "run")
    assert (checkout / "arguments.txt").read_text().splitlines() == ["-m", "sinet_pipelines.cli", "run"]


def test_an_installed_checkout_is_not_installed_again(checkout):
    assert "pip install" not in make(checkout, "-n", "run")


def test_a_checkout_that_was_moved_is_installed_again(checkout):
    moved = checkout.rename(checkout.with_name("elsewhere"))
    assert "pip install" in make(moved, "-n", "run")
