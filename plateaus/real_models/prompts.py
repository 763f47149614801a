"""The prompts of a plan, which a language model is to continue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plateaus.real_models import text_sets
from plateaus.real_models.arguments import Plan
from plateaus.real_models.text_sets import SETS, TextPrompt


def prompts(made: Plan, shares: Sequence[float]) -> list[TextPrompt]:
    """Return the prompts of a mixture; their inputs are the same for every mixture of a seed."""
    return [
        text_sets.mixed_prompt(
            SETS[made.set],
            made.tasks,
            shares,
            examples=made.examples,
            exact=made.exact,
            rng=np.random.default_rng([made.seed, number]),
        )
        for number in range(made.prompts)
    ]
