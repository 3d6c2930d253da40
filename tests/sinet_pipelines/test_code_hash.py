"""The hash of a function's code: what it runs counts, wherever it is imported; how it is written does not."""

import hashlib
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from sinet_pipelines import code_hash
from sinet_pipelines.code_hash import SourceTree, from_json, to_json

FILES = {
    "__init__.py": '"""A package."""\n',
    "main.py": '''"""The module with the function."""

from typing import TYPE_CHECKING

from planted.settings import LIMIT
from planted import handed_on

if TYPE_CHECKING:
    from planted.unrelated import unrelated

OTHER = 1


def decorated(scale):
    def inner(function):
        return function

    return inner


@decorated(scale=1)
def made(rows: "list") -> "list":
    """Returns rows."""
    from planted.lazy import transform

    # a comment
    return [transform(row) for row in rows if row < LIMIT] + handed_on.extra()


def factory(kind):
    base = OTHER + 1

    def nested():
        return kind, base

    return nested


def untouched():
    from planted.unrelated import unrelated

    return unrelated()
''',
    "settings.py": "LIMIT = 10\nUNUSED = 5\n",
    "lazy.py": '''"""Imported inside the function."""

import planted.deep as deep

REGISTERED = {}
REGISTERED["x"] = 1


def transform(row):
    return deep.Model().predict(row)


def unused():
    return 0
''',
    "deep.py": "class Model:\n    def predict(self, row):\n        return row + STEP\n\n\nSTEP = 1\n",
    "handed_on/__init__.py": "from planted.handed_on.inside import extra\n",
    "handed_on/inside.py": "def extra():\n    return []\n",
    "unrelated.py": "def unrelated():\n    return 1\n",
}


