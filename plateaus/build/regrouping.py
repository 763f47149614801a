"""Tasks whose items can be grouped anew: from a spec to its domains, clustered once and kept.

Such a task's module has, beside the others, `embeddings(spec) -> (train [N, D], test [M, D])`, the
fields of `plateaus.tasks.shared.regrouped.Spec` (`pool_seed` may be left out) and makes its task
from (spec, grouping or None).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from plateaus.build.soundness import uncollected
from plateaus.config.schema import Component
from plateaus.config.values import shown
from plateaus.data.designs import groups_of
from plateaus.data.domains import domain_names, random_groups, regroup
from plateaus.option_strings import whole_numbers
from plateaus.types import Grouping, Task

ORIGINAL, SIMILAR, RANDOM = "original", "similar", "random"
Embeddings = Callable[[Any], tuple[Any, Any]]


def regroupable(component: Component, embeddings: Embeddings) -> Component:
    """Return a task's component that applies the fields `clusters` and `grouping`.

    Without `clusters` the task is unchanged. With it the groups are domain_0, .., as many as
    `clusters` states or, where that is a grid, as suit similar domains best. The number is the same
    for `original`, `similar` and `random`, so that these can be variants of one sweep.
    """
    original, sound, build = component.groups, component.check, component.make
    assert original is not None and sound is not None

    def groups(spec: Any) -> tuple[str, ...]:
        if not spec.clusters.strip() or any(True for _ in check(vars(spec))):
            return original(spec)  # the check says what is wrong
        return domain_names(_number(embeddings, spec))

    def make(spec: Any) -> Task:
        if not spec.clusters.strip():
            return build(spec)
        if spec.grouping != ORIGINAL:
            return build(spec, grouping(embeddings, spec))
        task = build(spec)
        assert task.groups is not None
        names = domain_names(len(task.groups.names))
        return task._replace(groups=task.groups._replace(names=names))

    def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if problems := list(sound(values)):
            yield from problems
            return
        fields = (field.name for field in dataclasses.fields(component.spec))
        spec = component.spec(**{name: values[name] for name in fields})
        if spec.clusters.strip():
            yield from (("clusters", fault) for fault in _faults(embeddings, spec, original(spec)))
        elif spec.grouping != ORIGINAL:
            yield "grouping", "needs task.clusters, the number of domains"

    return component._replace(groups=groups, make=make, check=check)


def _faults(embeddings: Embeddings, spec: Any, originals: Sequence[str]) -> Iterator[str]:
    """Yield the reasons why the items of a spec cannot be grouped by its fields."""
    try:
        k = _number(embeddings, spec)
        if spec.grouping != ORIGINAL:
            grouping(embeddings, spec)
    except (ValueError, ImportError) as error:
        yield str(error).removeprefix("clusters = ").removeprefix(f"{spec.clusters.strip()}: ")
        return
    if spec.grouping == ORIGINAL and k != len(originals):
        names = ", ".join(originals)
        yield f"gives {k} domains, but there are {len(originals)} original ones: {names}"


def unnamed(component: Component, spec: Any, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each reason why a flat config's domains cannot be named.

    It yields nothing where a field is bad by itself, and so not in `spec`: that is refused later.
    """
    fields = {n.removeprefix("task."): v for n, v in config.items() if n.startswith("task.")}
    if any(str(getattr(spec, field, value)) != str(value) for field, value in fields.items()):
        return
    if getattr(spec, "clusters", "").strip() and component.check is not None:
        for field, message in component.check(vars(spec)):
            yield f"task.{field} = {shown(getattr(spec, field))}: {message}"


def differ(groups: Sequence[str], values: Mapping[str, Any]) -> str:
    """Return a line where a setting's groups are not those of a flat config's knobs; else ""."""
    base = groups_of(name.removeprefix("data.") for name in values if name.startswith("data."))
    if groups == base:
        return ""
    numbers = f"gives {len(groups)} domains here and {len(base)} in the base"
    return f"{numbers}: settings of one sweep share the knobs of their groups"


def grouping(embeddings: Embeddings, spec: Any) -> Grouping:
    """Return the domains of a spec's items that are not original; clustered once for each spec.

    Raises ValueError, in one line, where they cannot be made.
    """
    return _grouping(embeddings, dataclasses.replace(spec, grouping=ORIGINAL), spec.grouping)


@functools.cache
def _grouping(embeddings: Embeddings, spec: Any, kind: str) -> Grouping:
    if kind == SIMILAR:
        domains = _similar(embeddings, spec)
    else:
        train, test = _embedded(embeddings, spec)
        k = _number(embeddings, spec)
        domains = random_groups(len(train), len(test), k, _seed(spec))
    for name, share in zip(domains.names, domains.target, strict=True):
        if not share:
            k = len(domains.names)
            raise ValueError(f"clusters = {k}: {name} has no test example: fewer, or more items")
    return domains


def _number(embeddings: Embeddings, spec: Any) -> int:
    """Return the number of domains; it takes a clustering only where `clusters` is a grid."""
    spec, numbers = dataclasses.replace(spec, grouping=ORIGINAL), whole_numbers(spec.clusters)
    if len(numbers) > 1:
        return len(_similar(embeddings, spec).names)
    train, test = _embedded(embeddings, spec)
    random_groups(len(train), len(test), numbers[0], 0)  # raises where they are too many, or none
    return numbers[0]


@functools.cache
def _similar(embeddings: Embeddings, spec: Any) -> Grouping:
    return regroup(*_embedded(embeddings, spec), whole_numbers(spec.clusters), _seed(spec))[0]


@functools.cache
@uncollected()
def _embedded(embeddings: Embeddings, spec: Any) -> tuple[Any, Any]:
    return embeddings(spec)


def _seed(spec: Any) -> int:
    return getattr(spec, "pool_seed", 0)
