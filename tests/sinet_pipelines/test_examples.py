"""Examples in docstrings: each is run, and gives what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

import sinet_pipelines

LIBRARY = Path(sinet_pipelines.__path__[0])
FILES = [path.relative_to(LIBRARY.parent) for path in LIBRARY.rglob("*.py") if ">>> " in path.read_text()]


@pytest.mark.parametrize("name", sorted(".".join(path.with_suffix("").parts) for path in FILES))
def test_every_example_gives_what_it_says(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0
