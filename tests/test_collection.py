"""Every test module stands by itself: it can be collected alone, and its import changes nothing for the others."""

import ast
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
STRIDE = 32  # a process a module takes seconds: a fixed sample of them runs, and another one as modules come
MODULES = sorted(path.relative_to(TESTS.parent).as_posix() for path in TESTS.rglob("test_*.py"))


def collected(module):
    command = [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", module]
    result = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, timeout=600)
    return result.returncode, result.stdout[-2000:] + result.stderr[-2000:]


@pytest.mark.slow
def test_modules_can_be_collected_alone():
    sample = MODULES[::STRIDE]
    with ThreadPoolExecutor(max(os.cpu_count() or 1, 2)) as pool:
        found = dict(zip(sample, pool.map(collected, sample), strict=True))
    assert {module: words for module, (code, words) in found.items() if code} == {}


def imported(tree):
    """What a module takes when it is imported, as dotted names; what functions import later does not count."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


@pytest.fixture(scope="module")
def trees():
    """The syntax tree of every file of tests, by its path."""
    return {path.relative_to(TESTS.parent).as_posix(): ast.parse(path.read_text()) for path in TESTS.rglob("*.py")}


def test_no_module_loads_the_definitions_when_it_is_collected(trees):
    """They load what makes every asset: a module that took them at its top would slow the collection of all others."""
    barred = {"assets.definitions", "assets.definitions.defs"}
    assert {module: found for module in MODULES if (found := set(imported(trees[module])) & barred)} == {}


def test_no_module_changes_the_process_when_it_is_collected(trees):
    """No setting of the environment, the folder, a seed or a signal outside of a function."""
    barred = {"os.chdir", "os.umask", "os.putenv", "os.environ.update", "signal.signal", "np.random.seed"}
    for module in MODULES:
        tree = trees[module]
        calls = [node for statement in tree.body for node in _at_top(statement) if isinstance(node, ast.Call)]
        assert not {ast.unparse(call.func) for call in calls} & barred, module
        assigned = [one for statement in tree.body if isinstance(statement, ast.Assign) for one in statement.targets]
        assert not [one for one in assigned if ast.unparse(one).startswith(("os.environ", "sys."))], module


def test_no_law_fails_for_the_time_an_example_takes():
    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check


def test_every_test_asserts_something(trees):
    """A test that can only fail by raising is not finished: it asserts, or calls a function of tests that does."""
    functions = [
        (path, node.name, _calls_of(node))
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    asserting, before = {"assert", "raises", "warns", "fail"}, set()
    while asserting != before:
        before = set(asserting)
        asserting |= {name for _, name, calls in functions if calls & before and not name.startswith("test_")}
    silent = [
        f"{file}::{name}" for file, name, calls in functions if name.startswith("test_") and not calls & asserting
    ]
    assert silent == []


def _calls_of(function):
    """The names of what a function calls; `assert` where it asserts, by the statement or as `np.testing` does."""
    nodes = list(ast.walk(function))
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = {one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "") for one in called}
    asserts = any(isinstance(node, ast.Assert) for node in nodes) or any(name.startswith("assert_") for name in names)
    return names | ({"assert"} if asserts else set())


def _at_top(statement):
    """The nodes that run when the module is imported."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    yield statement
    for child in ast.iter_child_nodes(statement):
        yield from _at_top(child)
