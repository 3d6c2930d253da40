"""Hashes the source code that a function runs: itself and, symbol by symbol, all first-party code that it refers to.

Comments, docstrings, annotations and formatting do not count; imports inside functions do. The hash depends on the
source text alone, so it is the same on every machine. References are found statically. The search prefers too many
references to too few: a name counts wherever it occurs. A reference by text at run time counts only where the text is a
dotted path.
"""

import ast
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache, cached_property, lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

import orjson

FORM = 3  # format of the cache
_LOCALS = ".<locals>."
_SEQUENCES = (tuple, list)  # exactly these: a record of another library may be a tuple that cannot be iterated

Canonical = Callable[[object], str | None]


@dataclass(frozen=True)
class Statement:
    """A top-level statement: the hash of its code and its references.

    Attributes:
        digest: hash of its normalised syntax tree.
        names: names that it may refer to in its own module.
        targets: dotted paths of imported objects that it refers to.
    """

    digest: str
    names: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Module:
    """The parts of a module that the analysis uses.

    Attributes:
        symbols: the statements that bind each name.
        imports: dotted path of each name that is imported at the top.
        effects: statements that bind no name, such as a call that registers something.
        functions: nested functions by qualified name, with the statements of their enclosing functions.
    """

    symbols: Mapping[str, tuple[Statement, ...]]
    imports: Mapping[str, str]
    effects: tuple[Statement, ...]
    functions: Mapping[str, Statement]


