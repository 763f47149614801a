"""What the functions of the records are given and return, and the letters of array shapes.

Letters: B batch, N batches, G groups, E evaluation points, T steps of a phase, R runs of a chunk.
Argument order everywhere: key, state or params, data, knobs, t.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
from jaxtyping import Array as Array  # for everyone: `as` marks what is passed on
from jaxtyping import Float as Float
from jaxtyping import Int as Int
from jaxtyping import Key as _Key
from jaxtyping import PyTree as PyTree

Key: TypeAlias = _Key[Array, ""]
"""One typed random key."""

Scalar: TypeAlias = float | int | Array
"""A knob: a Python number in a config, a traced scalar inside a program."""

Number: TypeAlias = Array | int
"""A whole number, traced or not: a step, a size, a place in a sample."""

Edits: TypeAlias = Mapping[str, Callable[[Array], Array]]
"""Name of an activation -> its replacement, as a function of it."""

EXACT = jax.lax.Precision.HIGHEST  # an accelerator's default rounds factors to 10 bits or 8

ReadAt: TypeAlias = slice | tuple[int, ...]
"""Positions of a sequence: a slice of them, or each by its number."""


class Example(NamedTuple):
    """One example, or a batch of them when vmapped."""

    inputs: PyTree
    targets: PyTree


class Draw(NamedTuple):
    """The draw of a batch [B], or of the single example that an `emit` returns."""

    # shadowing tuple.index is harmless here
    index: Any  # number of the example or of the task, from 0
    group: Any = 0  # the family or domain it belongs to, in the order of `Groups.names`


class Signals(NamedTuple):
    """The signals of a step to adaptive sources; None where no source needs a signal."""

    group_loss: Array  # [G], NaN for a group that the step did not draw
    count: Array | None = None  # type: ignore[assignment] # [G], examples drawn; hides it
    gradient: PyTree = None  # [G, ...] sums of the examples' gradients, of tracked layers
    excess: Array | None = None  # [G], mean of max(loss - the reference model's, 0), else NaN
    # known at the last step of a round only, zeros at others
    target_loss: Array | None = None  # [G], on a sample of the test law
    target_gradient: PyTree = None  # [G, ...], mean gradients of that sample, of tracked layers
    affinity: Array | None = None  # [G, G], fall of j's target loss after a short run on i


class Knobs(NamedTuple):
    """The numbers of a run, traced: one leaf each, swept along a leading axis."""

    task: Any
    data: Any
    optim: Any


class MixedPrompt(NamedTuple):
    """A prompt whose m examples are of several groups, and its K ways to go on."""

    prefix: Array  # [T], the examples and the query
    ways: Array  # [K, S], the tokens that follow it, if each of the queried groups answers it
    targets: Array  # [K, S], the token after each of `ways`
    scored: Array  # [K, S] of bool, which of `targets` are of an answer
    end: Array  # [], the token that ends an answer
