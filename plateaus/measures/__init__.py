"""What is measured of a run and shown of it: a folder for each study."""

from plateaus.surface import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "instrument": ["Instrument"],
        "figures": ["Figure", "Table"],
        "plateau": ["normalised", "passage_step"],
        "weights": ["layer_norms"],
        "attention.probe": ["head_scores"],
        "curvature.probe": ["extremes as curvature_extremes"],
        "gradients.probe": ["mean_cosine", "conflict_fraction", "effective_rank", "noise_scale"],
        "superposition.summary": ["saturation"],
    },
)
