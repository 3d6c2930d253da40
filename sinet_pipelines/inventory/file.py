"""`inventory.yaml`: one file in which a user changes or adds a region or a kind of hardware, read with its lines.

    regions:
      - name: EAST                      # an existing region: only these fields change
        cluster: {namespace: ml-east}
      - name: NORTH                     # a new region: one entry; all else is derived from it
        role: a plant of its own
        hardware: [nvidia-t4, cpu]
        cluster: {kubeconfig_context: north}
    hardware:
      - id: nvidia-t4
        usd_per_hour: 0.31              # the source of a plain number is its line in this file

The allowed fields are those of the classes `Region` and `Hardware`; this file has no second list of them.
"""

import dataclasses
import math
import os
import re
import types
import typing
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sinet_pipelines.errors import InventoryError, first_line
from sinet_pipelines.inventory.figures import Figure, Hourly

if TYPE_CHECKING:
    from yaml.nodes import Node

FILE = "inventory.yaml"
FORMER_FILE = "registry.yaml"  # its name in version 0.1; without an error, such a file would have no effect
SECTIONS = ("regions", "hardware")
MAX_BYTES = 1024 * 1024  # 200 regions with all fields need a quarter of it
MAX_DEPTH = 20  # nested lists and mappings; a storage tier's figure is at depth 6
MAX_ENTRIES = 200  # of a section: each region adds about 40 assets to the graph
_OTHER_BASE = re.compile(r"[-+]?0[0-7_]+|.*:.*")  # some YAML parsers read 0644 as 420 and 10:30 as 630
MAX_WHOLE = 2**63  # numbers are sizes, counts and prices
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "date": "a day (2027-12-31)",
}
DERIVED = types.MappingProxyType({"derived": True})  # metadata of a field that no entry of the file sets
T = TypeVar("T")


def inventory_path() -> Path | None:
    """The file of this process: `$SINET_INVENTORY`, else `inventory.yaml` beside `workspace.yaml`, or none.

    It reads the environment itself, since a notebook or a worker may have only the wheel, without
    `resources/settings.py`.

    Raises:
        InventoryError: `SINET_INVENTORY` is not a file, the path beside `workspace.yaml` exists but is not a file, or
            the file has the name of version 0.1.
    """
    if os.environ.get("SINET_REGISTRY"):
        raise InventoryError("SINET_REGISTRY is set (version 0.1 had it); set SINET_INVENTORY instead and unset it")
    named = os.environ.get("SINET_INVENTORY")
    if named:
        if not _is_file(Path(named)):
            raise InventoryError(f"SINET_INVENTORY is {named}, which is no file; name an inventory file or unset it")
        return Path(named)
    project = Path(os.environ.get("SINET_PROJECT") or Path(__file__).parents[2])
    if os.path.lexists(project / FORMER_FILE):
        raise InventoryError(f"{project / FORMER_FILE} has the name of version 0.1; rename it to {FILE}, or remove it")
    beside = project / FILE
    if _is_file(beside):
        return beside
    if os.path.lexists(beside):
        raise InventoryError(f"{beside} is no file (a folder, or a link to nothing); put the file there or remove it")
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise InventoryError(f"{path} cannot be read: {error.strerror}; mend that or unset SINET_INVENTORY") from error


def with_entries(shipped: tuple[T, ...], section: str, *, by: str, path: Path | None) -> tuple[T, ...]:
    """The rows changed by a section of the file: an entry changes the row of its name, or is added.

    Args:
        shipped: the default rows, all of one dataclass.
        section: `regions` or `hardware`.
        by: the field with a row's name.
        path: path of the file; None for no file.

    Raises:
        InventoryError: the file cannot be read as rows (the message has its line), or two shipped rows have one name.
    """
    rows = {getattr(row, by): row for row in shipped}
    if len(rows) < len(shipped):
        raise InventoryError(f"two rows of {section} have one {by} (there are: {', '.join(rows)}); rename one")
    if path is None:
        return shipped
    kind, seen = type(shipped[0]), dict[str, int]()
    for node in _entries(path, section):
        given = _Reader(path).fields(node, kind)
        name_node = given.get(by)
        if name_node is None:
            raise _wrong(path, node, f"an entry of {section} has no {by}", f"add `{by}: ...`")
        name = _Reader(path).value(name_node, str)
        if name in seen:
            raise _wrong(path, node, f"two {section} are called {name!r} (the other: line {seen[name]})", "keep one")
        seen[name] = _line(node)
        rows[name] = _Reader(path).row(node, kind, base=rows.get(name))
    return tuple(rows.values())


