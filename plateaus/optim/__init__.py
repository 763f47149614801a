"""What is done to the gradient."""

from plateaus.surface import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "stacked": (),
        "aggregation": ["aggregator", "blend"],
        "aggregators.bargaining": ["nash_mtl", "fairgrad"],
        "aggregators.cagrad": ["cagrad"],
        "aggregators.gradvac": ["gradvac"],
        "aggregators.mgda": ["mgda"],
        "aggregators.pcgrad": ["pcgrad"],
        "aggregators.spectral": ["imtl_g", "aligned_mtl"],
        "aggregators.upgrad": ["upgrad"],
        "averaging": ["schedule_free"],
        "bias": ["bias_gradients"],
        "clipping": ["clip_norm"],
        "decoupled_decay": ["weight_decay"],
        "layers": ["layer_rates"],
        "optimisers": ["optimiser", "Spec", "Knobs", "knobs_with_rates"],
        "schedules": ["warm_up", "decay"],
        "sharpness": ["sharpness_aware"],
    },
)
