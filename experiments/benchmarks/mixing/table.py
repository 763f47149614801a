"""The results of the benchmark of R&B's overhead as lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.benchmarks.timing import circumstances


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Return the table of the results."""
    yield from circumstances(result)
    for one in result["jobs"]:
        yield ""
        yield one["name"]
        yield (
            f"{'':20}{'us/run-step':>12}{'over fixed':>12}{'by cpu':>9}"
            f"{'operations':>13}{'over':>8}  compiled"
        )
        for way, row in one["rows"].items():
            yield (
                f"{way:20}{row['wall_us']:12.1f}{row['over_fixed_wall']:11.3f}x{row['over_fixed_cpu']:8.3f}x"
                f"{row['operations']:13,.0f}"
                f"{row['over_fixed_operations']:7.3f}x {row['compile_s']:7.1f} s"
            )
        yield f"last, by the formula: {one['last_formula_over_fixed']:.4f}x the operations"