def line_of(path: Path | None, section: str, name: str, *, by: str) -> str:
    """The line of a row in the file: `inventory.yaml, line 3`; empty if the file has no such row."""
    if path is None:
        return ""
    for node in _entries(path, section):
        name_node = _Reader(path).fields_of(node).get(by)
        if name_node is not None and name_node.value == name:
            return f"{path}, line {_line(node)}"
    return ""


def _entries(path: Path, section: str) -> "list[Node]":
    return _document(path).get(section, [])


def _document(path: Path) -> "dict[str, list[Node]]":
    """The entries of each section as nodes with line numbers."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast, where available
    try:
        text = _text(path)
        _require_shallow(path, text, loader)
        top = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InventoryError(f"{path}, line {line}: no YAML: {error.problem}; mend the line") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise InventoryError(f"{path}: no YAML: {first_line(error)}; write it as text in UTF-8") from error
    except OSError as error:
        raise InventoryError(f"{path} cannot be read: {error.strerror}; mend that or unset SINET_INVENTORY") from error
    if top is None:
        return {}
    found = {}
    for key, node in _Reader(path).named(top):
        if key.value not in SECTIONS:
            raise _wrong(path, key, f"there is no section {key.value!r}", f"the sections are {', '.join(SECTIONS)}")
        entries = _Reader(path).items(node)
        if len(entries) > MAX_ENTRIES:
            found_many = f"{len(entries):,} entries of {key.value}"
            raise _wrong(path, key, found_many, f"at most {MAX_ENTRIES} are read; take some out")
        found[key.value] = entries
    return found


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InventoryError(
            f"{path} is larger than {MAX_BYTES:,} bytes, which no inventory file is; name another file"
        )
    return content.decode("utf-8-sig")


def _require_shallow(path: Path, text: str, loader: Any) -> None:
    """Rejects a file that is nested too deeply for the recursive parser; this check reads events without recursion."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            deep = f"lists and mappings stand more than {MAX_DEPTH} deep in each other"
            raise _wrong(path, event, deep, "no field is that deep: mend the brackets or the indentation")


