"""What a program will need in memory, known before it is compiled.

Liveness over the jaxpr in its own order: inputs for the whole run, every other array from the
equation that makes it to the last that reads it. As XLA does it, chains of elementwise operations
are fused, reshapes cost nothing, the carry and the stacked outputs of a loop are updated in place,
and the body of a loop is counted once.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from jax.extend import core

_ARITHMETIC = frozenset({"add", "add_any", "sub", "mul", "neg", "abs", "max", "min", "square"}) | {
    "integer_pow"
}
_ELEMENTWISE = _ARITHMETIC | {
    *("acos", "acosh", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp"),
    *("conj", "convert_element_type", "copysign", "cos", "cosh", "digamma", "div", "eq", "erf"),
    *("erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "imag", "is_finite", "le"),
    *("lgamma", "log", "log1p", "logistic", "lt", "ne", "nextafter", "not", "or", "pow", "real"),
    *("population_count", "reduce_precision", "rem", "round", "rsqrt", "select_n", "shift_left"),
    *("shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "tan"),
    *("tanh", "xor"),
}
_MOVES = frozenset({"transpose", "rev", "slice", "dynamic_slice", "pad", "concatenate"})
_GENERATORS = frozenset({"broadcast_in_dim", "iota"})  # repeated in every reader, never stored
_REDUCTIONS = frozenset({"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and"}) | {
    *("reduce_or", "reduce_xor", "argmax", "argmin")
}
_FUSES_INTO_READER = _ELEMENTWISE | _MOVES | {"gather"}
_FUSES_READ = _ELEMENTWISE | _MOVES | _REDUCTIONS | {"dynamic_update_slice"}
_IN_PLACE = _ELEMENTWISE | {"dynamic_update_slice", "scatter", "scatter-add", "scan", "while"}
_ALIASES = frozenset({"reshape", "squeeze", "expand_dims", "broadcast_in_dim", "copy", "name"}) | {
    *("bitcast_convert_type", "copy_p", "random_wrap", "random_unwrap", "stop_gradient")
}  # the same bytes under another shape, where the size agrees
# Bytes beside the output while it is made, per byte of output: counters of a hash, copy of a sort.
_SCRATCH = {"random_bits": 3, "threefry2x32": 1, "sort": 1, "cumsum": 1, "top_k": 1}


def peak_bytes(closed_jaxpr: Any) -> int:
    """Estimate the most bytes live at once while a program runs: inputs, outputs, temporaries.

    For the programs of this project within a factor of two of what XLA reports after compiling them
    for a CPU; neither a compilation nor an array is needed. Inputs stay to the end, save that those
    which an outermost `jit` donates are written over.

    >>> import jax, jax.numpy as jnp
    >>> x = jax.ShapeDtypeStruct((1000,), jnp.float32)
    >>> peak_bytes(jax.make_jaxpr(lambda x: jnp.cos(jnp.sin(x) * 2))(x))  # one array in, one out
    8000
    """
    jaxpr = closed_jaxpr.jaxpr
    donated: tuple[bool, ...] = ()
    if len(jaxpr.eqns) == 1 and list(jaxpr.eqns[0].invars) == list(jaxpr.invars):
        donated = jaxpr.eqns[0].params.get("donated_invars", ())
    program = _Program()
    inputs = [program.new(variable.aval) for variable in jaxpr.invars]
    constants = [program.new(variable.aval) for variable in jaxpr.constvars]
    outputs = program.inline(jaxpr, constants, inputs)
    owned = {array for array, given in zip(inputs, donated, strict=False) if given}
    kept = {*inputs, *constants} - owned
    copies = program.total(array for array in outputs if array in kept)  # handed out as they came
    return program.total([*inputs, *constants]) + _peak(program, outputs, owned) + copies


class _Node(NamedTuple):
    """One equation over numbered arrays, and the bytes it uses beside them while it runs."""

    primitive: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    scratch: int = 0


class _Program:
    """A jaxpr with its calls inlined: nodes in order, and the size of every array."""

    def __init__(self) -> None:
        self.bytes: list[int] = []
        self.nodes: list[_Node] = []

    def new(self, aval: Any = None) -> int:
        numbers = hasattr(aval, "shape") and hasattr(aval, "dtype")  # tokens have neither
        self.bytes.append(math.prod(aval.shape) * int(aval.dtype.itemsize) if numbers else 0)
        return len(self.bytes) - 1

    def total(self, arrays: Iterable[int]) -> int:
        return sum(self.bytes[array] for array in arrays)

    def inline(self, jaxpr: Any, constants: Iterable[int], inputs: Iterable[int]) -> list[int]:
        """Append the equations; return the arrays that `jaxpr` hands out."""
        number: dict[Any, int] = dict(zip(jaxpr.constvars, constants, strict=True))
        number |= zip(jaxpr.invars, inputs, strict=True)

        def read(atoms: Iterable[Any]) -> list[int]:
            return [self.new() if isinstance(a, core.Literal) else number[a] for a in atoms]

        for equation in jaxpr.eqns:
            name, arrays = equation.primitive.name, read(equation.invars)
            if (body := _called(equation)) is not None:
                results = self.inline(body, [self.new(v.aval) for v in body.constvars], arrays)
            elif name == "optimization_barrier":
                results = arrays
            else:
                results = [self.new(variable.aval) for variable in equation.outvars]
                if name in _ALIASES and arrays and self.total(arrays[:1]) == self.total(results):
                    results = arrays[:1]
                else:
                    scratch = _SCRATCH.get(name, 0) * self.total(results) + _inside(equation)
                    self.nodes.append(_Node(name, tuple(arrays), tuple(results), scratch))
            number |= zip(equation.outvars, results, strict=True)
        return read(jaxpr.outvars)


def _jaxprs(value: Any) -> Iterator[Any]:
    if isinstance(value, core.ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, core.Jaxpr):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _jaxprs(item)


def _called(equation: Any) -> Any:
    """The jaxpr of a plain call (jit, remat, custom_jvp, ...), or None."""
    if equation.primitive.name in ("scan", "while", "cond"):
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        for jaxpr in _jaxprs(equation.params.get(name)):
            fits = len(jaxpr.invars) == len(equation.invars)
            return jaxpr if fits and len(jaxpr.outvars) == len(equation.outvars) else None
    return None


def _inside(equation: Any) -> int:
    """Bytes that the bodies of a loop or a branch need beside its operands and results."""
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return _body(params["jaxpr"].jaxpr, params["num_consts"], params["num_carry"])
    if name == "while":
        body = params["body_jaxpr"].jaxpr
        test = _body(params["cond_jaxpr"].jaxpr, 0, 0, stacked=False)
        return max(test, _body(body, params["body_nconsts"], len(body.outvars)))
    bodies = _jaxprs(tuple(params.values()))
    return max((_body(body, 0, 0, stacked=False) for body in bodies), default=0)


def _body(jaxpr: Any, constants: int, carried: int, stacked: bool = True) -> int:
    """Peak beside the inputs. They are constants, the carry and, if `stacked`, slices of arrays."""
    program = _Program()
    inputs = [program.new(variable.aval) for variable in jaxpr.invars]
    for array in inputs[constants + carried :] if stacked else ():
        program.nodes.append(_Node("dynamic_slice", (program.new(),), (array,)))
    outputs = program.inline(jaxpr, [program.new(v.aval) for v in jaxpr.constvars], inputs)
    ends = outputs[:carried]
    for array in outputs[carried:]:  # written straight to where the results are
        ends.append(program.new())
        program.nodes.append(_Node("dynamic_update_slice", (array,), (ends[-1],)))
    return _peak(program, ends, set(inputs[constants : constants + carried]))


def _fused(program: _Program, outputs: Iterable[int]) -> tuple[set[int], set[int]]:
    """Which nodes do anything, and which of these are computed inside their readers."""
    nodes, end = program.nodes, len(program.nodes)
    readers: dict[int, list[int]] = collections.defaultdict(list)
    for array in outputs:
        readers[array].append(end)
    alive, fused, reduced = set[int](), set[int](), set[int]()
    for i in reversed(range(end)):
        node = nodes[i]
        found = [reader for array in node.outputs for reader in readers[array]]
        if not found:
            continue
        alive.add(i)
        for array in set(node.inputs):
            readers[array].append(i)
        generates = node.primitive in _GENERATORS
        takers = _FUSES_READ | _GENERATORS if generates else _FUSES_READ
        if end in found or not all(nodes[r].primitive in takers for r in found):
            continue
        # XLA keeps costly functions out of the loop of a reduction, but not sums and products.
        into_reduction = any(nodes[r].primitive in _REDUCTIONS or r in reduced for r in found)
        fusible = _ARITHMETIC if into_reduction else _FUSES_INTO_READER
        if generates or (len(found) == 1 and node.primitive in fusible):
            fused.add(i)
            reduced |= {i} if into_reduction else set()
    return alive, fused


def _peak(program: _Program, outputs: list[int], owned: set[int]) -> int:
    """Most bytes live at once beside the program's inputs; `owned` inputs may be written over."""
    nodes = program.nodes
    alive, fused = _fused(program, outputs)
    # A fused array stands for the stored ones it is computed from, read wherever it is read.
    sources: dict[int, frozenset[int]] = {}
    last = dict.fromkeys(outputs, len(nodes))
    stored: list[tuple[int, frozenset[int]]] = []
    for i in sorted(alive):
        node = nodes[i]
        read = frozenset().union(*(sources.get(a, frozenset({a})) for a in node.inputs))
        if i in fused:
            sources[node.outputs[0]] = read
            continue
        stored.append((i, read))
        for array in (*read, *node.outputs):
            last[array] = max(i, last.get(array, i))

    live = peak = 0
    made: set[int] = set()
    for i, read in stored:
        node = nodes[i]
        dying = {array for array in {*read, *node.outputs} if last[array] == i}
        over = 0  # bytes of results that take the place of owned inputs
        within = 0  # ... or of arrays made here
        if node.primitive in _IN_PLACE:
            free = collections.Counter(program.bytes[a] for a in dying & read & (made | owned))
            wanted = collections.Counter(program.bytes[a] for a in node.outputs)
            reused = sum(size * count for size, count in (free & wanted).items())
            over = min(reused, program.total(dying & read & owned))
            within = reused - over
        made.update(node.outputs)
        live += program.total(node.outputs) - over
        peak = max(peak, live - within + node.scratch)
        live -= program.total(dying & made)
        made -= dying
    return peak
