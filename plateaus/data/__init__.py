"""The design: which examples are drawn, how often, when."""

from plateaus.surface import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "curricula": (),
        "designs": ["design", "Spec", "Knobs", "knobs_of"],
        "domains": ["regroup", "random_groups"],
        "mixtures": ["mixture"],
        "source": ["uniform", "epochs", "whole_batches"],
        "pool": ["subset", "first_items", "curriculum"],
        "mixers.mixer": ["Mixer", "Round"],
        "zipf_law": ["zipf", "zipf_rank", "zipf_table"],
    },
)
