"""The finished runs in a folder: the records of their chunks, read and extended."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plateaus.config.plan import Plan
from plateaus.jobs import additions, checkpoint, identities, observations, thinning
from plateaus.jobs.endings import EVENTS
from plateaus.jobs.exactness import Record
from plateaus.jobs.identities import digest
from plateaus.jobs.sweep import Chunk, Member, completed, unnamed
from plateaus.jobs.unfinished import Partial, goes_far_enough, length
from plateaus.report.store import ENDING_OF, ENDINGS, UNFINISHED


class Finished:
    """The records of finished chunks: one verified file each, never rewritten.

    `records`: variable -> array, by member. `names`: how files name a member. `exactness`: its
    record of exactness; `foreign`, those of files whose runs are all of variants that have changed.
    `seconds`: of its chunk, shared out among the members, where recorded.
    `steps`: that a run was to have.
    `observed`: the observing fields of a member's run, None where they are not recorded.
    """

    def __init__(
        self, folder: Path, plan: Plan, warn: Callable[[str], None], event: str | None = None
    ) -> None:
        """Read every chunk in the folder; a damaged one counts as missing, with a warning.

        `event` ends the runs of the command, if it has one.
        """
        self._folder, self._plan = folder / "checkpoints" / "finished", plan
        self._event = event
        self.records: dict[Member, dict[str, np.ndarray]] = {}
        self.names: dict[Member, Any] = {}
        self.exactness: dict[Member, Record] = {}
        self.seconds: dict[Member, float] = {}
        self.steps: dict[Member, int] = {}
        self.foreign: list[Record] = []
        self.observed: dict[Member, Mapping[str, Any] | None] = {}
        of_folder, earlier = observed_of_old(folder), additions.earlier(folder, plan)
        for path in sorted(self._folder.glob("*.npz")):
            try:
                arrays, meta = checkpoint.read_arrays(path)
            except checkpoint.Damaged as error:
                warn(f"finished runs passed over, they will run again: {error}")
                continue
            names = [completed(name, earlier) for name in meta["members"]]
            members = [unnamed(plan, name) for name in names]
            arrays = thinning.on_grid(plan, members, arrays, path)
            self._take(members, arrays, {"observed": of_folder, **meta, "members": names})
            if not any(members):
                self.foreign.append(meta["exactness"])

    def _take(
        self,
        members: Iterable[Member | None],
        arrays: Mapping[str, np.ndarray],
        meta: Mapping[str, Any],
    ) -> None:
        for i, (member, name) in enumerate(zip(members, meta["members"], strict=True)):
            if member is None:  # of a variant that is another one by now
                continue
            record = {name: array[i] for name, array in arrays.items()}
            steps = meta.get("steps", steps_there(record, self._plan))
            record |= ending(record, self._plan.config["steps"], self._event)
            if member in self.records and length(self.records[member]) >= length(record):
                continue
            self.names[member], self.observed[member] = name, meta["observed"]
            self.exactness[member], self.steps[member] = meta["exactness"], steps
            if "seconds" in meta:
                self.seconds[member] = float(meta["seconds"]) / len(meta["members"])
            self.records[member] = record  # last: who has seen a record finds all else

    def complete(self, event: str | None) -> set[Member]:
        """Return the runs whose records go on to the plan's horizon, or to an event before it."""
        steps = self._plan.config["steps"]
        now = list(self.records.items())  # a device may be adding to them
        return {member for member, record in now if goes_far_enough(record, steps, event)}

    def beside(self, partial: Mapping[Member, Partial]) -> Finished:
        """Return these runs and, where they are longer, those of runs on their way."""
        both = copy.copy(self)
        both.records = dict(self.records)  # first: a device may be adding to all of them
        both.names = dict(self.names)
        both.exactness, both.observed = dict(self.exactness), dict(self.observed)
        both.seconds = dict(self.seconds)
        for member, one in partial.items():
            if member not in both.records or length(both.records[member]) < length(one.record):
                both.records[member], both.names[member] = one.record, one.name
                both.exactness[member], both.observed[member] = one.exactness, one.observed
        return both

    def add(
        self, chunk: Chunk, arrays: dict[str, np.ndarray], exactness: Record, seconds: float
    ) -> None:
        """Keep the records of one more chunk, on disk first; it took so many `seconds` of work."""
        meta = {
            "program": chunk.program.address,
            "members": list(chunk.names),
            "exactness": dict(exactness),
            "observed": observations.of(self._plan),
            "steps": self._plan.config["steps"],
            "seconds": round(seconds, 3),
        }
        checkpoint.write_arrays(new_file(self._folder, chunk.address, arrays), arrays, meta)
        self._take(chunk.members, arrays, meta)

    def as_observed(self) -> dict[str, Any]:
        """Return the plan's config with the observing fields of the finished runs."""
        return observations.joined(self._plan, self.observed.values())

    def sweep(self) -> dict[str, tuple[Any, ...]]:
        """Return the values of each swept field: the plan's in order, then others found here."""
        values: dict[str, dict[Any, None]] = {
            name: dict.fromkeys(swept) for name, swept in self._plan.sweep.items()
        }
        for member in sorted(self.records, key=repr):
            for name, value in zip(self._plan.sweep, member.values, strict=True):
                values[name][value] = None
        return {name: tuple(several) for name, several in values.items()}

    def contents(self) -> str:
        """Return a digest of the runs, where they end, and the order in which they are laid out."""
        names = [self.names[member] for member in self.records]
        runs = sorted(json.dumps(name, sort_keys=True) for name in names)
        values = {name: list(swept) for name, swept in self.sweep().items()}
        early = sorted(
            [
                json.dumps(self.names[member], sort_keys=True),
                length(record),
                ENDINGS[int(record["ended_by"])],
            ]
            for member, record in self.records.items()
            if ENDINGS[int(record["ended_by"])] not in ("horizon", "diverged")
        )
        return digest([runs, values, list(self._plan.sweep), *([early] if early else [])])


