"""Nothing goes over a set in its own order: that order is another one in each process (PYTHONHASHSEED)."""

import ast
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

PACKAGES = ("assets", "resources", "schedules", "sinet_pipelines")
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
IN_ORDER = {"join", "list", "tuple", "fromkeys", "enumerate", "extend", "iter"}  # their result has the set's order
WITHOUT_ORDER = {"all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum"}


def is_set(found):
    """Whether an expression is a set by its form alone."""
    if isinstance(found, ast.Set | ast.SetComp):
        return True
    if isinstance(found, ast.BinOp) and isinstance(found.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return is_set(found.left) or is_set(found.right)
    if not isinstance(found, ast.Call):
        return False
    made = found.func.value if isinstance(found.func, ast.Subscript) else found.func
    if isinstance(made, ast.Attribute):
        return made.attr in SET_METHODS
    return isinstance(made, ast.Name) and made.id in ("set", "frozenset")


def name_of(function):
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def lines_in_order_of_a_set(text):
    """The numbers of the lines that loop over a set, or make a text, list, tuple or dictionary of one."""
    tree = ast.parse(text)
    harmless = {
        argument
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and name_of(call.func) in WITHOUT_ORDER
        for argument in call.args
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and is_set(node.iter):
            found.add(node.lineno)
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp) and node not in harmless:
            found |= {node.lineno for part in node.generators if is_set(part.iter)}
        if isinstance(node, ast.Call) and name_of(node.func) in IN_ORDER:
            found |= {node.lineno for argument in node.args if is_set(argument)}
        if isinstance(node, ast.List | ast.Tuple):
            found |= {node.lineno for part in node.elts if isinstance(part, ast.Starred) and is_set(part.value)}
    return sorted(found)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_product_code_goes_over_a_set_unsorted(package):
    files = sorted((CHECKOUT / package).rglob("*.py"))
    found = [
        f"{file.relative_to(CHECKOUT)}:{line}" for file in files for line in lines_in_order_of_a_set(file.read_text())
    ]
    assert found == []


def test_what_is_looked_for_is_found():
    text = Path(__file__).with_name("order_of_sets.txt").read_text()
    wrong = [number for number, line in enumerate(text.splitlines(), start=1) if "# wrong" in line]
    assert lines_in_order_of_a_set(text) == wrong
