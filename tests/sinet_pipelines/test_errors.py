"""Errors: the tree that is drawn is the tree there is, and every branch ends the command line with its code."""

import inspect
import re

import pytest

from sinet_pipelines import errors
from sinet_pipelines.errors import FailedError, RefusedError, SinetError, UsageError

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]


def test_every_error_is_drawn_once_under_its_parent():
    drawn, path = {}, ["SinetError"]
    for line in errors.__doc__.splitlines():
        found = re.match(r"([│ ]*)[├└]── (\w+)", line)
        if found:
            depth = len(found[1]) // 4 + 1
            path[depth:] = [found[2]]
            drawn[found[2]] = path[depth - 1]
    assert drawn == {kind.__name__: kind.__base__.__name__ for kind in CLASSES if kind is not SinetError}


@pytest.mark.parametrize(("branch", "code"), [(UsageError, 2), (RefusedError, 1), (FailedError, 3)])
def test_every_error_of_a_branch_has_its_exit_code(branch, code):
    assert {kind.exit_code for kind in CLASSES if issubclass(kind, branch)} == {code}