def _short(text: str) -> str:
    """A value in the form for messages."""
    return repr(text) if len(text) <= 80 else f"{text[:60]!r}... ({len(text):,} characters)"


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _wrong(path: Path, node: Any, found: str, cure: str) -> InventoryError:
    return InventoryError(f"{path}, line {_line(node)}: {found}; {cure}")


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Reads nodes in the types of a dataclass's annotations.

    Attributes:
        path: path of the file.
        field: the field whose value is read, for messages; empty for none.
    """

    path: Path
    field: str = ""

    def row(self, node: "Node", kind: type[T], *, base: T | None = None) -> T:
        """The dataclass of a mapping; with a base, only the fields in the mapping change."""
        nodes, hints = self.fields(node, kind), _hints(kind)  # type: ignore[arg-type]
        known = {} if base is None else {name: getattr(base, name) for name in hints}
        values = {
            name: dataclasses.replace(self, field=name).value(child, hints[name], base=known.get(name))
            for name, child in nodes.items()
        }
        needed = [f.name for f in dataclasses.fields(kind) if _is_needed(f)]  # type: ignore[arg-type]
        missing = [name for name in needed if name not in {**known, **values}]
        if missing:
            raise _wrong(self.path, node, f"{kind.__name__.lower()} without {', '.join(missing)}", "add them")
        return self._made(node, kind, {**known, **values})

    def _made(self, node: "Node", kind: type[T], values: Mapping[str, Any]) -> T:
        try:
            return kind(**values)
        except InventoryError as error:
            raise InventoryError(f"{self.path}, line {_line(node)}: {error}") from error

    def fields_of(self, node: "Node") -> "dict[str, Node]":
        """The fields of an entry, with any names."""
        return dict(self.pairs(node))

    def fields(self, node: "Node", kind: type) -> "dict[str, Node]":
        """The fields of an entry; its dataclass must have all of them."""
        hints = _hints(kind)
        nodes: dict[str, Node] = {}
        for key, child in self.named(node):
            if key.value not in hints:
                has = f"it has {', '.join(hints)}"
                raise _wrong(self.path, key, f"{kind.__name__.lower()} has no {key.value!r}", has)
            nodes[key.value] = child
        return nodes

    def value(self, node: "Node", hint: Any, *, base: Any = None) -> Any:
        """The value of a node in the annotated type."""
        origin, parts = typing.get_origin(hint), typing.get_args(hint)
        if origin in (types.UnionType, typing.Union):
            if node.tag.endswith(":null"):
                return None
            return self.value(node, next(part for part in parts if part is not types.NoneType), base=base)
        if origin is tuple:
            items = self.items(node)
            if parts[-1] is not ... and len(parts) != len(items):
                raise _wrong(self.path, node, f"{len(items)} values", f"give {len(parts)}")
            return tuple(self.value(item, parts[0]) for item in items)
        if origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
            return {name: self.value(child, parts[1]) for name, child in self.pairs(node)}
        if hint is Figure and node.id == "scalar":
            source = f"{self.path.name}, line {_line(node)}"
            return self._made(node, Figure, {"value": self.value(node, float), "source": source})
        if dataclasses.is_dataclass(hint):
            whole = hint in (Figure, Hourly)  # a new number has a new source: the old figure is replaced completely
            return self.row(node, typing.cast(type, hint), base=None if whole else base)
        return self._scalar(node, hint)

    def _scalar(self, node: "Node", hint: type) -> Any:
        from yaml.constructor import SafeConstructor

        wanted = "text" if issubclass(hint, StrEnum) else _WORDS[hint.__name__]
        of = f"{self.field}: " if self.field else ""
        if node.id != "scalar":
            raise _wrong(self.path, node, f"{of}a {node.id} stands here", f"{wanted} is wanted")
        try:
            value = SafeConstructor().construct_object(node)
        except ValueError as error:
            raise _wrong(
                self.path, node, f"{_short(node.value)}: {first_line(error)}", f"{wanted} is wanted"
            ) from error
        if type(value) is int and hint in (int, float) and abs(value) >= MAX_WHOLE:
            raise _wrong(self.path, node, f"{of}found a number of {len(node.value)} digits", "give one below 2^63")
        if type(value) in (int, float) and _OTHER_BASE.fullmatch(node.value):
            found = f"{of}found {_short(node.value)}, which may be of base 8 or 60"
            raise _wrong(self.path, node, found, f"{wanted} is wanted, in usual digits and no 0 before them")
        if hint is float and type(value) is int:
            value = float(value)
        if hint is float and type(value) is float and not math.isfinite(value):
            raise _wrong(self.path, node, f"{of}found {node.value!r}", "a finite number is wanted")
        if issubclass(hint, StrEnum):
            if value not in list(hint):
                raise _wrong(self.path, node, f"{of}found {_short(node.value)}", f"allowed are {', '.join(hint)}")
            return hint(value)
        if type(value) is not hint:
            quoted = " (put it in quotes)" if hint is str else ""
            raise _wrong(self.path, node, f"{of}found {_short(node.value)}", f"{wanted} is wanted{quoted}")
        return value

    def pairs(self, node: "Node") -> "Iterator[tuple[str, Node]]":
        """Names and values of a mapping; each name occurs once."""
        return ((key.value, value) for key, value in self.named(node))

    def named(self, node: "Node") -> "Iterator[tuple[Node, Node]]":
        """The same with the node of each name, which has its line number."""
        if node.id != "mapping":
            raise _wrong(self.path, node, f"a {node.id} stands here", "a mapping (`name: value`) is wanted")
        seen = set[str]()
        for key, value in node.value:
            if key.id != "scalar" or key.value in seen:
                raise _wrong(self.path, key, f"{key.value!r} stands here twice or is no name", "name each value once")
            seen.add(key.value)
            yield key, value

    def items(self, node: "Node") -> "list[Node]":
        """The items of a list."""
        if node.id != "sequence":
            raise _wrong(self.path, node, f"a {node.id} stands here", "a list (`- ...`) is wanted")
        return list(node.value)


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind) if not f.metadata.get("derived")}


def _is_needed(one: "dataclasses.Field[Any]") -> bool:
    return one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
