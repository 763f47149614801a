"""The kept folders of claims: their names, and the command whose runs they hold.

A folder `experiments/results/NAME/` holds the runs of one config, at one scale and horizon, of
every setting that some claim compares; claims that differ in nothing else share it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from plateaus.config import pairs, ranges
from plateaus.config.schema import ConfigError
from plateaus.config.variants import AXIS
from plateaus.evidence.claim import Claim
from plateaus.evidence.settings import canonical


def name(claim: Claim) -> str:
    """Return the name of the folder of a claim's runs: the config, the preset and a digest.

    The digest is of all that the runs have in common: config, scale, horizon, fields that are set
    and which fields the contrast is in; not of its values, nor of the seeds.

    >>> made = Claim(id="1", paper=1, place="", sentence="", horizon=100,
    ...              config="configs/sparse_parity.py:zipf", treated={"data.zipf_exponent": 1})
    >>> name(made)
    'sparse_parity-zipf-c6e3fc96'
    """
    file, preset = _parts(claim.config)
    common = [
        str(PurePosixPath(claim.config.replace("\\", "/"))),
        claim.scale,
        claim.horizon,
        {field: canonical(value) for field, value in claim.set.items()},
        sorted(claim.treated),
    ]
    digest = hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:8]
    return f"{PurePosixPath(file).stem}-{preset or 'default'}-{digest}"


def options(claims: Iterable[Claim]) -> list[str]:
    """Return the options of `run.py` that make the settings of claims of one folder, in any order.

    Seeds and the folder to work in are the caller's. Values of a field that no option can hold, and
    claims of several folders, raise ConfigError.

    >>> made = Claim(id="1", paper=1, place="", sentence="", config="configs/sparse_parity.py:zipf",
    ...              horizon=100, treated={"data.zipf_exponent": 1.0},
    ...              baseline_setting={"data.zipf_exponent": 0.0})
    >>> options([made])[3:]
    ['--config.steps=100', '--sweep', 'data.zipf_exponent=0.0,1.0']
    """
    claims = sorted(claims, key=lambda claim: claim.id)
    if not claims:
        raise ConfigError("no claim: nothing to run")
    names = [name(claim) for claim in claims]
    if len({*names}) > 1:
        shown = ", ".join(f"{c.id}: {folder}" for c, folder in zip(claims, names, strict=True))
        raise ConfigError(f"these claims have runs of their own, {shown}")
    one = claims[0]
    words = [f"--config={one.config}", "--scale", one.scale, f"--config.steps={one.horizon}"]
    for field, value in sorted(one.set.items()):
        alone = ["--sweep", _sweep([AXIS], [[_text(value)]])]  # a variant is no field
        words += alone if field == AXIS else [f"--config.{field}={_text(value)}"]
    fields = sorted(one.treated)
    arms = [claim.baseline_setting for claim in claims] + [claim.treated for claim in claims]
    settings = {
        tuple(canonical(arm[field]) for field in fields): [_text(arm[field]) for field in fields]
        for arm in reversed(arms)  # so that of values written in several ways the first stays
        if arm and fields
    }
    if settings:
        words += ["--sweep", _sweep(fields, [*reversed(settings.values())])]
    return words


def _sweep(fields: Sequence[str], settings: Sequence[Sequence[str]]) -> str:
    """Return the text of a --sweep option; raises ConfigError where it would be read otherwise."""
    key, text = ",".join(fields), ",".join(":".join(setting) for setting in settings)
    try:
        read = (
            pairs.entries(key, text)
            if len(fields) > 1
            else tuple((value,) for value in ranges.listed(text))
        )
    except ValueError as error:
        raise ConfigError(f"--sweep {key}: {error}") from None
    if read != tuple(tuple(setting) for setting in settings):
        shown = ", ".join(repr(" ".join(setting)) for setting in settings)
        raise ConfigError(f"--sweep {key}: cannot hold the values {shown}")
    return f"{key}={text}"


def _text(value: Any) -> str:
    """Return a value of TOML as an option has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def _parts(config: str) -> tuple[str, str]:
    """Return the file and the preset that a config names."""
    file, colon, preset = config.replace("\\", "/").rpartition(":")
    return (file, preset) if colon and "/" not in preset else (config.replace("\\", "/"), "")
