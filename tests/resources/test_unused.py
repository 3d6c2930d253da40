"""Warnings of unused files: one text and one hash for the same files in every process."""

import os
import subprocess
import sys

import pytest

_SCRIPT = """
from resources.unused import warnings_of
from sinet_pipelines.ingestion.scan import UnusedFile

files = [UnusedFile(f"MARS/{name}.parquet", "there is no region MARS", "remove it") for name in "dbca"]
print(sorted(warnings_of({"EAST": files, "WEST": files[::-1]}).items()))
"""


def _warnings(hash_seed: int) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
def test_the_same_files_give_the_same_warning_in_every_process():
    values = {_warnings(seed) for seed in range(3)}
    assert len(values) == 1, values
    assert "not used in MARS: a.parquet, b.parquet, c.parquet, ... (files: 4)" in values.pop()
