"""The finished runs in a folder: the records of their chunks, read and extended."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plateaus.config.plan import Plan
from plateaus.jobs import checkpoint, identities, observations
from plateaus.jobs.exactness import Record
from plateaus.jobs.records import ended_by
from plateaus.jobs.sweep import Chunk, Member, unnamed


class Finished:
    """The records of finished chunks: one verified file each, never rewritten.

    `records`: variable -> array, by member. `names`: how files name a member. `exactness`: its
    record of exactness; `foreign`, those of files whose runs are all of variants that have changed.
    `seconds`: of its chunk, shared out among the members, where recorded.
    `observed`: the observing fields of a member's run, None where they are not recorded.
    """

    def __init__(self, folder: Path, plan: Plan, warn: Callable[[str], None]) -> None:
        """Read every chunk in the folder; a damaged one counts as missing, with a warning."""
        self._folder, self._plan = folder / "checkpoints" / "finished", plan
        self.records: dict[Member, dict[str, np.ndarray]] = {}
        self.names: dict[Member, Any] = {}
        self.exactness: dict[Member, Record] = {}
        self.seconds: dict[Member, float] = {}
        self.foreign: list[Record] = []
        self.observed: dict[Member, Mapping[str, Any] | None] = {}
        of_folder = _observed_of_old(folder)
        for path in sorted(self._folder.glob("*.npz")):
            try:
                arrays, meta = checkpoint.read_arrays(path)
            except checkpoint.Damaged as error:
                warn(f"finished runs passed over, they will run again: {error}")
                continue
            members = [unnamed(plan, name) for name in meta["members"]]
            self._take(members, arrays, {"observed": of_folder, **meta})
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
            record.setdefault("ended_by", ended_by(record["status"]))  # of runs made before it
            self.records[member] = record
            self.names[member], self.observed[member] = name, meta["observed"]
            self.exactness[member] = meta["exactness"]
            if "seconds" in meta:
                self.seconds[member] = float(meta["seconds"]) / len(meta["members"])

    def add(self, chunk: Chunk, arrays: dict[str, np.ndarray], exactness: Record) -> None:
        """Keep the records of one more chunk, on disk first."""
        self._folder.mkdir(parents=True, exist_ok=True)
        meta = {
            "program": chunk.program.address,
            "members": list(chunk.names),
            "exactness": dict(exactness),
            "observed": observations.of(self._plan),
        }
        checkpoint.write_arrays(self._folder / f"{chunk.address}.npz", arrays, meta)
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
        """Return a digest of the runs and of the order in which they are laid out."""
        runs = sorted(json.dumps(name, sort_keys=True) for name in self.names.values())
        values = {name: list(swept) for name, swept in self.sweep().items()}
        return identities.digest([runs, values, list(self._plan.sweep)])


def _observed_of_old(folder: Path) -> Mapping[str, Any] | None:
    """Return the config in a folder of format 2, whose runs have their observing fields there."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        held = identities.held(folder)
        return dict(held["config"]) if held["format"] == 2 else None
    return None
