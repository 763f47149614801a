"""Reading and editing named activations: ablation, patching and probes go through one door."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from plateaus.names import missing
from plateaus.types import Array, Edits, Key, Model, PyTree, ReadAt

Named: TypeAlias = Callable[[str, Array], Array]
"""Taps an activation of a block by its name within the block."""


class Tap:
    """A tap, called by a model at each named activation, applies its edit and keeps its value.

    Lives for one trace of one forward pass. With no edit and nothing to capture it adds nothing to
    the program.

    >>> tap = Tap(("hidden",), edits={"hidden": lambda h: 2 * h}, capture=("hidden",))
    >>> float(tap("hidden", jnp.float32(3)))
    6.0
    >>> list(tap.captured)
    ['hidden']
    """

    def __init__(
        self, names: Collection[str], edits: Edits | None = None, capture: Collection[str] = ()
    ) -> None:
        """Refuse, by ValueError, the name of an activation that the model does not have."""
        self.edits = dict(edits or {})
        self.capture = frozenset(capture)
        self.captured: dict[str, Array] = {}
        for name in sorted(self.capture | set(self.edits)):
            if name not in names:
                raise ValueError(missing("activation", name, names))

    def __call__(self, name: str, value: Array) -> Array:
        """Return the activation, edited; remember it under its name if it is captured."""
        if name in self.edits:
            value = self.edits[name](value)
        if name in self.capture:
            self.captured[name] = value
        return value


Taps: TypeAlias = Callable[[], Tap]
"""Makes a fresh tap with the edits and captures of this pass: a rematerialised block needs its own,
because what it captures must leave it as a result."""


def hashable(read_at: ReadAt) -> tuple[bool, tuple[Any, ...]]:
    """Return whether it is a slice, and its numbers: a slice has no hash before Python 3.12."""
    if isinstance(read_at, tuple):
        return False, read_at
    return True, (read_at.start, read_at.stop, read_at.step)


def length(past: Mapping[str, Array] | None) -> int:
    """Return how many tokens a cache holds."""
    return next(iter(past.values())).shape[1] if past else 0


def direct(network: Any, names: tuple[str, ...], shapes: PyTree) -> Model:
    """Return a network without a cache, (inputs, tap) -> predictions, as a pair of functions.

    `names` are its activations, `shapes` those of a batch of inputs.
    """

    def init(key: Key) -> PyTree:
        empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return network.init(key, empty, Tap(names))["params"]

    def apply(
        params: PyTree,
        inputs: PyTree,
        *,
        edits: Edits | None = None,
        capture: Collection[str] = (),
        past: Mapping[str, Array] | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        if past is not None:
            raise ValueError("past must hold nothing: there is no cache")
        tap = Tap(names, edits, capture)
        predictions: Any = network.apply({"params": params}, inputs, tap)
        return predictions, tap.captured

    return Model(init, apply, names)


def build(
    network: Any,
    names: tuple[str, ...],
    inputs: int | None,
    *,
    longest: int | None = None,
    cache: Collection[str] = (),
) -> Model:
    """Return a `transformer.Network` as a pair of functions; `names` are its activations.

    `inputs` is the size of continuous tokens, None of discrete ones; `longest` the most tokens of a
    prompt; `cache` names what of every block lets tokens follow others.
    """
    spec, vocabulary = network.spec, network.vocabulary
    if (inputs is None) == (vocabulary is None):
        raise ValueError("give inputs (continuous tokens) or vocabulary (discrete tokens)")
    if spec.tied and vocabulary is None:
        raise ValueError("tied: continuous tokens have no embedding to read out with")
    if spec.fixed_instruction and vocabulary is not None:
        raise ValueError("fixed_instruction: discrete tokens have no one-hot token to replace")
    held = tuple(f"block_{layer}.{part}" for layer in range(spec.depth) for part in cache)

    def init(key: Key) -> PyTree:
        shortest = jnp.zeros((1, 1), jnp.int32) if inputs is None else jnp.zeros((1, 1, inputs))
        return network.init(key, shortest, lambda: Tap(names))["params"]

    def apply(
        params: PyTree,
        inputs: PyTree,
        *,
        edits: Edits | None = None,
        capture: Collection[str] = (),
        past: Mapping[str, Array] | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        inputs = jnp.asarray(inputs)
        if past is not None and (not held or set(past) != set(held)):
            raise ValueError(f"past must hold {', '.join(held) or 'nothing: there is no cache'}")
        tokens = length(past) + inputs.shape[1]
        if longest is not None and tokens > longest:
            raise ValueError(f"{tokens} tokens, but max_positions is {longest}")
        before = () if past is None else (past,)

        def taps() -> Tap:
            return Tap(names, edits, capture)

        outputs: Any = network.apply({"params": params}, inputs, taps, *before)
        return outputs

    return Model(init, apply, names, held)