@dataclass(frozen=True)
class Settings:
    penalty: float
    inner: "Settings | None" = None


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `planted` that is imported afresh: `hash_of(function)` after `edit(file, old, new)`."""
    root = tmp_path / "planted"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield root
    for name in [name for name in sys.modules if name.split(".")[0] == "planted"]:
        del sys.modules[name]


@pytest.fixture
def hash_of(package):
    def found(name="made", *, make=None, **options):
        for loaded in [one for one in sys.modules if one.split(".")[0] == "planted"]:
            del sys.modules[loaded]
        importlib.invalidate_caches()
        function = getattr(importlib.import_module("planted.main"), name)
        return SourceTree({"planted": package}, **options).hash_of(make(function) if make else function)

    return found


@pytest.fixture
def edit(package):
    def change(file, old, new):
        path = package / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        for cached in package.rglob("*.pyc"):
            cached.unlink()

    return change


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("main.py", "if row < LIMIT", "if row <= LIMIT"),
        ("settings.py", "LIMIT = 10", "LIMIT = 11"),
        ("lazy.py", "predict(row)", "predict(row + 1)"),
        ("lazy.py", 'REGISTERED["x"] = 1', 'REGISTERED["x"] = 2'),
        ("deep.py", "row + STEP", "row - STEP"),
        ("deep.py", "STEP = 1", "STEP = 2"),
        ("handed_on/inside.py", "return []", "return [1]"),
    ],
)
def test_a_change_of_what_the_function_runs_changes_its_hash(hash_of, edit, file, old, new):
    if "REGISTERED" in old:  # counts where something refers to it
        edit("lazy.py", "def transform(row):\n", "def transform(row):\n    REGISTERED.get(row)\n")
    before = hash_of()
    edit(file, old, new)
    assert hash_of() != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("main.py", "# a comment", "# another comment"),
        ("main.py", '"""Returns rows."""', '"""Returns other words."""'),
        ("main.py", "    # a comment\n    return [", "    return [\n"),
        ("main.py", '(rows: "list") -> "list":', "(rows):"),
        ("main.py", "@decorated(scale=1)", "@decorated(scale=2)"),
        ("main.py", "return unrelated()", "return unrelated() + 1"),
        ("settings.py", "UNUSED = 5", "UNUSED = 6"),
        ("lazy.py", "return 0", "return 1"),
        ("unrelated.py", "return 1", "return 2"),
    ],
)
def test_a_change_of_anything_else_leaves_it(hash_of, edit, file, old, new):
    before = hash_of()
    edit(file, old, new)
    assert hash_of() == before


def test_a_nested_function_counts_with_what_its_factory_computes_and_with_what_it_closed_over(hash_of, edit):
    def canonical(value):
        return value if isinstance(value, str) else None

    def nested(kind):
        return hash_of("factory", make=lambda factory: factory(kind), canonical=canonical)

    before = nested("a")
    assert nested("a") == before
    assert nested("b") != before
    edit("main.py", "base = OTHER + 1", "base = OTHER + 2")
    changed = nested("a")
    assert changed != before
    edit("main.py", "OTHER = 1", "OTHER = 5")
    assert nested("a") not in (before, changed)


def test_a_function_that_a_factory_was_given_counts_with_its_code(hash_of, edit):
    def given(module, name):
        return hash_of("factory", make=lambda factory: factory(getattr(importlib.import_module(module), name)))

    transform, unused = given("planted.lazy", "transform"), given("planted.lazy", "unused")
    assert transform != unused
    edit("deep.py", "STEP = 1", "STEP = 2")
    assert given("planted.lazy", "transform") != transform
    edit("lazy.py", "return 0", "return 1")
    assert given("planted.lazy", "unused") != unused


def test_a_behaviour_that_a_factory_was_given_counts_by_its_fields(hash_of):
    def given(value):
        return hash_of(
            "factory", make=lambda factory: factory(value), is_behaviour=lambda one: isinstance(one, Settings)
        )

    assert given(Settings(1)) == given(Settings(1))
    assert len({given(Settings(1)), given(Settings(2)), given(Settings(1, Settings(1)))}) == 3


@pytest.mark.parametrize("around", [lambda one: (one,), lambda one: [one], lambda one: {"a": one}])
def test_behaviours_in_a_collection_count_by_their_fields(hash_of, around):
    def given(value):
        return hash_of(
            "factory", make=lambda factory: factory(value), is_behaviour=lambda one: isinstance(one, Settings)
        )

    first, second = around(Settings(1)), around(Settings(2))
    assert given(first) != given(second)
    assert given(Settings(1, first)) != given(Settings(1, second))


def test_a_canonical_value_in_a_field_of_a_behaviour_counts(hash_of):
    def given(value):
        return hash_of(
            "factory",
            make=lambda factory: factory(Settings(1, value)),
            is_behaviour=lambda one: isinstance(one, Settings),
            canonical=lambda one: str(sorted(one)) if isinstance(one, frozenset) else None,
        )

    assert given(frozenset({1})) != given(frozenset({2}))


def test_excluded_modules_do_not_count(hash_of, edit):
    before = hash_of(excluded=["planted.lazy"])
    edit("lazy.py", "predict(row)", "predict(row + 1)")
    edit("deep.py", "STEP = 1", "STEP = 2")
    assert hash_of(excluded=["planted.lazy"]) == before


def test_a_canonical_value_counts_by_what_it_is(hash_of, edit):
    def canonical(value):
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else None

    def found():
        return hash_of(canonical=canonical, values=sys.modules)

    before = found()
    edit("settings.py", "LIMIT = 10", "LIMIT = 5 + 5")
    assert found() == before
    edit("settings.py", "5 + 5", "5 + 6")
    assert found() != before


def test_what_stands_behind_an_attribute_of_an_object_from_outside_counts(hash_of, edit):
    edit("main.py", "    # a comment\n", "    rows = rows.store.read_all()\n")
    behind = {"store.read_all": "planted.unrelated.unrelated"}
    before, blind = hash_of(attributes=behind), hash_of()
    edit("unrelated.py", "return 1", "return 2")
    assert hash_of(attributes=behind) != before
    assert hash_of() == blind


def test_a_dotted_path_in_a_text_counts(hash_of, edit):
    edit("main.py", "    # a comment\n", '    rows = load("planted.unrelated.unrelated", rows)\n')
    before = hash_of()
    edit("unrelated.py", "return 1", "return 2")
    assert hash_of() != before


def test_the_cache_gives_the_same_hash(hash_of, package):
    first = SourceTree({"planted": package})
    module = importlib.import_module("planted.main")
    before = first.hash_of(module.made)
    assert first.is_changed
    second = SourceTree({"planted": package}, cache=from_json(to_json(first.dump())))
    assert second.hash_of(module.made) == before
    assert not second.is_changed


def changed_byte(kept):
    return kept.replace(b'"digest":"', b'"digest":"0', 1)


@pytest.mark.parametrize("damage", [lambda kept: kept[:-1], changed_byte, lambda _: b"", lambda _: b"no cache"])
def test_a_damaged_cache_is_not_used(package, damage):
    first = SourceTree({"planted": package})
    first.hash_of(importlib.import_module("planted.main").made)
    kept = to_json(first.dump())
    assert from_json(kept).keys() == first.dump().keys()
    assert from_json(damage(kept)) == {}


def test_the_cache_has_modules_that_another_process_used_but_no_more_than_its_own(package):
    others = {str(n): {} for n in range(100)}
    tree = SourceTree({"planted": package}, cache=dict(others))
    tree.hash_of(importlib.import_module("planted.main").made)
    own = [key for key in tree.dump() if key not in others]
    assert list(tree.dump()) == [*list(others)[-len(own) :], *own]


def test_a_function_that_is_in_no_package_is_refused(package):
    with pytest.raises(LookupError, match="not in the source"):
        SourceTree({"planted": package}).hash_of(Path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"form": 3}', b'{"form": 3, "modules": []}', b"{"])
def test_a_cache_of_another_kind_with_its_digest_is_empty(content):
    assert from_json(hashlib.sha256(content).hexdigest().encode() + b"\n" + content) == {}


def test_the_cache_of_another_analysis_is_not_used(package, monkeypatch):
    first = SourceTree({"planted": package})
    first.hash_of(importlib.import_module("planted.main").made)
    monkeypatch.setattr(code_hash, "_own_digest", lambda: "another analysis")
    second = SourceTree({"planted": package}, cache=dict(first.dump()))
    second.hash_of(importlib.import_module("planted.main").made)
    assert second.is_changed