def _is_plain(value: object) -> bool:
    """Whether the text of a value is the same in every process."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)


@dataclass
class SourceTree:
    """The first-party packages on disk.

    Attributes:
        packages: folder of each top-level package by its name.
        excluded: modules that do not count, with all modules below them.
        canonical: text of a loaded value that counts by its value instead of its source; None for other values.
        attributes: dotted path of the function behind an attribute of an outside object (`landing.read_day`).
        values: loaded modules by name, in which such values are looked up.
        is_behaviour: whether a dataclass in a closure counts by its fields and the code of its class.
        cache: analysed modules by the hash of their text, as `dump` returned it.
    """

    packages: Mapping[str, Path]
    excluded: Collection[str] = ()
    canonical: Canonical = lambda _: None
    attributes: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    is_behaviour: Callable[[object], bool] = lambda _: False
    cache: dict[str, Any] = field(default_factory=dict)
    _modules: dict[str, Module | None] = field(default_factory=dict)
    _used: dict[str, Any] = field(default_factory=dict)
    _places: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    _kept: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    _values: dict[tuple[str, str], str | None] = field(default_factory=dict)  # many functions refer to the same symbol
    _referred: dict[tuple[str, str], tuple[tuple[str, str], ...]] = field(default_factory=dict)
    is_changed: bool = False

    def hash_of(self, function: Callable[..., Any]) -> str:
        """16 hex digits: the hash of a function's code and of all first-party code that it refers to.

        A nested function counts with the statements of its enclosing function, and with the values of its closure where
        these are canonical; decorators do not count.

        Raises:
            LookupError: the function's source is in none of the packages.
        """
        module, qualname = function.__module__, function.__qualname__
        analysed = self._module(module)
        found = analysed.functions.get(qualname) if analysed is not None else None
        if found is None:
            raise LookupError(f"{module}.{qualname} is not in the source of {', '.join(self.packages)}")
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        closed = sorted(filter(None, map(self.canonical, cells)))
        given = sorted(text for cell in cells for text in self._given(cell))
        parts = (found.digest, *self._closures(module, qualname), *closed, *given)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def dump(self) -> dict[str, Any]:
        """The analysed modules, as a cache for the next process, and at most as many that only other processes used."""
        others = {key: one for key, one in self.cache.items() if key not in self._used}
        return {**dict(list(others.items())[-len(self._used) :]), **self._used}

    def _given(self, value: object) -> Iterator[str]:
        """The parts that count of a value in a closure: a function's code, or a behaviour's fields and code.

        A behaviour is a dataclass that `is_behaviour` selects, such as a family with its settings. Of a tuple, a list
        or a mapping, all members count. Of any other value, such as a `partial` or a lambda, nothing counts.
        """
        if isinstance(value, FunctionType) and value.__module__.split(".")[0] in self.packages:
            name = value.__qualname__.split(".")[0]
            for digest, statement in self._read(value.__module__, name):
                yield digest
                yield from self._closure(value.__module__, statement) if statement is not None else ()
        elif self.is_behaviour(value):
            kind = type(value)
            for digest, statement in self._read(kind.__module__, kind.__qualname__):
                yield digest
                yield from self._closure(kind.__module__, statement) if statement is not None else ()
            for one in fields(value):  # type: ignore[arg-type]
                part = getattr(value, one.name)
                yield f"{one.name}={self._text(part)}"
        elif type(value) in _SEQUENCES or isinstance(value, Mapping):
            for part in value.values() if isinstance(value, Mapping) else value:  # type: ignore[attr-defined]
                yield from filter(None, [self.canonical(part)])
                yield from self._given(part)

    def _text(self, part: object) -> str:
        """What counts of a field of a behaviour, or of a member of such a field."""
        if _is_plain(part):
            return repr(part)
        value = self.canonical(part)
        if value is not None:
            return value
        if type(part) in _SEQUENCES:
            return f"({', '.join(map(self._text, part))})"  # type: ignore[call-overload]
        if isinstance(part, Mapping):
            return f"({', '.join(f'{key!r}: {self._text(one)}' for key, one in part.items())})"
        return f"({' '.join(self._given(part))})"

    def _closures(self, module: str, qualname: str) -> tuple[str, ...]:
        """The closure of a function; cached, since a factory makes the same function for each region."""
        if (module, qualname) not in self._kept:
            analysed = self._module(module)
            start = analysed.functions[qualname] if analysed is not None else None
            self._kept[module, qualname] = tuple(sorted(self._closure(module, start))) if start is not None else ()
        return self._kept[module, qualname]

    def _closure(self, module: str, start: Statement) -> set[str]:
        digests, seen, left = set[str](), set[tuple[str, str]](), list(self._references(module, start))
        while left:
            place = left.pop()
            if place in seen:
                continue
            seen.add(place)
            for digest, statement in self._read(*place):
                digests.add(digest)
                if statement is not None:
                    left.extend(self._references(place[0], statement))
        return digests

    def _read(self, module: str, name: str) -> Iterator[tuple[str, Statement | None]]:
        """Digests of a symbol, with the statement to follow; all symbols of the module where the name is `*`."""
        analysed = self._module(module)
        if analysed is None:
            return
        if name == "*":
            for statements in analysed.symbols.values():
                yield from ((one.digest, one) for one in statements)
            yield from ((one.digest, one) for one in analysed.effects)
            return
        if (module, name) not in self._values:
            self._values[module, name] = self.canonical(getattr(self.values.get(module), name, None))
        value = self._values[module, name]
        if value is not None:
            yield f"{module}.{name}={value}", None
            return
        yield from ((one.digest, one) for one in analysed.symbols.get(name, ()))
        yield from ((one.digest, one) for one in analysed.effects)

    def _references(self, module: str, statement: Statement) -> tuple[tuple[str, str], ...]:
        key = (module, statement.digest)  # equal code in one module has equal references
        if key not in self._referred:
            self._referred[key] = tuple(self._referring(module, statement))
        return self._referred[key]

    def _referring(self, module: str, statement: Statement) -> Iterator[tuple[str, str]]:
        analysed = self._module(module)
        if analysed is None:
            return
        for name in statement.names:
            head, _, rest = name.partition(".")
            for words, target in self.attributes.items():
                if f".{words}." in f"{name}.":
                    yield from self._resolved(target)
            if head in analysed.imports:
                target = analysed.imports[head]
                yield from self._resolved(f"{target}.{rest}" if rest else target)
            elif head in analysed.symbols:
                yield module, head
        for target in statement.targets:
            yield from self._resolved(target)

    def _resolved(self, target: str) -> tuple[tuple[str, str], ...]:
        if target not in self._places:
            self._places[target] = tuple(self._resolve(target))
        return self._places[target]

    def _resolve(self, target: str) -> Iterator[tuple[str, str]]:
        """Module and symbol of a dotted path: the longest prefix that is a module, and the name after it."""
        words = target.split(".")
        if words[0] not in self.packages:
            return
        for length in range(len(words), 0, -1):
            module = ".".join(words[:length])
            if any(module == one or module.startswith(f"{one}.") for one in self.excluded):
                return
            if self._path(module) is None:
                continue
            symbol = words[length] if length < len(words) else "*"
            analysed = self._module(module)
            if analysed is not None and symbol in analysed.imports and symbol not in analysed.symbols:
                yield from self._resolved(analysed.imports[symbol])  # re-exported by a package
            else:
                yield module, symbol
            return

    def _path(self, module: str) -> Path | None:
        head, *rest = module.split(".")
        if head not in self.packages:
            return None
        place = self.packages[head].joinpath(*rest)
        for path in (place / "__init__.py", place.with_suffix(".py")) if rest else (place / "__init__.py",):
            if path.is_file():
                return path
        return None

    def _module(self, module: str) -> Module | None:
        if module not in self._modules:
            path = self._path(module)
            self._modules[module] = None if path is None else self._analysed(module, path)
        return self._modules[module]

    def _analysed(self, module: str, path: Path) -> Module:
        content = path.read_bytes()
        is_package = path.name == "__init__.py"
        head = f"{_own_digest()} {module} {is_package} {self._tops}\n".encode()
        key = hashlib.sha256(head + content).hexdigest()[:32]
        if key not in self.cache:
            self.cache[key] = _analysis(content, module, is_package, tuple(self.packages))
            self.is_changed = True
        self._used[key] = self.cache[key]
        return _module_from(self.cache[key])

    @cached_property
    def _tops(self) -> str:
        return ",".join(sorted(self.packages))


@cache
def _own_digest() -> str:
    """Hash of this file, which is in the key of each analysed module: another analysis finds none of the former one."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


