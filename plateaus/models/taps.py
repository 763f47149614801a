"""Reading and editing named activations: ablation, patching and probes go through one door."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from plateaus.names import missing
from plateaus.types import Array

Edits = Mapping[str, Callable[[Array], Array]]


class Tap:
    """Called by a model at each named activation: applies its edit, keeps it if asked to.

    Lives for one trace of one forward pass. With no edit and nothing to capture it adds nothing to
    the program.

    >>> import jax.numpy as jnp
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
