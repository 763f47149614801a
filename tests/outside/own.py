"""A config file that brings its own task, model and mixer."""

import majority

from plateaus.build.registry import MODELS, TASKS
from plateaus.config.pages import page
from plateaus.data.mixers.registry import MIXERS

TASKS["majority"] = majority.TASK
MODELS["linear"] = majority.MODEL
MIXERS["loudest"] = majority.MIXER


def get_config():
    return page(
        steps=40,
        batch=8,
        seeds=2,
        eval_every=10,
        log_every=10,
        eval_points=64,
        task={"name": "majority", "signs": 5},
        data={},
        model={"name": "linear"},
        optim={"name": "sgd", "learning_rate": 0.1},
    )


def flips(config):
    """Noise in the labels lengthens the plateau."""
    config.sweep = {"task.flips": (0.0, 0.25)}


def mixed(config):
    """A mixer of one's own, on a task that has groups."""
    config.task = page(name="in_context", families="linear,quadratic")
    config.model = page(name="transformer")
    config.data = page(mixer="loudest", round_steps=10)
    config.sweep = {"data.loudest_heat": (0.0, 2.0)}


PRESETS = [flips, mixed]
SCALES = {"small": None}


def smoke(config):
    config.steps = 20
