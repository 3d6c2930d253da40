"""`registry.yaml`: one file in which a user changes or adds a region or a kind of hardware, read with its lines.

    regions:
      - name: EAST                      # a region there is: only what is said changes
        cluster: {namespace: ml-east}
      - name: NORTH                     # another region: one entry, and everything follows
        role: a plant of its own
        hardware: [nvidia-t4, cpu]
        cluster: {kubeconfig_context: north}
    hardware:
      - id: nvidia-t4
        usd_per_hour: 0.31              # a bare number's source is its line in this file

What may be said is what the classes `Region` and `Hardware` have; there is no second list of it here.
"""

import dataclasses
import os
import types
import typing
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sinet_pipelines.errors import RegistryError, first_line
from sinet_pipelines.figures import Figure, Hourly

if TYPE_CHECKING:
    from yaml.nodes import Node

FILE = "registry.yaml"
SECTIONS = ("regions", "hardware")
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "date": "a day (2027-12-31)",
}
T = TypeVar("T")


def registry_path() -> Path | None:
    """The file of this process: `$SINET_REGISTRY`, else `registry.yaml` beside the checkout's workspace.yaml, or none.

    The library's one look at the environment: regions are rows from the first import on, in a step's pod and in a
    worker that has the wheel alone, where `resources/settings.py` is not.

    Raises:
        RegistryError: `SINET_REGISTRY` names no file.
    """
    named = os.environ.get("SINET_REGISTRY")
    if named:
        if not Path(named).is_file():
            raise RegistryError(f"SINET_REGISTRY is {named}, which is no file; name a registry file or unset it")
        return Path(named)
    beside = Path(os.environ.get("SINET_PROJECT") or Path(__file__).parents[1]) / FILE
    return beside if beside.is_file() else None


def with_entries(shipped: tuple[T, ...], section: str, *, by: str, path: Path | None) -> tuple[T, ...]:
    """The rows with what a section of the file says: an entry changes the row of its name, or joins the rows.

    Args:
        shipped: the rows of this house, all of one dataclass.
        section: `regions` or `hardware`.
        by: the field that names a row.
        path: of the file; None for none.

    Raises:
        RegistryError: the file cannot be read as rows; the message has its line. Or two shipped rows have one name.
    """
    rows = {getattr(row, by): row for row in shipped}
    if len(rows) < len(shipped):
        raise RegistryError(f"two rows of {section} have one {by} (there are: {', '.join(rows)}); rename one")
    if path is None:
        return shipped
    kind, seen = type(shipped[0]), dict[str, int]()
    for node in _entries(path, section):
        said = _Reader(path).fields(node, kind)
        name_node = said.get(by)
        if name_node is None:
            raise _wrong(path, node, f"an entry of {section} has no {by}", f"say which: `{by}: ...`")
        name = _Reader(path).value(name_node, str)
        if name in seen:
            raise _wrong(path, node, f"two {section} are called {name!r} (the other: line {seen[name]})", "keep one")
        seen[name] = _line(node)
        rows[name] = _Reader(path).row(node, kind, base=rows.get(name))
    return tuple(rows.values())


def told_in(path: Path | None, section: str, name: str, *, by: str) -> str:
    """Where the file speaks of a row: `registry.yaml, line 3`; empty where it does not."""
    if path is None:
        return ""
    for node in _entries(path, section):
        said = _Reader(path).fields_of(node).get(by)
        if said is not None and said.value == name:
            return f"{path}, line {_line(node)}"
    return ""


def _entries(path: Path, section: str) -> "list[Node]":
    return _document(path).get(section, [])


def _document(path: Path) -> "dict[str, list[Node]]":
    """The entries of each section as nodes, which know their lines."""
    import yaml

    try:
        top = yaml.compose(path.read_text(), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RegistryError(f"{path}, line {line}: no YAML: {error.problem}; mend the line") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path}: no YAML: {first_line(error)}; write it as text in UTF-8") from error
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror}; mend that or unset SINET_REGISTRY") from error
    if top is None:
        return {}
    found = {}
    for key, node in _Reader(path).named(top):
        if key.value not in SECTIONS:
            raise _wrong(path, key, f"there is no section {key.value!r}", f"the sections are {', '.join(SECTIONS)}")
        found[key.value] = _Reader(path).items(node)
    return found


