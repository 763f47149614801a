"""The `data.*` section of a config: every intervention on which indices are drawn, in order."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from plateaus.data import adaptive
from plateaus.data.adaptive import FIXED
from plateaus.data.curricula import THEN
from plateaus.data.mixers.mixer import Registered
from plateaus.data.mixers.registry import MIXERS, mixer_options
from plateaus.data.mixtures import MIXING, group_knobs, mixture, positive
from plateaus.data.mixtures import check as mixture_check
from plateaus.data.pool import curriculum, first_items, subset
from plateaus.data.source import epochs, uniform, whole_batches
from plateaus.data.zipf_law import zipf
from plateaus.fields import INFINITE, Field, declared, joined
from plateaus.types import Scalar, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Spec(adaptive.Spec):
    """What sets a branch of the design."""

    order: Annotated[
        str, Field(help="how the pool is gone through", choices=("replacement", "epochs"))
    ] = "replacement"
    zipf_over: Annotated[
        str, Field(help="what the Zipf law ranks", choices=("points", "batches"))
    ] = "points"
    mixing: Annotated[
        str, Field(help="what one group is drawn for: parts of a batch, all of it", choices=MIXING)
    ] = "split"
    batch_split: Annotated[
        str,
        Field(
            help="whether `batch` is of all groups together or of each with a weight",
            choices=("total", "per_task"),
        ),
    ] = "total"
    schedule: Annotated[
        str, Field(help="weights by breakpoints, '0: linear=1; 900: linear=1, relu=.5'; '': none")
    ] = ""
    switch: Annotated[
        str,
        Field(help="go on with the then_ weights once losses escape", choices=("none", "escape")),
    ] = "none"


def spec_of() -> Any:
    """Return the class `Spec` of all mixers that are registered by now, and of their options."""
    return _spec_of(tuple(MIXERS.items()))


@functools.cache
def _spec_of(mixers: tuple[tuple[str, Registered], ...]) -> Any:
    names = Annotated[str, adaptive.rule(name for name, _ in mixers)]
    with_names = dataclasses.make_dataclass(
        "Spec",
        [("mixer", names, FIXED)],
        bases=(_Spec,),
        frozen=True,
        kw_only=True,
        namespace={"__module__": _Spec.__module__, "__doc__": _Spec.__doc__},
    )
    return joined(with_names, mixer_options())


Spec: Any = spec_of()


class Knobs(NamedTuple):
    """The numbers of the design."""

    items: Annotated[
        Scalar,
        Field(
            help="items of the pool in play: tasks, subjects or points",
            low=1,
            high=INFINITE,
            neutral=INFINITE,
        ),
    ] = INFINITE
    subset: Annotated[
        Scalar, Field(help="fraction rho of the pool", low=0, low_open=True, high=1, neutral=1.0)
    ] = 1.0
    zipf_exponent: Annotated[
        Scalar, Field(help="Zipf exponent alpha", low=0, high=3, neutral=0.0)
    ] = 0.0
    curriculum_start: Annotated[
        Scalar, Field(help="items in play at the start", low=1, high=INFINITE, neutral=INFINITE)
    ] = INFINITE
    curriculum_step: Annotated[
        Scalar, Field(help="step at which the first stage ends", low=0, high=2**30, neutral=0)
    ] = 0
    curriculum_multiple: Annotated[
        Scalar, Field(help="the same, in multiples of plateau_steps", low=0, high=1000, neutral=0.0)
    ] = 0.0
    curriculum_doubling: Annotated[
        Scalar,
        Field(
            help="time between doublings in first stages; 0 opens all at once",
            low=0,
            high=1000,
            neutral=0.0,
        ),
    ] = 0.0
    plateau_steps: Annotated[
        Scalar, Field(help="measured plateau of the baseline", low=0, high=2**20, units="steps")
    ] = 0


class Intervention(NamedTuple):
    """An intervention of one's own on which indices are drawn.

    Fields:
      change: Source -> Source; its `prepare` finds its knobs among those of the design.
      knobs: NamedTuple class of its numbers, each with a neutral value.
    """

    change: Callable[[Source], Source]
    knobs: type


INTERVENTIONS: dict[str, Intervention] = {}
"""Those that config files have added, applied in this order: outside the pool's, in a mixture."""


