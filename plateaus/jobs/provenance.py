"""The origin of results: the commit and the state of the code, versions, the machine."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from plateaus.information import Unknown, informative, text_or_reason

PACKAGES = (
    *("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "xarray"),
    *("h5netcdf", "matplotlib", "plateaus"),
)
PACKAGE = Path(__file__).resolve().parents[1]


def origin(packages: Iterable[str] = PACKAGES) -> dict[str, Any]:
    """Return facts about the code and the machine; an unknown one is replaced by the reason.

    A digest of the package's files identifies the code where there is no commit.
    """
    code = _code(PACKAGE)
    return {
        **(_unknown(code.reason) if isinstance(code, Unknown) else code),
        "source": text_or_reason(lambda: source(PACKAGE)),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in packages},
        },
        "machine": text_or_reason(platform.platform),
    }


@functools.cache
def of_process() -> dict[str, Any]:
    """Return the origin as it was when this process first asked, which is before it trains.

    Files that change later, by a pull while runs are under way, are not the code that runs.
    """
    return origin()


def _version(name: str) -> str:
    return text_or_reason(functools.partial(metadata.version, name))


def source(package: Path) -> str:
    """Return a digest of the Python files of a package, which changes with any of them.

    The presets that a wheel holds are left out: a repository has them elsewhere.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        if path.is_relative_to(package / "experiments"):
            continue
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@informative
def _code(package: Path) -> dict[str, Any]:
    """Return the commit of a package's files, and whether they differ from it.

    The repository must track the package's files; one that merely contains the virtual environment
    does not count. An installation from a repository names its commit, and whether its files were
    changed since is unknown.
    """
    try:
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
    except (OSError, subprocess.SubprocessError) as error:
        if (commit := _installed_from(package)) is not None:
            return {"commit": commit, "dirty": None}
        message = getattr(error, "stderr", "") or str(error)
        return _unknown(f"not kept in a repository: {message.strip().splitlines()[0]}")
    changes = _git(package, "status", "--porcelain", "--untracked-files=all", "--", "*.py")
    return {"commit": _git(package, "rev-parse", "HEAD"), "dirty": bool(changes)}


def _git(package: Path, *words: str) -> str:
    """Run git in the folder, without GIT_DIR and its kin, which a hook sets to another place."""
    done = subprocess.run(
        ["git", *words],
        cwd=package,
        env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        capture_output=True,
        encoding="utf-8",
        errors="replace",  # names of files may be no text
        timeout=10,
        check=True,
    )
    return done.stdout.strip()


def _installed_from(package: Path) -> str | None:
    """Return the commit from which pip installed these files; None if it installed no commit."""
    try:
        installed = metadata.distribution("plateaus")
    except metadata.PackageNotFoundError:
        return None
    start = Path(str(installed.locate_file("plateaus/__init__.py")))
    if start.resolve().parent != package.resolve():
        return None  # those files are another copy's
    record = installed.read_text("direct_url.json")
    return json.loads(record or "{}").get("vcs_info", {}).get("commit_id")


def _unknown(reason: str) -> dict[str, Any]:
    return {"commit": None, "dirty": None, "commit_unknown": reason}