def _line(node: "Node") -> int:
    return int(node.start_mark.line) + 1


def _wrong(path: Path, node: "Node", found: str, cure: str) -> RegistryError:
    return RegistryError(f"{path}, line {_line(node)}: {found}; {cure}")


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Reads nodes as what the annotations of a dataclass say they are.

    Attributes:
        path: of the file.
        field: whose value is read, for messages; empty for none.
    """

    path: Path
    field: str = ""

    def row(self, node: "Node", kind: type[T], *, base: T | None = None) -> T:
        """The dataclass that a mapping spells; on a base, only what is said changes."""
        said, hints = self.fields(node, kind), _hints(kind)  # type: ignore[arg-type]
        known = {} if base is None else {name: getattr(base, name) for name in hints}
        values = {
            name: dataclasses.replace(self, field=name).value(child, hints[name], base=known.get(name))
            for name, child in said.items()
        }
        needed = [f.name for f in dataclasses.fields(kind) if _is_needed(f)]  # type: ignore[arg-type]
        missing = [name for name in needed if name not in {**known, **values}]
        if missing:
            raise _wrong(self.path, node, f"{kind.__name__.lower()} without {', '.join(missing)}", "say what it is")
        return self._made(node, kind, {**known, **values})

    def _made(self, node: "Node", kind: type[T], values: Mapping[str, Any]) -> T:
        try:
            return kind(**values)
        except RegistryError as error:
            raise RegistryError(f"{self.path}, line {_line(node)}: {error}") from error

    def fields_of(self, node: "Node") -> "dict[str, Node]":
        """The fields of an entry, whatever they are called."""
        return dict(self.pairs(node))

    def fields(self, node: "Node", kind: type) -> "dict[str, Node]":
        """The fields of an entry, all of which its dataclass has."""
        hints = _hints(kind)
        said: dict[str, Node] = {}
        for key, child in self.named(node):
            if key.value not in hints:
                has = f"it has {', '.join(hints)}"
                raise _wrong(self.path, key, f"{kind.__name__.lower()} has no {key.value!r}", has)
            said[key.value] = child
        return said

    def value(self, node: "Node", hint: Any, *, base: Any = None) -> Any:
        """What a node says, as the annotation wants it."""
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
            whole = hint in (Figure, Hourly)  # another number has another source: nothing of the old one is kept
            return self.row(node, typing.cast(type, hint), base=None if whole else base)
        return self._scalar(node, hint)

    def _scalar(self, node: "Node", hint: type) -> Any:
        from yaml.constructor import SafeConstructor

        wanted = "text" if issubclass(hint, StrEnum) else _WORDS[hint.__name__]
        of = f"{self.field}: " if self.field else ""
        if node.id != "scalar":
            raise _wrong(self.path, node, f"{of}a {node.id} stands here", f"{wanted} is wanted")
        try:
            said = SafeConstructor().construct_object(node)
        except ValueError as error:
            raise _wrong(self.path, node, f"{node.value!r}: {first_line(error)}", f"{wanted} is wanted") from error
        if hint is float and type(said) is int:
            said = float(said)
        if issubclass(hint, StrEnum):
            if said not in list(hint):
                raise _wrong(self.path, node, f"{of}found {node.value!r}", f"allowed are {', '.join(hint)}")
            return hint(said)
        if type(said) is not hint:
            quoted = " (put it in quotes)" if hint is str else ""
            raise _wrong(self.path, node, f"{of}found {node.value!r}", f"{wanted} is wanted{quoted}")
        return said

    def pairs(self, node: "Node") -> "Iterator[tuple[str, Node]]":
        """Names and values of a mapping, each name once."""
        return ((key.value, value) for key, value in self.named(node))

    def named(self, node: "Node") -> "Iterator[tuple[Node, Node]]":
        """The same with each name's own node, which knows its line."""
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
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def _is_needed(one: "dataclasses.Field[Any]") -> bool:
    return one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
