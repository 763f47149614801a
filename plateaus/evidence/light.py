"""Records for the repository, which keeps them for good: a third or less of those of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from plateaus.evidence.records import Records
from plateaus.variables import EVALUATIONS, WINDOWS

DIGITS = 3  # of a curve between its ends
EXACT = 4  # digits; a number of more was kept in full for a table
LEFT_OUT = ("train_loss",)  # the faint line of one figure, and a third of the bytes
_ZEROS = re.compile(r"^[-+0.]*|e.*$|\.")


def lighter(records: Records) -> Records:
    """Return records without the training loss, with fewer digits of the numbers on a curve.

    The first and the last evaluation stay exact, and what is no curve or is counted. Of a mixture's
    tasks only those that the run draws have curves.
    """
    header: dict[str, Any] = json.loads(json.dumps(records.header))
    for name in LEFT_OUT:
        header["variables"].pop(name, None)
    declared = header["variables"]
    if not any(WINDOWS in dims for dims, *_ in declared.values()):
        header["coordinates"].pop(WINDOWS, None)
        header["sizes"].pop(WINDOWS, None)
    steps = header["coordinates"].get(EVALUATIONS, [[]])[0]
    ends = {"", *map(str, steps[:1]), *map(str, steps[-1:])}
    never = {member: _never_drawn(rows) for member, rows in records.runs.items()}
    curves = {
        member: {
            name: [
                (*place, step, value if step in ends else _brief(value, declared[name][1]))
                for *place, step, value in rows
                if place[0] not in never[member]
            ]
            for name, rows in several.items()
            if name in declared
        }
        for member, several in records.curves.items()
    }
    return records._replace(header=header, curves=curves)


def _never_drawn(rows: Iterable[Mapping[str, str]]) -> set[str]:
    """Return the tasks of a run that it never draws: they have no start."""
    return {row["task"] for row in rows if row["task"] and row.get("start") == ""}


def _brief(value: str, kind: str) -> str:
    """Return a number of a curve in few digits.

    >>> _brief("0.02345", "float32"), _brief("1.0234567", "float32"), _brief("1234", "int32")
    ('0.0234', '1.0234567', '1234')
    """
    if not kind.startswith("float") or len(_ZEROS.sub("", value)) > EXACT:
        return value
    return f"{float(value):.{DIGITS}g}"
