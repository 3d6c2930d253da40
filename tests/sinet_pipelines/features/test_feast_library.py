"""Feast is imported without the checks that typeguard compiles into it, and typeguard itself stays as it was."""

import subprocess
import sys

import pytest

IMPORT = """
import typeguard
before = typeguard.typechecked
from sinet_pipelines.features.feast_library import FeatureView
assert typeguard.typechecked is before
checks = [name for name in FeatureView.__init__.__code__.co_names if "check" in name]
print(checks)
"""


@pytest.mark.slow
def test_the_checks_of_types_are_not_compiled_into_feast():
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "[]\n"


@pytest.mark.slow
def test_feast_by_itself_has_them():
    """Where this fails, Feast no longer marks its classes, and `feast_library` can be a plain import."""
    code = IMPORT.replace("sinet_pipelines.features.feast_library", "feast")
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "check_argument_types_internal" in printed
