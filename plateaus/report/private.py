"""What a record may say of the machine that it was made on: versions and devices, no paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Of a session; the machine's name for itself and its memory are nobody's business.
TOLD = (
    *("command", "runs", "finished", "wall_seconds", "exactness", "devices"),
    *("commit", "dirty", "source", "versions"),
)
_PATH = re.compile(
    r"(?<![\w./)\]}*-])(?:~|(?:file:)?/|[A-Za-z]:(?:\\|/(?!/)))[^\s\"'`,;:|<>=]*[\w-][^\s\"'`,;:|<>=]*"
)
_WORKDIR = re.compile(r"\s--(?:workdir|merge)(?:[= ](?:'[^']*'|\"[^\"]*\"|\S+))")


def paths(text: str) -> list[str]:
    """Return the absolute paths in a text.

    >>> paths("run.py --workdir /home/me/a b/c 1/step and/or ~/data C:\\\\me\\\\x")
    ['/home/me/a', '~/data', 'C:\\\\me\\\\x']
    """
    return [found[0] for found in _PATH.finditer(text)]


def session(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of a session: without where its files lay.

    >>> session({"command": "python /me/experiments/run.py --seeds 3 --workdir '/me/a b'",
    ...          "machine": "mine", "dirty": False})
    {'command': 'python experiments/run.py --seeds 3', 'dirty': False}
    """
    return {name: _cleaned(session[name]) for name in TOLD if name in session}


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _PATH.sub(_inside, _WORKDIR.sub("", value))
    if isinstance(value, Mapping):
        return {_cleaned(name): _cleaned(one) for name, one in value.items()}
    return [_cleaned(one) for one in value] if isinstance(value, list | tuple) else value


def _inside(found: re.Match[str]) -> str:
    """Return the part of a path that is inside the repository, else that there was one."""
    path = found[0].replace("\\", "/")
    place = path.rfind("experiments/")
    return path[place:] if place >= 0 else "PATH"
