"""The identity of a plan's runs, and the folder that belongs to it."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.files import LOCK
from plateaus.jobs import differences, observations

# Of a run folder. Whatever changes a random stream or a bit of a result raises it; `poolable` says
# which runs of earlier formats have the same streams and bits.
FORMAT = 5
UNREADABLE = (OSError, ValueError, KeyError, TypeError)
_DIGEST = re.compile(r"[0-9a-f]{10}")


def poolable(plan: Plan) -> tuple[int, ...]:
    """Return the formats, with this one, whose runs of a plan have the same streams and bits.

    Formats 2 and 3 differ in what is written down only; format 4 draws other orders of epochs.
    Format 5 has all draws of format 4, and other last bits of losses on sparse parity where labels
    are random at first, or the examples' gradients are combined by an aggregator.
    """
    parity = "sparse_parity" in _values(plan, "task.name")
    labels = _values(plan, "task.random_label_steps") - {None, 0}
    aggregators = _values(plan, "optim.aggregator") - {None, "none"}
    if parity and (labels or aggregators):
        return (FORMAT,)
    return (4, FORMAT) if "epochs" in _values(plan, "data.order") else (2, 3, 4, FORMAT)


def _values(plan: Plan, name: str) -> set[Any]:
    """Return the values that a field has anywhere in a plan; None where it is left out."""
    settings = (plan.config, *plan.variants.values())
    return {*plan.sweep.get(name, ()), *(setting.get(name) for setting in settings)}


def digest(thing: Any, length: int = 10) -> str:
    """Return a short hexadecimal name of a JSON-like thing, whatever the order of its keys.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(thing, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def identity(plan: Plan) -> dict[str, Any]:
    """Return the identity of the plan's runs: the values of all fields that affect their results.

    Seeds, values of swept fields and overrides of variants are not part of it but of the names of
    the runs (see `plateaus.jobs.sweep.named`). Fields at their neutral value, and those that only
    observe, are left out, so that a field that is added later changes no identity.
    """
    return {
        "format": FORMAT,
        "config": effective(plan, plan.config),
        "swept": sorted(plan.sweep),
    }


def effective(plan: Plan, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a config that are part of the identity of the plan's runs."""
    left_out = {"seeds", *plan.sweep, *plan.idle(config), *plan.observing}
    return {name: value for name, value in config.items() if name not in left_out}


def locate(plan: Plan, workdir: Path | None, tell: Callable[[str], None]) -> Path:
    """Return the folder of a plan: `workdir`, or a folder under `runs/` named by the identity.

    A folder with another name, from an earlier version, is recognised by the identity in it. Among
    several the one whose runs are observed as the plan's is preferred, then the one with the most
    runs; `tell` is called with a line about any others that hold runs of the plan.
    """
    if workdir is not None:
        return workdir
    ours = json.loads(json.dumps(identity(plan)))
    place = Path("runs") / f"{plan.name}-{digest(ours)}"
    alike = [
        other
        for other in sorted(Path("runs").glob(f"{glob.escape(plan.name)}-*"))
        if other != place and _holds(other, plan, ours)
    ]
    shorter = [
        other
        for other in sorted(Path("runs").glob(f"{glob.escape(plan.name)}-*"))
        if (other / "checkpoints" / "states").is_dir() and _holds_shorter(other, plan, ours)
    ]
    if shorter and not place.exists():
        tell(
            f"note: {shorter[0]} holds the same runs for fewer steps, with their states; "
            f"--workdir {shorter[0]} goes on from there"
        )
    if not place.exists():
        named = [other for other in alike if _has_its_name(other, plan)]
        place = max(named, key=lambda other: _worth(other, plan), default=place)
    if others := [str(other) for other in alike if other != place]:
        tell(
            f"note: {', '.join(others)} {'holds' if len(others) == 1 else 'hold'} runs of this "
            f"experiment, too, and {'is' if len(others) == 1 else 'are'} left alone; --workdir "
            "takes a folder by its name"
        )
    return place


def held(folder: Path) -> dict[str, Any]:
    """Return the identity of the runs that a folder holds.

    Raises OSError, ValueError, KeyError or TypeError where it is damaged.
    """
    recorded = dict(content(folder)["identity"])
    if not isinstance(recorded["config"], dict) or not isinstance(recorded["format"], int):
        raise ValueError("its config or its format is none")
    swept = recorded["swept"]
    if not isinstance(swept, list) or not all(isinstance(name, str) for name in swept):
        raise ValueError("what is swept are no names")
    return recorded


def steps_of(recorded: Mapping[str, Any]) -> int:
    """Return the number of steps of the runs of a recorded identity."""
    return int(recorded["config"]["steps"])


def content(folder: Path) -> dict[str, Any]:
    """Return what config.json of a folder says; raises as `held` does."""
    return json.loads((folder / "config.json").read_bytes())


def same(folder: Path, plan: Plan) -> bool:
    """Return whether the runs of a folder are those of the plan, swept and evaluated alike."""
    return _holds(folder, plan, json.loads(json.dumps(identity(plan))))


def _holds(folder: Path, plan: Plan, ours: Mapping[str, Any]) -> bool:
    with contextlib.suppress(*UNREADABLE):
        return _as_of_now(held(folder), plan) == ours
    return False


def _holds_shorter(folder: Path, plan: Plan, ours: Mapping[str, Any]) -> bool:
    with contextlib.suppress(*UNREADABLE):
        recorded, steps = _as_of_now(held(folder), plan), plan.config["steps"]
        longer = {**recorded, "config": {**recorded["config"], "steps": steps}}
        return steps_of(recorded) < steps and longer == ours
    return False


def _has_its_name(folder: Path, plan: Plan) -> bool:
    """Return whether the folder has a name that a version of this package gave it."""
    suffix = folder.name.removeprefix(f"{plan.name}-")
    recorded = held(folder)
    named = recorded["format"] in poolable(plan) or suffix == digest(recorded)
    return bool(_DIGEST.fullmatch(suffix)) and named


def _worth(folder: Path, plan: Plan) -> tuple[bool, int]:
    """Return whether the runs of a folder are observed as the plan's, and their number."""
    runs = 0
    for path in (folder / "checkpoints" / "finished").glob("*.npz.json"):
        with contextlib.suppress(*UNREADABLE):
            runs += len(json.loads(path.read_bytes())["meta"]["members"])
    config = content(folder).get("config")
    config = config if isinstance(config, dict) else {}
    idle = {name: plan.schema[name].idle for name in plan.observing}
    observed = {name: config.get(name, value) for name, value in idle.items()}
    return observed == {**idle, **observations.of(plan)}, runs


def _as_of_now(recorded: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Return an identity in the current format where its runs can be pooled; else unchanged."""
    if recorded["format"] not in poolable(plan):
        return dict(recorded)
    return {**recorded, "format": FORMAT, "config": effective(plan, recorded["config"])}


def check(folder: Path, plan: Plan) -> None:
    """Raise ConfigError for a folder whose runs are of another or of an unknown experiment."""
    path = folder / "config.json"
    if not path.exists():
        occupants = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        if folder.exists() and (not folder.is_dir() or occupants - {LOCK, "checkpoints"}):
            raise ConfigError(f"--workdir {folder}: exists, and is not a run folder")
        if "checkpoints" in occupants:
            raise ConfigError(
                f"{folder} holds checkpoints, and no config.json that says what they are of: "
                "move the folder away to start anew"
            )
        return
    try:
        as_written = held(folder)
        recorded = _as_of_now(as_written, plan)
    except UNREADABLE:
        raise ConfigError(f"{path}: damaged; move the folder away to start anew") from None
    if recorded["format"] != FORMAT:
        raise ConfigError(
            f"{folder} holds runs of format {recorded['format']}, this version makes format "
            f"{FORMAT}: other random streams or bits. Use another --workdir, or the version whose "
            f"commit {folder / 'provenance.json'} names"
        )
    ours = json.loads(json.dumps(identity(plan)))
    if steps_of(recorded) < plan.config["steps"]:  # they may go on
        recorded["config"] = {**recorded["config"], "steps": plan.config["steps"]}
    if refusal := differences.refusal(plan, recorded, ours, as_written["config"]):
        raise ConfigError(f"{folder} holds another experiment: {refusal}")


def unlike(folder: Path, plan: Plan) -> list[str]:
    """Return how the runs of a folder differ from a plan's, in their format or field by field.

    Raises ConfigError where what they are cannot be read.
    """
    try:
        as_written = held(folder)
        recorded = _as_of_now(as_written, plan)
    except UNREADABLE:
        raise ConfigError(f"{folder / 'config.json'}: damaged") from None
    if recorded["format"] != FORMAT:
        return [f"format is {recorded['format']} there, {FORMAT} here: other streams or bits"]
    ours = json.loads(json.dumps(identity(plan)))
    return differences.phrases(plan, recorded, ours, as_written["config"])


def kept(folder: Path, plan: Plan) -> dict[str, Any]:
    """Return the identity to record in a folder: the one that it has or, in a new one, the plan's.

    So a folder keeps its name, and the format of its earlier runs stays recorded. What the plan
    sweeps, and how far apart its evaluations are, is as in the plan from now on; the number of
    steps may only grow.
    """
    with contextlib.suppress(*UNREADABLE):
        recorded = held(folder)
        config = {n: value for n, value in recorded["config"].items() if n not in plan.sweep}
        config["steps"] = max(steps_of(recorded), plan.config["steps"])
        if differences.GRID in config:
            config[differences.GRID] = plan.config[differences.GRID]
        return {**recorded, "config": config, "swept": sorted(plan.sweep)}
    return identity(plan)
