"""The mixers by name: one line each.

One of your own is added by a config file, `MIXERS["mine"] = Registered(mine, Knobs)`, or offered by
an installed package as an entry point of the group "plateaus.mixers".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, get_type_hints

from plateaus.data.mixers import aioli, dga, doge, doremi, exp3, r_and_b, skill_it, uniform
from plateaus.data.mixers.mixer import Mixer, Needs, Registered
from plateaus.extensions import offered

GRAM = Needs(gram=True)

MIXERS: dict[str, Registered] = {
    "uniform": Registered(uniform.uniform),
    "r_and_b": Registered(r_and_b.r_and_b, r_and_b.Knobs, needs=GRAM, options=r_and_b.Options),
    "doge": Registered(doge.doge, doge.Knobs, options=doge.Options, needs=GRAM, emphasis=True),
    "doremi": Registered(doremi.doremi, doremi.Knobs, needs=Needs(excess=True), emphasis=True),
    "dga": Registered(dga.dga, dga.Knobs, needs=Needs(target_gram=True)),
    "skill_it": Registered(
        skill_it.skill_it,
        skill_it.Knobs,
        options=skill_it.Options,
        needs=Needs(affinity=True, target_loss=True),
    ),
    "aioli": Registered(
        aioli.aioli,
        aioli.Knobs,
        options=aioli.Options,
        needs=Needs(affinity=True),
        short=aioli.SMOOTHING,
        short_every=1,
    ),
    "exp3": Registered(exp3.exp3, exp3.Knobs, options=exp3.Options),
}
MIXERS |= offered("plateaus.mixers", Registered, MIXERS)


def mixer_knobs() -> dict[str, tuple[Any, Any]]:
    """Return the knobs of all mixers as fields of `data`: NAME_knob -> (declared type, default).

    >>> mixer_knobs()["r_and_b_lambda"][1]
    3.0
    """
    return _fields("knobs", lambda owner: owner._field_defaults)


def mixer_options() -> dict[str, tuple[Any, Any]]:
    """Return the options of all mixers as fields of `data`: what sets a branch of a rule.

    >>> mixer_options()["r_and_b_norm"][1]
    True
    """
    return _fields("options", lambda owner: {f.name: f.default for f in dataclasses.fields(owner)})


def _fields(part: str, defaults: Callable[[Any], dict[str, Any]]) -> dict[str, tuple[Any, Any]]:
    fields = {}
    for name, registered in MIXERS.items():
        owner = getattr(registered, part)
        hints = get_type_hints(owner, include_extras=True)
        for key, default in defaults(owner).items():
            fields[named(name, key)] = (hints[key], default)
    return fields


def named(mixer: str, knob: str) -> str:
    """Return the field of `data` that holds a mixer's knob; `lambda_` is `lambda` there.

    >>> named("r_and_b", "lambda_")
    'r_and_b_lambda'
    """
    return f"{mixer}_{knob.rstrip('_')}"


def mixer_knobs_of(mixer: str, knobs: Any) -> Any:
    """Return a mixer's knobs out of those of the design."""
    fields: Any = MIXERS[mixer].knobs
    return fields(**{key: getattr(knobs, named(mixer, key)) for key in fields._fields})


def made(mixer: str, spec: Any) -> Mixer:
    """Return the mixer of a name, made with its options out of those of the design."""
    registered = MIXERS[mixer]
    keys = [field.name for field in dataclasses.fields(registered.options)]
    return registered.make(**{key: getattr(spec, named(mixer, key)) for key in keys})
