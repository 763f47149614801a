"""Where each run of a folder was made and how long it took, as variables of its results."""

from __future__ import annotations

from typing import Any

import numpy as np

from plateaus.jobs import identities
from plateaus.jobs.finished import Finished
from plateaus.jobs.sweep import Member
from plateaus.variables import ONCE, Variable

SECONDS = "seconds"  # of runs.csv alone, since equal runs are to make equal results


def of_runs(finished: Finished) -> tuple[dict[str, Variable], dict[Member, dict[str, np.ndarray]]]:
    """Return the declarations, and the values of each run.

    `device` and `exactness`, a digest of its record, are flags, of which 0 is no run. `seconds` is
    there only where it is recorded.
    """
    digests = {
        member: identities.digest(dict(finished.exactness[member])) for member in finished.records
    }
    devices = {
        member: "_".join(str(finished.exactness[member].get("device", "unknown")).split())
        for member in finished.records  # the meanings of flags are set apart by spaces
    }
    names = {"device": sorted({*devices.values()}), "exactness": sorted({*digests.values()})}
    places = {kind: {name: np.int16(i + 1) for i, name in enumerate(names[kind])} for kind in names}
    values: dict[Member, dict[str, Any]] = {
        member: {
            "device": places["device"][devices[member]],
            "exactness": places["exactness"][digests[member]],
        }
        for member in finished.records
    }
    for member in finished.records:
        if member in finished.seconds:
            values[member][SECONDS] = np.float32(finished.seconds[member])
    meanings = {
        "device": "device of the run",
        "exactness": "digest of all that the bits of the run rest on, besides its config",
    }
    declared = {
        kind: Variable(meaning, time=ONCE, notes=_flags(names[kind]))
        for kind, meaning in meanings.items()
    }
    declared[SECONDS] = Variable(
        "wall seconds of the run's chunk, shared out among its runs", "seconds", time=ONCE
    )
    return declared, values


def _flags(names: list[str]) -> dict[str, Any]:
    meanings = " ".join(["not_run", *names])
    return {"flag_values": [*range(len(names) + 1)], "flag_meanings": meanings}
