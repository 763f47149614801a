"""Networks; the only place that imports Flax."""

from plateaus.surface import described, exports

_NETWORKS = ("mlp", "transformer", "mamba", "hyena", "dual_encoder")
__all__, __getattr__, __dir__ = exports(
    __name__,
    described("networks", *_NETWORKS, parts=["Spec"])
    | {"constructed": ["superposing"], "gpt2": ["from_gpt2"]},
)
