"""Networks; the only place that imports Flax."""

from plateaus.surface import exports

__all__, __getattr__, __dir__ = exports(
    __name__, {"constructed": ["superposing"], "gpt2": ["from_gpt2"]}
)
