"""The gradient-geometry benchmark's results as lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.benchmarks.gradient_geometry.jobs import (
    MEMORY_OVER_PLAIN,
    OURS,
    OVER_PLAIN,
    SHARE,
    TORCHJD,
)
from experiments.benchmarks.timing import circumstances


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Return the table of the results."""
    yield from circumstances(result)
    yield "us: of a run-step; MiB: the peak of the first steps, and over what was resident before;"
    yield "planned: by the compiler; off: losses, and the first gradient, from those of its kind"
    for one in result["jobs"]:
        yield ""
        yield one["name"]
        yield f"{'':18}{'runs':>5}{'us/run-step':>13}{'over ours':>11}" + (
            f"{'peak MiB':>10}{'over':>8}{'planned':>9}  off"
        )
        for kind, row in one["rows"].items():
            yield f"{kind:18}" + _row(row, one["rows"])
        yield from (f"{kind:18} skipped: {why}" for kind, why in one["skipped"].items())
        yield from _aims(one)


def _row(row: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> str:
    line = f"{row['runs']:5}{row['wall_us']:13.1f}"
    line += f"{row['wall_us'] / rows[OURS]['wall_us']:10.2f}x" if OURS in rows else " " * 11
    line += f"{row['peak_mib']:10.0f}{row['peak_mib'] - row['before_mib']:8.0f}"
    line += " " * 9 if row["planned_mib"] is None else f"{row['planned_mib']:9.0f}"
    return line + (f"  {row['off']:.0e}, {row['gradient_off']:.0e}" if "off" in row else "")


def _aims(one: Mapping[str, Any]) -> Iterator[str]:
    if OURS not in one["rows"]:
        return
    if "torchjd_over" in one:
        aim = one["job"]["aim"]
        line = f"{TORCHJD} / ours: {one['torchjd_over']:.2f}x"
        yield (
            line if aim is None else f"{line}; aim >= {aim:g}x: {_met(one['torchjd_over'] >= aim)}"
        )
    plain, over, memory = one["plain"], one["over_plain"], one["memory_over_plain"]
    yield f"ours / {plain}: {over:.2f}x; aim <= {OVER_PLAIN:g}x: {_met(over <= OVER_PLAIN)}"
    yield (
        f"memory, the same: {memory:.2f}x; aim <= {MEMORY_OVER_PLAIN:g}x: "
        f"{_met(memory <= MEMORY_OVER_PLAIN)}"
    )
    share = one["share"]
    yield f"PCGrad's own share: {share:.2%}; aim < {SHARE:.0%}: {_met(share < SHARE)}"
    yield "our step, up to (us): " + ", ".join(
        f"{name} {us:.1f}" for name, us in one["split_us"].items()
    )


def _met(met: bool) -> str:
    return "met" if met else "NOT met"
