"""Applications: one use case each, end to end; `NAMES` is the one list of them."""

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from sinet_pipelines.errors import ContractError

if TYPE_CHECKING:
    from sinet_pipelines.applications.application import Application

#: An application is `<name>/application.py`, with a constant named `<NAME>` in capitals, and `assets/<name>/`.
NAMES: tuple[str, ...] = ("turbofan", "milling")

#: Kinds of published benchmarks, each with the application that has it.
BENCHMARKS: Mapping[str, str] = {"rul": "turbofan", "failure": "milling"}


def load_applications() -> "tuple[Application, ...]":
    """The applications of the platform, in the order of `NAMES`.

    Raises:
        ContractError: a name has no module, or that module has no constant of that name in capitals.
    """
    return tuple(map(_load, NAMES))


def _load(name: str) -> "Application":
    module = f"{__name__}.{name}.application"
    try:
        loaded = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the application exists, but one of its imports does not
        raise ContractError(
            f"no application {name!r} (needed: {module.replace('.', '/')}.py); write it, or take the name from NAMES"
        ) from error
    if not hasattr(loaded, name.upper()):
        raise ContractError(f"{module} has no value {name.upper()} (needed: the Application); name it so")
    application: Application = getattr(loaded, name.upper())
    return application


def benchmark_of(kind: str) -> ModuleType:
    """The module of a kind of benchmark: `rul`, `failure`."""
    return import_module(f"sinet_pipelines.applications.{BENCHMARKS[kind]}.benchmark")
