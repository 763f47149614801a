"""The transformer benchmark's results as lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.benchmarks.timing import circumstances
from experiments.benchmarks.transformer.shapes import Job


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Return the table of the results."""
    yield from circumstances(result)
    for one in result["jobs"]:
        job = Job(**one["job"])
        yield ""
        yield f"{job.name}: {one['flops'] / 1e9:.3f} GFLOP a run-step"
        yield (
            f"{'':18}{'runs':>5}{'ms/run-step':>12}{'tokens/s':>11}{'GFLOP/s':>9}{'ceiling':>9}"
            f"{'of it':>7}{'ours/torch':>11}  losses differ by"
        )
        for kind, row in one["rows"].items():
            yield (
                f"{kind:18}{row['runs']:5}{row['wall_us'] / 1e3:12.2f}"
                f"{row['tokens_per_second']:11.0f}{row['gflops']:9.1f}"
                + (f"{row['ceiling_gflops']:9.1f}" if "ceiling_gflops" in row else " " * 9)
                + (f"{row['of_ceiling']:7.0%}" if "of_ceiling" in row else " " * 7)
                + (f"{row['over_torch']:11.2f}" if "over_torch" in row else " " * 11)
                + (f"  {row['off']:.0e}" if "off" in row else "")
            )
        yield from (f"{kind:18} skipped: {why}" for kind, why in one["skipped"].items())
    share = result["evaluation"]
    yield ""
    yield (
        f"evaluation, optimal predictors included: {share['share']:.1%} of a run's time (aim: "
        f"under 5%); of {share['preset']}, {share['steps']} steps in phases of "
        f"{share['phase_steps']}: a phase {share['phase']:.3f} s, an evaluation in it "
        f"{share['evaluate']:.4f} s, once a run {share['laws']:.3f} s"
    )
