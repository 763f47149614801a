"""Evaluation of a program up to its cut: its results, and the factors that it exports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal, Var

from plateaus.gram import jaxprs
from plateaus.gram.factors import Scope
from plateaus.gram.jaxprs import REMATERIALISED, Equation
from plateaus.types import Array


def run(
    scope: Scope, arguments: Sequence[Any], wanted: Sequence[Any], consts: Sequence[Any] = ()
) -> tuple[list[Any], dict[int, Array]]:
    """Return the wanted values of the program, and the factors that it exports, by place.

    Equations that only the gradients need are not evaluated.
    """
    env: dict[Any, Any] = dict(zip(scope.jaxpr.invars, arguments, strict=True))
    env.update(zip(scope.jaxpr.constvars, consts, strict=True))

    def read(value: Any) -> Any:
        return value.val if isinstance(value, Literal) else env[value]

    live = _live(scope, wanted)
    taken: dict[int, Array] = {}
    for eqn in scope.jaxpr.eqns:
        if id(eqn) not in live:
            continue
        values = [read(x) for x in eqn.invars]
        inner = scope.inner.get(id(eqn))
        if inner is None or not _exporting(inner):
            out = jaxprs.evaluate(eqn, values)
        else:
            out, inner_taken = _call(inner, eqn, values)
            taken |= inner_taken
        env.update(zip(eqn.outvars, out, strict=True))
    for place, (value, order, shape) in scope.exports.items():
        taken[place] = jnp.transpose(read(value), order).reshape(shape)
    return [read(value) for value in wanted], taken


def _exporting(scope: Scope) -> bool:
    """Return whether this program, or one called in it, exports factors."""
    return bool(scope.exports) or any(map(_exporting, scope.inner.values()))


def _live(scope: Scope, wanted: Sequence[Any]) -> set[int]:
    """Return the equations, by identity, that the wanted and the exported values need."""
    values = (*wanted, *(value for value, _, _ in scope.exports.values()))
    needed = {value for value in values if isinstance(value, Var)}
    live = set()
    for eqn in reversed(scope.jaxpr.eqns):
        inner = scope.inner.get(id(eqn))
        exports = inner is not None and _exporting(inner)
        if eqn.effects or exports or needed & set(eqn.outvars):
            live.add(id(eqn))
            needed |= {x for x in eqn.invars if isinstance(x, Var)}
    return live


def _call(
    inner: Scope, eqn: Equation, values: Sequence[Any]
) -> tuple[Sequence[Any], dict[int, Array]]:
    """Evaluate a call whose program exports: inlined, unless it is rematerialised."""
    wanted = inner.jaxpr.outvars
    if eqn.primitive.name not in REMATERIALISED:
        return run(inner, values, wanted, jaxprs.called(eqn)[1])
    program, shapes = jax.make_jaxpr(lambda *x: run(inner, x, wanted), return_shape=True)(*values)
    out = jaxprs.evaluate(eqn, [*program.consts, *values], program.jaxpr)
    return jax.tree.unflatten(jax.tree.structure(shapes), out)
