"""Finding, in the program of a gradient, the two factors whose product a parameter's gradient is.

The gradient of a weight matrix on one example is D^T A, of the cotangents D [T, o] of its layer's
outputs and the layer's inputs A [T, i]. This product is the last step in the program of the
gradient. Cut before it, the program returns A and D, which are smaller and suffice for inner
products and weighted sums of gradients. This holds for any function that JAX can differentiate: no
layer is recognised by name, and a parameter that is used twice has two terms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal

from plateaus.gram import jaxprs
from plateaus.gram.jaxprs import CALLS, Equation
from plateaus.gram.products import DENSE, LOOKUP, PRODUCT, Term

# These only rename axes where they keep the size: sums over axes of size 1, too.
SHAPES = ("reshape", "squeeze", "expand_dims", "broadcast_in_dim", "copy", "reduce_sum")
ELEMENTWISE = frozenset(
    {"add", "add_any", "sub", "mul", "div", "neg", "max", "min", "select_n", "integer_pow", "pow"}
    | {"exp", "log", "tanh", "logistic", "erf", "sin", "cos", "sqrt", "rsqrt", "square", "sign"}
    | {"abs", "convert_element_type"}
)


class Summand(NamedTuple):
    """A term before its factors are captured; each factor is (value, order of axes, shape)."""

    scope: Scope
    kind: str
    factors: tuple[tuple[Any, tuple[int, ...], tuple[int, ...]], ...]
    shape: tuple[int, ...]
    finish: tuple[tuple[str, Any], ...]
    unknown: str = ""  # the primitive that made it, where it is not understood

    def captured(self, count: Iterator[int]) -> Term:
        """Export the factors from the program, each at the next place, and return the term."""
        places = tuple(next(count) for _ in self.factors)
        self.scope.exports.update(zip(places, self.factors, strict=True))
        return Term(self.kind, places, self.shape, self.finish)


class Scope:
    """A program to be cut, or a program called in it: the makers of its values, and its exports."""

    def __init__(
        self,
        jaxpr: Jaxpr,
        varies: Sequence[bool],
        caller: tuple[Scope, Equation] | None = None,
    ) -> None:
        """Take a program, whether each of its inputs varies by example, and who calls it."""
        self.jaxpr, self.caller = jaxpr, caller
        self.maker: dict[Any, Equation] = {out: eqn for eqn in jaxpr.eqns for out in eqn.outvars}
        self.exports: dict[int, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {}
        self.inner: dict[int, Scope] = {}
        self.varying = {v for v, does in zip(jaxpr.invars, varies, strict=True) if does}
        for eqn in jaxpr.eqns:
            if any(self.varies(x) for x in eqn.invars):
                self.varying.update(eqn.outvars)

    def varies(self, value: Any) -> bool:
        """Return whether a value depends on the example."""
        return not isinstance(value, Literal) and value in self.varying

    def called(self, eqn: Equation) -> Scope:
        """Return the scope of the program that an equation calls."""
        if id(eqn) not in self.inner:
            jaxpr, _ = jaxprs.called(eqn)
            varies = [self.varies(x) for x in eqn.invars]
            self.inner[id(eqn)] = Scope(jaxpr, varies, (self, eqn))
        return self.inner[id(eqn)]

    def summands(self, value: Any, finish: tuple = ()) -> list[Summand]:
        """Return the terms whose sum a gradient is."""
        eqn = None if isinstance(value, Literal) else self.maker.get(value)
        if eqn is None:
            if self.caller is None or isinstance(value, Literal) or value in self.jaxpr.constvars:
                return [self._dense(value, finish)]
            scope, call = self.caller  # an input of a called program is its caller's value
            return scope.summands(call.invars[self.jaxpr.invars.index(value)], finish)
        name = eqn.primitive.name
        if (step := _shape_step(eqn)) is not None:
            return self.summands(eqn.invars[0], (step, *finish))
        if name in CALLS:
            scope = self.called(eqn)
            return scope.summands(scope.jaxpr.outvars[eqn.outvars.index(value)], finish)
        if name in ("add_any", "add"):
            parts = [part for x in eqn.invars for part in self.summands(x, finish)]
            if any(part.kind != DENSE for part in parts):  # else not worth telling apart
                return parts
        if name == "dot_general" and all(map(self.varies, eqn.invars)):
            return [self._product(eqn, finish)]
        if (rows := self._rows_added(eqn)) is not None:
            return [self._lookup(eqn, rows, finish)]
        return [self._dense(value, finish)]

    def _dense(self, value: Any, finish: tuple) -> Summand:
        shape = tuple(value.aval.shape)
        factor = (value, tuple(range(len(shape))), shape)
        return Summand(self, DENSE, (factor,), shape, finish, self._not_understood(value))

    def _product(self, eqn: Equation, finish: tuple) -> Summand:
        contracted, together = jaxprs.contraction(eqn)
        factors, shape = [], []
        for operand, t, e in zip(eqn.invars, contracted, together, strict=True):
            sizes = operand.aval.shape
            free = tuple(i for i in range(len(sizes)) if i not in (*t, *e))
            merged = tuple(math.prod(sizes[i] for i in part) for part in (e, t, free))
            factors.append((operand, (*e, *t, *free), merged))
            shape += [sizes[i] for i in free]
        outer = [eqn.invars[0].aval.shape[i] for i in together[0]]
        return Summand(self, PRODUCT, tuple(factors), (*outer, *shape), finish)

    def _lookup(self, eqn: Equation, rows: int, finish: tuple) -> Summand:
        table, index, values = eqn.invars
        count, width = math.prod(index.aval.shape), math.prod(table.aval.shape[1:])
        factors = (
            (index, tuple(range(index.aval.ndim)), (count,)),
            (values, tuple(range(values.aval.ndim)), (count, width)),
        )
        return Summand(self, LOOKUP, factors, (rows, *table.aval.shape[1:]), finish)

    def _rows_added(self, eqn: Equation) -> int | None:
        """Return the rows of the table of zeros to which the equation adds; None if it does not."""
        if eqn.primitive.name != "scatter-add" or not self._zero(eqn.invars[0]):
            return None
        return eqn.invars[0].aval.shape[0] if jaxprs.adds_whole_rows(eqn) else None

    def _zero(self, value: Any) -> bool:
        if isinstance(value, Literal):
            return not np.any(value.val)
        eqn = self.maker.get(value)
        return (
            eqn is not None
            and eqn.primitive.name == "broadcast_in_dim"
            and isinstance(eqn.invars[0], Literal)
            and self._zero(eqn.invars[0])
        )

    def _not_understood(self, value: Any) -> str:
        """Return the primitive of a gradient that is larger than its operands; "" for others."""
        eqn = self.maker.get(value) if self.varies(value) else None
        if eqn is None or eqn.primitive.name == "reduce_sum":  # of a parameter that was broadcast
            return ""
        name, size = eqn.primitive.name, value.aval.size
        if name == "scatter-add" and not self.varies(eqn.invars[1]):
            return ""  # of the same part of a table in every example: positions, up to jax 0.7
        if name == "dot_general":
            grown = any(self._outer(x, 0) for x in eqn.invars)
        else:
            grown = name not in ELEMENTWISE | {"pad"} or self._outer(value, size)
        return name if grown else ""

    def _outer(self, value: Any, size: int) -> bool:
        """Return whether a value is elementwise of an outer product at least of this size."""
        pending, visited = [value], set()
        while pending:
            value = pending.pop()
            eqn = None if isinstance(value, Literal) else self.maker.get(value)
            if eqn is None or id(eqn) in visited or value.aval.size < size:
                continue
            visited.add(id(eqn))
            if eqn.primitive.name == "dot_general":
                largest = max(x.aval.size for x in eqn.invars)
                if all(map(self.varies, eqn.invars)) and value.aval.size > largest:
                    return True
            elif eqn.primitive.name in ELEMENTWISE or _shape_step(eqn) is not None:
                pending += eqn.invars
        return False


def _shape_step(eqn: Equation) -> tuple[str, Any] | None:
    """Return a step that keeps inner products, as Term.finish holds it; None if it is none."""
    if not eqn.invars:
        return None
    name, value, out = eqn.primitive.name, eqn.invars[0], eqn.outvars[0].aval
    if name == "convert_element_type":
        floats = jnp.issubdtype(out.dtype, jnp.floating)
        return ("convert", jnp.dtype(out.dtype).name) if floats else None
    if name == "transpose":
        return "transpose", jaxprs.permutation(eqn)
    plain = name != "reshape" or jaxprs.keeps_order(eqn)
    if name in SHAPES and plain and value.aval.size == out.size:
        return "reshape", tuple(out.shape)
    if name == "pad" and isinstance(eqn.invars[1], Literal) and not np.any(eqn.invars[1].val):
        config = jaxprs.padding(eqn)
        return ("pad", config) if min(map(min, config)) >= 0 else None
    return None