def knobs_of(groups: tuple[str, ...]) -> Any:
    """Return the class `Knobs` with those of each group, of all mixers, and of one's own.

    >>> knobs_of(("linear", "relu"))(weight_relu=0.0).weight_relu
    0.0
    """
    return _knobs_of(groups, tuple(MIXERS.items()), tuple(INTERVENTIONS.values()))


@functools.cache
def _knobs_of(groups: tuple[str, ...], mixers: Any, own: tuple[Intervention, ...]) -> Any:
    knobs = Knobs
    for intervention in own:
        knobs = joined(knobs, declared(intervention.knobs))
    return joined(knobs, group_knobs(groups))


def groups_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the groups whose knobs are among these field names.

    >>> groups_of(["items", "weight_linear", "then_linear"])
    ('linear',)
    """
    return tuple(name.removeprefix(THEN) for name in names if name.startswith(THEN))


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for combinations that mean nothing."""
    if values["order"] == "epochs" and values["zipf_over"] == "batches":
        yield "order", "epochs go through points: it cannot be combined with zipf_over = batches"
    if values["order"] == "epochs" and values["zipf_exponent"] != 0:
        yield "order", "epochs visit every point equally often: zipf_exponent must be 0"
    if values["curriculum_step"] and values["curriculum_multiple"]:
        yield "curriculum_multiple", "give curriculum_step or curriculum_multiple, not both"
    if values["curriculum_multiple"] and not values["plateau_steps"]:
        yield "plateau_steps", "curriculum_multiple is a multiple of it: it must be positive"
    # a run has a field of its own that begins alike, weight_norms
    if groups := groups_of(name for name in values if f"data.{name}" in values):
        yield from mixture_check(values, groups)
        yield from adaptive.check(values, positive(values, groups))
    else:
        mixed = ("mixing", "batch_split", "schedule", "switch")
        for field in (*mixed, *adaptive.Spec.__dataclass_fields__):
            if values[field] != getattr(Spec(), field):
                yield field, f"needs a task of several groups; {values['task.name']} has one"


ALL = frozenset(Knobs._fields)


def design(
    spec: _Spec,
    batch: int,
    size: int,
    used: frozenset[str] = ALL,
    groups: tuple[str, ...] = (),
    use: adaptive.Adaptive | None = None,
) -> Source:
    """Build the source of a pool of `size` items: what is drawn inside, what is in play outside.

    With `groups` every group has such a pool, and the `mixture` says which group an item is of,
    by shares that a mixer adapts if one is in `use`.

    An intervention none of whose knobs is in `used` is left out: neutral, it would give the same
    indices, and cost time (a Zipf rank costs three times a uniform one).

    >>> source = design(Spec(), batch=4, size=100)
    >>> import jax
    >>> plan = jax.jit(source.prepare)(Knobs(subset=0.25), 100)
    >>> bool((jax.jit(source.draw)(jax.random.key(0), (), plan, 0).index < 25).all())
    True
    """
    ranked = "zipf_exponent" in used
    if spec.order == "epochs":
        source = epochs(batch)
    elif spec.zipf_over == "batches":
        source = uniform(1)
        source = whole_batches(zipf(source, size) if ranked else source, batch)
    else:
        source = uniform(batch)
        source = zipf(source, size) if ranked else source
    if used & {"curriculum_start", "curriculum_doubling"}:
        source = curriculum(source, doubles="curriculum_doubling" in used)
    source = first_items(subset(source))
    for own in INTERVENTIONS.values():
        source = own.change(source) if used & set(declared(own.knobs)) else source
    if not groups:
        return source
    return mixture(source, groups, spec.mixing, spec.switch, spec.schedule, use)
