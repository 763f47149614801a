"""Where in a config file a thing stands: lines of definitions, of entries of literals, by `ast`.

A name may be bound in more ways than can be followed; where one is not found, the answer is the
nearest line that is, or None.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Place(NamedTuple):
    """What a message points at: a function, if the file defines it; else a name, or its entry."""

    name: str = ""
    key: Any = None  # the index in a list, or the key of a dict
    function: Any = None


class Source:
    """The text of a config file, parsed; `name` is how messages name it.

    >>> source = Source("my.py", "/there/my.py", ast.parse("a = 1\\nPRESETS = [\\n  'zipf',\\n]"))
    >>> source.at(Place("PRESETS")), source.at(Place("PRESETS", 0)), source.at(Place())
    ('my.py:2', 'my.py:3', 'my.py')
    """

    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        self.name, self._path, self._tree = name, path, tree

    def at(self, place: Place | int) -> str:
        """Return how a message names a line, or the line of a place."""
        line = self.line(place) if isinstance(place, Place) else place
        return self.name if line is None else f"{self.name}:{line}"

    def line(self, place: Place) -> int | None:
        """Return the line of a place, as near as it can be seen."""
        line = None if place.function is None else self.function(place.function)
        return line or (self.entry(place.name, place.key) if place.name else None)

    def binding(self, name: str) -> int | None:
        """Return the last line at the module's level that gives a name its value."""
        lines = [node.lineno for node in _level(self._tree) if _binds(node, name)]
        return max(lines, default=None)

    def entry(self, name: str, place: Any) -> int | None:
        """Return the line of an entry of a list (`place` its index) or a dict (its key) literal.

        The line of the name's binding where its value is not such a literal, or `place` is None.
        """
        value = None if place is None else self._value(name)
        if isinstance(value, ast.List | ast.Tuple):
            plain = not any(isinstance(item, ast.Starred) for item in value.elts)
            if plain and place < len(value.elts):
                return value.elts[place].lineno
        if isinstance(value, ast.Dict):
            for key in value.keys:
                if key is not None and _is_constant(key, place):
                    return key.lineno
        return self.binding(name)

    def _value(self, name: str) -> ast.expr | None:
        """Return the expression that was last assigned to a name, if it is to be seen."""
        value = None
        for node in _level(self._tree):
            pairs: list[tuple[ast.expr, ast.expr | None]] = []
            if isinstance(node, ast.Assign):
                pairs = [(target, node.value) for target in node.targets]
            elif isinstance(node, ast.AnnAssign):
                pairs = [(node.target, node.value)]
            for target, assigned in pairs:
                if isinstance(target, ast.Tuple) and isinstance(assigned, ast.Tuple):
                    pairs += zip(target.elts, assigned.elts, strict=False)
                elif isinstance(target, ast.Name) and target.id == name:
                    value = assigned
        return value

    def function(self, function: Any) -> int | None:
        """Return the line of a function's `def` (or lambda), if it is in this file."""
        node = self._definition(function)
        return None if node is None else node.lineno

    def setting(self, functions: Iterable[Any], field: str, key: Any = None) -> int | None:
        """Return the line of the first function that sets `config.field` (there, of a key)."""
        for node in map(self._definition, functions):
            inside: list[Any] = list(ast.walk(node)) if node is not None else []
            lines = [
                inner.lineno
                for inner in inside
                if isinstance(inner, ast.Attribute)
                and isinstance(inner.ctx, ast.Store)
                and inner.attr == field
            ]
            if lines:
                line = max(lines)
                keys = [n.lineno for n in inside if key is not None and _is_constant(n, key)]
                return min((at for at in keys if at >= line), default=line)
        return None

    def _definition(self, function: Any) -> Any:
        """Return the node of a function that this file defines."""
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is None or code.co_filename != self._path:
            return None
        for node in ast.walk(self._tree):
            if isinstance(node, _FUNCTIONS):
                above = getattr(node, "decorator_list", [])  # where the code begins, to Python
                if min([node.lineno, *(d.lineno for d in above)]) == code.co_firstlineno:
                    return node
        return None


def _level(node: ast.AST) -> Iterator[Any]:
    """Yield the nodes below `node` in order, without those inside functions and classes."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _level(child)


def _binds(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Name):
        return node.id == name and isinstance(node.ctx, ast.Store)
    if isinstance(node, ast.alias):
        return (node.asname or node.name) == name
    return getattr(node, "name", None) == name and isinstance(node, _SCOPES)


def _is_constant(node: ast.AST, value: Any) -> bool:
    return isinstance(node, ast.Constant) and repr(node.value) == repr(value)  # 1 is not True
