"""Every test module stands by itself: it can be collected alone, and its import changes nothing for the others."""

import ast
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
STRIDE = 16  # a process a module takes seconds: a fixed sample of them runs, and another one as modules come
MODULES = sorted(path.relative_to(TESTS.parent).as_posix() for path in TESTS.rglob("test_*.py"))


def collected(module):
    command = [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", module]
    said = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, timeout=600)
    return said.returncode, said.stdout[-2000:] + said.stderr[-2000:]


@pytest.mark.slow
def test_modules_can_be_collected_alone():
    sample = MODULES[::STRIDE]
    with ThreadPoolExecutor(max(os.cpu_count() or 1, 2)) as pool:
        said = dict(zip(sample, pool.map(collected, sample), strict=True))
    assert {module: words for module, (code, words) in said.items() if code} == {}


def imported(tree):
    """What a module takes when it is imported, as dotted names; what functions import later does not count."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_loads_the_definitions_when_it_is_collected(module):
    """They read the home of their first import: a module that took them at its top would decide it for all others."""
    taken = set(imported(ast.parse((TESTS.parent / module).read_text())))
    assert not taken & {"assets.definitions", "assets.days.DAYS", "assets.definitions.defs"}


@pytest.mark.parametrize("module", MODULES)
def test_no_module_changes_the_process_when_it_is_collected(module):
    """No setting of the environment, the folder, a seed or a signal outside of a function."""
    tree = ast.parse((TESTS.parent / module).read_text())
    calls = [node for statement in tree.body for node in _at_top(statement) if isinstance(node, ast.Call)]
    named = {ast.unparse(call.func) for call in calls}
    assert not named & {"os.chdir", "os.umask", "os.putenv", "os.environ.update", "signal.signal", "np.random.seed"}
    targets = [target for statement in tree.body if isinstance(statement, ast.Assign) for target in statement.targets]
    assert not [target for target in targets if ast.unparse(target).startswith(("os.environ", "sys."))]


def _at_top(statement):
    """The nodes that run when the module is imported."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    yield statement
    for child in ast.iter_child_nodes(statement):
        yield from _at_top(child)
