"""The fields of everything that a config can name, by section and component."""

from __future__ import annotations

from plateaus.build.registry import DATA, MODELS, OPTIM, TASKS
from plateaus.build.run_fields import NoKnobs, run_spec
from plateaus.config.component import Component
from plateaus.config.reference import Record, records
from plateaus.config.schema import entries
from plateaus.data.designs import knobs_of
from plateaus.optim.optimisers import knobs_with_rates


def tables() -> dict[str, list[Record]]:
    """Return the records of every field, with its declared default, by title of their table.

    The titles are "run", "data", "optim", "task.NAME" and "model.NAME". Fields that follow from the
    names of a task's groups or of a model's layers stand once, as data.weight_GROUP and
    optim.rate_LAYER.

    >>> [row.name for row in tables()["task.sparse_parity"]][:3]
    ['task.name', 'task.dimension', 'task.relevant_bits']
    """
    sections = {
        "run": ("", Component(run_spec(), NoKnobs, dict)),
        "data": ("data", DATA._replace(knobs=knobs_of(("GROUP",)))),
        "optim": ("optim", OPTIM._replace(knobs=knobs_with_rates(("LAYER",)))),
        **{f"task.{name}": ("task", part) for name, part in TASKS.items()},
        **{f"model.{name}": ("model", part) for name, part in MODELS.items()},
    }
    return {title: records(entries({name: part})) for title, (name, part) in sections.items()}
