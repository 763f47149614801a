"""The benchmark's results as lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.benchmarks.timing import circumstances


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Return the table of `measure.everything`."""
    job = result["job"]
    threads = job["devices"]
    yield from circumstances(result)
    layers = "-".join(str(n) for n in job["layers"])
    yield (
        f"MLP {layers}, batch {job['batch']}: {job['flops_per_run_step']:,} flop a run-step (6 an "
        f"example and weight); {threads} device(s), chunks of {job['width']} runs"
    )
    yield "us: of a run-step, by the clock; cpu us: processor time / devices"
    yield ""
    yield f"{'ours':34}{'us':>8}{'cpu us':>9}{'GFLOP/s':>9}"
    for row in result["ensembles"]:
        kind = {"none": "no evaluation", "preset": "evaluated"}[row["evaluation"]]
        name = f"{row['runs']:4} runs, {row['sampling']}, {kind}"
        yield f"{name:34}" + _numbers(row, threads) + f"{row['gflops']:9.1f}"
    yield f"(up to {job['width']} runs are one chunk, padded, on one device)"
    yield ""
    yield from _ceiling(result["ceiling"], threads)
    yield ""
    yield from _peers(result["peers"])
    yield ""
    yield from _sampling(result["sampling"], threads)
    yield ""
    yield f"peak resident memory of our process: {result['peak_mib']:.0f} MiB"
    for name, title in (
        ("first_sweep", "a first sweep, cold"),
        ("other_values", "other values of the same fields"),
        ("other_values_new_jit", "the same, as a new process meets it"),
    ):
        row = result["compiling"][name]
        yield (
            f"{title}: {row['compiled']} programs compiled, {row['cached']} read from the cache, "
            f"{row['seconds']:.1f} s"
        )


def _numbers(row: Mapping[str, Any], threads: int) -> str:
    return f"{row['wall_us']:8.2f}{row['cpu_us'] / threads:9.2f}"


def _reached(value: float, aim: float, least: bool) -> str:
    sign = ">=" if least else "<="
    met = value >= aim if least else value <= aim
    return f"aim {sign} {aim:g}x: {'met' if met else 'NOT met'}"


def _ceiling(rows: Mapping[str, Any], threads: int) -> Iterator[str]:
    yield f"{'batched matrix products':54}{'us':>8}{'cpu us':>9}{'GFLOP/s':>9}   ours / this"
    for name, row in rows.items():
        line = f"{name:54}" + _numbers(row, threads) + f"{row['gflops']:9.1f}"
        if "ours_over_this" in row:
            ratio = row["ours_over_this"]
            line += f"   {ratio['wall']:.2f}x (cpu {ratio['cpu']:.2f}x)"
            if name == "a program a device":
                line += f"; {_reached(ratio['wall'], 2, least=False)}"
        yield line


def _peers(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    yield "peers, which get their batches ready: their time a run-step over that of"
    measured = [row for row in rows if "skipped" not in row]
    columns = list(measured[0]["over"]) if measured else []
    yield f"{'':42}{'us':>9}" + "".join(f"{name:>24}" for name in columns)
    for row in rows:
        if "skipped" in row:
            yield f"{row['title']:42}  skipped: {row['skipped']}"
            continue
        line = f"{row['title']:42}{row['wall_us']:9.2f}"
        line += "".join(f"{row['over'][name]['wall']:23.2f}x" for name in columns)
        if row["aim"] is not None:
            line += f"  {_reached(row['over']['ours']['wall'], row['aim'], least=True)}"
        yield f"{line}  losses agree to {row['largest_difference']:.0e}"


def _sampling(rows: Mapping[str, Any], threads: int) -> Iterator[str]:
    yield f"{'sampling':34}{'us':>8}{'cpu us':>9}   adds (cpu us)"
    for name, row in rows.items():
        line = f"{name:34}" + _numbers(row, threads)
        if "adds_us" in row:
            line += f"   {row['adds_us']:+.2f} to {row['over']}"
        yield line
