"""Gram matrices of gradients, from the program of one example's gradient."""

from plateaus.surface import exports

__all__, __getattr__, __dir__ = exports(
    __name__, {"engine": ["per_example_gram", "capture", "combine", "layer_grams", "Captured"]}
)
