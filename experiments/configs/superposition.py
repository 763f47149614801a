"""Task superposition: train on one task a sequence, then ask with examples of several at once.

A sequence is examples like `abcd>c` of one character task; a mixed prompt's examples are of several
tasks, and its query has as many right answers. Does the model give each its share (superpose), or
all to one, now this, now that (switch)? figures/superposition.png, superposition.csv. Run a preset
with

    python experiments/run.py --config=configs/superposition.py:PRESET [--scale paper]

`--scale paper`: 14.2 M parameters, 101 examples of 8 letters out of 52, 5,000 steps; not run.
"""

from ml_collections import ConfigDict

RET = ("ret1", "ret2", "ret3")
PAPER_RET = tuple(f"ret{i}" for i in range(1, 9))
PLUS = ("plus1", "plus3", "plus5", "plus7")
PAPER_PLUS = tuple(f"plus{c}" for c in range(10))


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "steps": 3_000,
            "batch": 32,
            "seeds": 3,
            "eval_every": 100,
            "log_every": 20,
            "eval_points": 240,
            "mixed_prompts": 64,
            "mixed_tasks": "ret1,ret3",
            "mixed_shares": "",
            "mixed_order": "iid",
            "mixed_examples": 0,
            "task": ConfigDict(
                {
                    "name": "characters",
                    "families": ",".join(RET),
                    "alphabet": "abcdefgh",
                    "length": 3,
                    "examples": 11,
                }
            ),
            "model": ConfigDict(
                {
                    "name": "transformer",
                    "width": 64,
                    "depth": 3,
                    "heads": 4,
                    "mlp_multiple": 2,
                    "norm": "rmsnorm",
                    "bias": False,
                    "max_positions": 128,
                    "initialisation": "lecun_normal",
                }
            ),
            "data": ConfigDict({}),
            "optim": ConfigDict(
                {
                    "name": "adam",
                    "learning_rate": 2e-3,
                    "beta2": 0.98,
                    "weight_decay": 0.01,
                    "clip_norm": 1.0,
                    "warmup_steps": 100,
                }
            ),
        },
        convert_dict=False,  # a sweep stays a plain dict: dotted names, in their order
    )


def paper(config: ConfigDict) -> None:
    """The paper's released runs; the length of the decay is ours, a fifth of the steps."""
    config.update({"steps": 5_000, "batch": 400, "eval_every": 250, "log_every": 50})
    config.update({"eval_points": 800, "mixed_prompts": 1_000, "mixed_tasks": "ret3,ret7"})
    config.task = ConfigDict(
        {"name": "characters", "families": ",".join(PAPER_RET), "length": 8, "examples": 101}
    )
    config.model.update({"width": 384, "depth": 6, "heads": 6, "mlp_multiple": 4})
    config.model.update({"positions": "rotary", "activation": "swiglu", "initialisation": "gpt2"})
    config.optim.update({"learning_rate": 5e-4, "warmup_steps": 500})
    config.optim.update({"decay_start": 4_000, "decay_steps": 1_000})


def gpt2(config: ConfigDict) -> None:
    """The other architecture that the paper's summary names: learned positions, LayerNorm, GELU."""
    config.model.update({"positions": "learned", "norm": "layernorm", "bias": True})
    config.model.update({"activation": "gelu", "tied": True, "max_positions": 1_200})


def _at_paper_scale(config: ConfigDict) -> bool:
    return config.model.width == 384
