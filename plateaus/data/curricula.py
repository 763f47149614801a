"""Curricula and subsets of groups as knobs of a config. No jax: config files are listed at once."""

from __future__ import annotations

from collections.abc import Sequence

WEIGHT, FROM, UNTIL, THEN = "weight_", "from_", "until_", "then_"  # begin the knobs of a group
ESCAPED, AVERAGED = 0.8, 100  # a plateau is left when losses of so many steps have a mean below


def curriculum(kind: str, groups: Sequence[str], steps: int) -> dict[str, int]:
    """Return paper 3's curricula as knobs of `data`, K groups in K equal phases of the steps.

    "sequential": phase p draws group p only; "mixed": groups 0 .. p; "random": all, always.

    Raises ValueError for another kind, and for fewer than two groups. Source: paper 3, curricula.

    >>> curriculum("mixed", ("linear", "relu"), 100)
    {'data.from_linear': 0, 'data.from_relu': 50}
    """
    if kind not in ("sequential", "mixed", "random"):
        raise ValueError(f"curriculum = {kind}: must be sequential | mixed | random")
    if len(groups) < 2:
        raise ValueError(f"curriculum over {', '.join(groups) or 'nothing'}: needs two classes")
    knobs = {}
    for p, group in enumerate(groups):
        if kind != "random":
            knobs[f"data.{FROM}{group}"] = p * steps // len(groups)
        if kind == "sequential" and p + 1 < len(groups):
            knobs[f"data.{UNTIL}{group}"] = (p + 1) * steps // len(groups)
    return knobs


def only(chosen: Sequence[str], groups: Sequence[str]) -> dict[str, float]:
    """Return the knobs of `data` that train on some of the groups, evenly.

    >>> only(["relu"], ("linear", "relu"))
    {'data.weight_linear': 0.0, 'data.weight_relu': 1.0}
    """
    return {f"data.{WEIGHT}{group}": float(group in chosen) for group in groups}


def zipf(groups: Sequence[str], exponent: float) -> dict[str, float]:
    r"""Return the knobs of `data` that draw the r-th group in proportion to $r^{-\alpha}$.

    Source: paper 1, section 4.2, with groups for tasks.

    >>> zipf(("ret1", "ret2"), 1.0)
    {'data.weight_ret1': 1.0, 'data.weight_ret2': 0.5}
    """
    return {f"data.{WEIGHT}{group}": (1 + r) ** -exponent for r, group in enumerate(groups)}