def new_file(folder: Path, stem: str, arrays: Mapping[str, np.ndarray]) -> Path:
    """Return the file for some runs: not one that holds records of the same that end earlier.

    The folder is made if need be; a file that a kill has cut short is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.npz"
    if not checkpoint.is_sound(path):
        return path
    return folder / f"{digest([stem, arrays['last_step'].tolist()])}.npz"


def steps_there(record: Mapping[str, np.ndarray], plan: Plan) -> int:
    """Return the steps that a run was to have, where that is not recorded."""
    horizon = ENDINGS.index("horizon")
    return int(record["last_step"]) if ended_by(record) == horizon else plan.config["steps"]


def ended_by(record: Mapping[str, np.ndarray]) -> int:
    """Return why a run ended, as a place in `ENDINGS`: by its status where nothing else says."""
    if "ended_by" in record:
        return int(record["ended_by"])
    return ENDINGS.index(ENDING_OF[int(record["status"])])


def ending(
    record: Mapping[str, np.ndarray], steps: int, event: str | None = None
) -> dict[str, np.ndarray]:
    """Return why and in what status a run ended, as a command sees it.

    It asks for so many `steps`, or for the runs until an `event`.
    """
    status, why = int(record["status"]), ended_by(record)
    if ENDINGS[why] == "horizon" and record["last_step"] < steps:
        if event is not None and not np.isnan(float(record[EVENTS[event]])):
            why = ENDINGS.index(event)
        else:
            status, why = UNFINISHED, ENDINGS.index("stopped")
    return {"status": np.asarray(status, np.int8), "ended_by": np.asarray(why, np.int8)}


def observed_of_old(folder: Path) -> Mapping[str, Any] | None:
    """Return the config in a folder of format 2, whose runs have their observing fields there."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        held = identities.held(folder)
        return dict(held["config"]) if held["format"] == 2 else None
    return None