@lru_cache(maxsize=2048)  # a process that makes definitions for several homes analyses each text once
def _analysis(content: bytes, module: str, is_package: bool, packages: tuple[str, ...]) -> dict[str, Any]:  # noqa: FBT001
    return asdict(analyse(content, module, is_package=is_package, packages=packages))


def analyse(source: bytes, module: str, *, is_package: bool = False, packages: Collection[str] = ()) -> Module:
    """Analyses a module: its statements, imports and functions.

    Args:
        source: its source text.
        module: its dotted name.
        is_package: whether it is a package's `__init__`.
        packages: top-level packages whose dotted paths in strings count as references.

    Raises:
        SyntaxError: the text is not Python.
    """
    tree = _normalised(ast.parse(source))
    anchor = module if is_package else module.rpartition(".")[0]
    dotted = re.compile(rf"({'|'.join(map(re.escape, packages))})(\.\w+)+") if packages else None
    symbols: dict[str, list[Statement]] = {}
    imports: dict[str, str] = {}
    effects = []
    for node in tree.body:
        found = dict(_imports([node], anchor, into_functions=False))
        imports |= found
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        statement = _statement([node], anchor, dotted)
        bound = _bound(node)
        for name in bound:
            symbols.setdefault(name, []).append(statement)
        if not bound and not found:
            effects.append(statement)
    functions = {name: _statement(nodes, anchor, dotted) for name, nodes in _functions(tree.body, (), "")}
    return Module({name: tuple(found) for name, found in symbols.items()}, imports, tuple(effects), functions)


def _functions(
    body: Iterable[ast.stmt], around: tuple[ast.stmt, ...], prefix: str
) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Functions by qualified name: the function without decorators, and the statements of its enclosing functions."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            bare = ast.FunctionDef(
                name="", args=node.args, body=node.body, decorator_list=[], returns=None, type_comment=None
            )
            name = f"{prefix}{node.name}"
            yield name, [*around, bare]
            inner = tuple(one for one in node.body if not isinstance(one, ast.FunctionDef | ast.Return))
            yield from _functions(node.body, (*around, *inner), f"{name}{_LOCALS}")


def _statement(nodes: list[ast.stmt], anchor: str, dotted: re.Pattern[str] | None) -> Statement:
    text = "\n".join(ast.dump(node, annotate_fields=False) for node in nodes)
    local = dict(_imports(nodes, anchor, into_functions=True))
    names, targets = set[str](), set(local.values())
    chained: set[int] = set()
    for node in (one for top in nodes for one in ast.walk(top)):
        if isinstance(node, ast.Attribute) and id(node) not in chained:
            _note(_chain(node, chained), local, names, targets)
        elif isinstance(node, ast.Name) and id(node) not in chained:
            _note(node.id, local, names, targets)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and dotted and dotted.fullmatch(node.value):
            targets.add(node.value)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Statement(digest, tuple(sorted(names)), tuple(sorted(targets)))


