"""The command `plateaus info`: what would compute here, and where things are."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator, Sequence

from plateaus import files, paths
from plateaus.config.exit_codes import with_exit_code
from plateaus.config.options import Parser, only_known
from plateaus.version import VERSION

FULL = 23  # bits of float32's fraction
_SIZE = 128  # of the matrices: below it, an accelerator's units for matrices may stand idle


def parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of the options, of which there are none."""
    text = "Print versions, the device, what float32 means on it, and where things are."
    return Parser(prog=program, description=text, allow_abbrev=False)


@with_exit_code
def main(argv: Sequence[str], program: str = "plateaus info") -> int:
    """Run a command line and return its exit code."""
    only_known(parser(program), argv)
    for name, text in facts():
        print(f"{name:<10}  {text}")
    return 0


def facts() -> Iterator[tuple[str, str]]:
    """Yield what there is to know of this installation, as (name, text).

    Raises ConfigError where JAX finds no device.
    """
    from plateaus.information import text_or_reason
    from plateaus.jobs import devices, memory, provenance

    origin = provenance.origin((*provenance.PACKAGES[:4], "numpy"))
    versions = origin["versions"]
    yield "plateaus", f"{VERSION}, {_commit(origin)}, in {paths.package()}"
    yield "python", f"{versions.pop('python')}, {platform.platform()}"
    yield from versions.items()
    devices.configure()
    import jax

    here = devices.alike()
    available = text_or_reason(lambda: memory.readable(memory.available_bytes(here[0])))
    yield "device", f"{len(here)} x {here[0].platform} ({devices.kind(here[0])}), {available} free"
    yield "float32", text_or_reason(lambda: float32(kept_bits()))
    yield "cache", str(files.cache())
    compiled = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined] # made at run time
    yield "compiled", str(compiled)
    yield "presets", str(paths.experiments() / "configs")


def _commit(origin: dict) -> str:
    if origin["commit"] is None:
        return f"source {origin['source']}"
    changed = {True: ", changed since", None: ", as installed"}.get(origin["dirty"], "")
    return f"commit {origin['commit'][:10]}{changed}"


def kept_bits() -> int:
    """Return how many bits of a factor's fraction a product of float32 matrices keeps here.

    It is measured, since what a device does by default follows from its make, from
    JAX_DEFAULT_MATMUL_PRECISION and from the environment: 23 is all of them, 10 is TF32 (as GPUs
    may have it), 7 is bfloat16 (as TPUs have it).
    """
    import jax.numpy as jnp
    import numpy as np

    one = np.eye(_SIZE, dtype=np.float32)
    kept = 0
    for bits in range(1, FULL + 1):
        factor = np.float32(1 + 2.0**-bits)
        product = np.asarray(jnp.matmul(jnp.asarray(factor * one), jnp.asarray(one)))
        if not np.array_equal(product, factor * one):
            break
        kept = bits
    return kept


def float32(bits: int) -> str:
    """Return in words what so many bits mean, and how to have all of them.

    >>> float32(23)
    'products of matrices keep all 23 bits of the fraction'
    >>> float32(7)
    'products of matrices keep 7 of 23 bits; JAX_DEFAULT_MATMUL_PRECISION=highest keeps all'
    """
    if bits >= FULL:
        return f"products of matrices keep all {FULL} bits of the fraction"
    remedy = "JAX_DEFAULT_MATMUL_PRECISION=highest keeps all"
    return f"products of matrices keep {bits} of {FULL} bits; {remedy}"
