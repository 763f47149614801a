"""Plateaus: what shortens the loss plateau, as pure JAX functions and honest statistics."""

from plateaus.surface import exports
from plateaus.version import VERSION as __version__  # noqa: F401 # as others name it

_ROOMS = ("data", "gram", "interactive", "measures", "models", "optim", "report", "tasks", "train")
__all__, __getattr__, __dir__ = exports(
    __name__,
    {room: () for room in _ROOMS}
    | {
        "types": ["Task", "Source", "Model", "Aggregator", "Example", "Draw", "Signals", "Knobs"],
        "recipe": ["Recipe"],
        "interactive.experiment": ["load"],
        "interactive.several": ["open"],
    },
)