def _note(chain: str, local: Mapping[str, str], names: set[str], targets: set[str]) -> None:
    head, _, rest = chain.partition(".")
    if head in local:
        targets.add(f"{local[head]}.{rest}" if rest else local[head])
    else:
        names.add(chain)


def _chain(node: ast.Attribute, chained: set[int]) -> str:
    """`a.b.c` as text, `().b.c` where the base is not a name; visited nodes are added to `chained`."""
    words: list[str] = []
    parts: list[int] = []
    at: ast.expr = node
    while isinstance(at, ast.Attribute):
        words.append(at.attr)
        parts.append(id(at))
        at = at.value
    chained.update(parts)
    if not isinstance(at, ast.Name):
        return ".".join(["()", *reversed(words)])
    chained.add(id(at))
    return ".".join([at.id, *reversed(words)])


def _imports(nodes: Iterable[ast.stmt], anchor: str, *, into_functions: bool) -> Iterator[tuple[str, str]]:
    for top in nodes:
        for node in ast.walk(top) if into_functions else _outside_functions(top):
            if isinstance(node, ast.Import):
                for one in node.names:
                    yield (one.asname, one.name) if one.asname else (one.name.partition(".")[0],) * 2
                    if not one.asname and "." in one.name:
                        yield f"import {one.name}", one.name  # binds no name, but loads the module
            elif isinstance(node, ast.ImportFrom):
                above = anchor.split(".")[: len(anchor.split(".")) - node.level + 1] if node.level else []
                source = ".".join(filter(None, [*above, node.module]))
                for one in node.names:
                    yield one.asname or one.name, source if one.name == "*" else f"{source}.{one.name}"


def _outside_functions(top: ast.AST) -> Iterator[ast.AST]:
    yield top
    if not isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        for child in ast.iter_child_nodes(top):
            yield from _outside_functions(child)


def _bound(top: ast.stmt) -> list[str]:
    """Names that a top-level statement binds, or whose contents it changes."""
    names = []
    for node in _outside_functions(top):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            base: ast.expr = node
            while isinstance(base, ast.Subscript | ast.Attribute):
                base = base.value
            names += [base.id] if isinstance(base, ast.Name) else []
    return names


class _Normalise(ast.NodeTransformer):
    """Removes syntax without effect at run time: docstrings, annotations of functions, blocks for type checkers."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:  # noqa: N802
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:  # noqa: N802
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:  # noqa: N802
        node.body = _without_docstring(node.body)
        return self.generic_visit(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:  # noqa: N802
        node.body = _without_docstring(node.body)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:  # noqa: N802
        test = node.test
        if (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
            isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
        ):
            return [self.visit(one) for one in node.orelse]
        return self.generic_visit(node)

    def _function(self, node: Any) -> ast.AST:
        node.returns = None
        node.body = _without_docstring(node.body)
        every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg)
        for argument in filter(None, every):
            argument.annotation = None
        return self.generic_visit(node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return (body[1:] or [ast.Pass()]) if is_docstring else body


def _normalised(tree: ast.Module) -> ast.Module:
    found: ast.Module = _Normalise().visit(tree)
    return found


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _module_from(plain: Mapping[str, Any]) -> Module:
    return Module(
        {name: tuple(map(_statement_from, found)) for name, found in plain["symbols"].items()},
        plain["imports"],
        tuple(map(_statement_from, plain["effects"])),
        {name: _statement_from(one) for name, one in plain["functions"].items()},
    )


def _statement_from(plain: Mapping[str, Any]) -> Statement:
    return Statement(plain["digest"], tuple(plain["names"]), tuple(plain["targets"]))


def to_json(cache: Mapping[str, Any]) -> bytes:
    """The cache as bytes: the SHA-256 of its JSON, and in the next line the JSON."""
    content = orjson.dumps({"form": FORM, "modules": cache})
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def from_json(content: bytes) -> dict[str, Any]:
    """The cache that `to_json` wrote; empty for anything else, also for a part of one or with a changed byte."""
    digest, _, rest = content.partition(b"\n")
    if digest != hashlib.sha256(rest).hexdigest().encode():
        return {}
    try:
        stored = orjson.loads(rest)
    except orjson.JSONDecodeError:
        return {}
    modules = stored.get("modules") if isinstance(stored, dict) and stored.get("form") == FORM else None
    return dict(modules) if isinstance(modules, dict) else {}
