"""The exports of a package, which are imported from its modules on first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def exports(
    package: str, names: Mapping[str, Iterable[str]]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__all__`, `__getattr__` and `__dir__` of a package.

    `names` maps its modules to what they hold, "name" or "name as other"; a module that stands for
    itself has none. Nothing is imported before its first use, so that a config can be read, and a
    figure drawn, without JAX.

    >>> exported, get, _ = exports("plateaus.report", {"survival": ["holm", "Interval as Span"]})
    >>> exported, get("holm").__module__
    (['holm', 'Span'], 'plateaus.report.survival')
    """
    places: dict[str, tuple[str, str]] = {}
    for module, entries in names.items():
        for entry in entries:
            name, _, other = entry.partition(" as ")
            places[other or name] = (module, name)
    modules = [module for module, entries in names.items() if not entries]
    exported = [*modules, *places]

    def get(name: str) -> Any:
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, attribute = places[name]
        value = getattr(importlib.import_module(f"{package}.{module}"), attribute)
        setattr(sys.modules[package], name, value)  # the next time it is simply there
        return value

    return exported, get, lambda: sorted({*vars(sys.modules[package]), *exported})


def described(room: str, *modules: str, parts: Iterable[str] = ("Spec", "Knobs")) -> dict:
    """Return what modules of a room export: a function of the module's name, and what it is given.

    >>> described("laws", "sparse_parity", parts=["Spec"])
    {'laws.sparse_parity': ['sparse_parity', 'Spec as SparseParitySpec']}
    """
    return {
        f"{room}.{module}": [
            module,
            *(f"{part} as {module.title().replace('_', '')}{part}" for part in parts),
        ]
        for module in modules
    }
