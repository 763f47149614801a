"""Access to the equations of a JAX program, in one place since a new JAX may rename their parts.

A test reads each of these parts from programs of the installed JAX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
from jax.extend.core import Jaxpr

Equation: TypeAlias = Any  # a JaxprEqn, whose values are typed as abstract ones without a shape

CALLS = ("jit", "pjit", "closed_call", "checkpoint", "remat", "remat2")
REMATERIALISED = ("checkpoint", "remat", "remat2")
PARAMETERS = {  # of a primitive: the names under which JAX has kept what is read, newest first
    **dict.fromkeys(CALLS, (("jaxpr", "call_jaxpr"),)),
    "dot_general": (("dimension_numbers",),),
    "scatter-add": (("dimension_numbers",), ("mode",)),
    "transpose": (("permutation",),),
    "reshape": (("dimensions",),),
    "pad": (("padding_config",),),
}


def _parameter(eqn: Equation, name: str) -> Any:
    """Return a parameter of an equation, under any of its names in JAX."""
    return eqn.params[_key(eqn, name)]


def _key(eqn: Equation, name: str) -> str:
    """Return the name of an equation's parameter in the installed JAX.

    Raises RuntimeError, with JAX's version, where the equation has none of the known names.
    """
    for names in PARAMETERS[eqn.primitive.name]:
        if name in names:
            for candidate in names:
                if candidate in eqn.params:
                    return candidate
    raise RuntimeError(
        f"jax {jax.__version__} has no {name} of {eqn.primitive.name}: plateaus.gram.jaxprs does "
        f"not know this version (there are {', '.join(sorted(eqn.params))})"
    )


def called(eqn: Equation) -> tuple[Jaxpr, Sequence[Any]]:
    """Return the program that a call's equation calls, and its constants."""
    program = _parameter(eqn, "jaxpr")
    return getattr(program, "jaxpr", program), getattr(program, "consts", ())


def contraction(eqn: Equation) -> tuple[Any, Any]:
    """Return the ((left, right), (left, right)) axes of a product: summed over, and batched."""
    return _parameter(eqn, "dimension_numbers")


def adds_whole_rows(eqn: Equation) -> bool:
    """Return whether a scatter-add adds rows [..., *row] to those that numbers [..., 1] name.

    Numbers beyond the table add nothing.
    """
    table, index, values = (x.aval for x in eqn.invars)
    numbers = _parameter(eqn, "dimension_numbers")
    return bool(
        index.shape[-1:] == (1,)
        and values.shape == (*index.shape[:-1], *table.shape[1:])
        and numbers.inserted_window_dims == (0,)
        and numbers.scatter_dims_to_operand_dims == (0,)
        and not numbers.operand_batching_dims
        and _parameter(eqn, "mode") != jax.lax.GatherScatterMode.CLIP
    )


def permutation(eqn: Equation) -> tuple[int, ...]:
    """Return the order in which a transposition puts the axes."""
    return tuple(int(i) for i in _parameter(eqn, "permutation"))


def keeps_order(eqn: Equation) -> bool:
    """Return whether a reshape keeps the order of its operand's entries."""
    return _parameter(eqn, "dimensions") is None


def padding(eqn: Equation) -> tuple[tuple[int, ...], ...]:
    """Return the padding before, after and between entries, along each axis."""
    return tuple(tuple(int(i) for i in axis) for axis in _parameter(eqn, "padding_config"))


def evaluate(eqn: Equation, values: Sequence[Any], program: Jaxpr | None = None) -> Sequence[Any]:
    """Return the results of an equation; `program` takes the place of the one that it calls."""
    if program is not None:
        with eqn.ctx.manager:
            return eqn.primitive.bind(*values, **{**eqn.params, _key(eqn, "jaxpr"): program})
    bind = eqn.primitive.get_bind_params(eqn.params)
    functions, params = bind if isinstance(bind, tuple) else ((), bind)  # as jax before 0.10
    with eqn.ctx.manager:
        out = eqn.primitive.bind(*functions, *values, **params)
    return out if eqn.primitive.multiple_results else [out]
