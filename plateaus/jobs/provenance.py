"""Where results come from: the package's own code and its state, versions, the machine."""

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

from plateaus.information import Unknown, informative, told

PACKAGES = (
    *("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "xarray"),
    *("h5netcdf", "matplotlib", "plateaus"),
)
PACKAGE = Path(__file__).resolve().parents[1]


def origin(packages: Iterable[str] = PACKAGES) -> dict[str, Any]:
    """Return what is known of the code and the machine; what is not says why.

    A digest of the package's own files stands for the code where no commit does.
    """
    code = _code(PACKAGE)
    return {
        **(_unknown(code.reason) if isinstance(code, Unknown) else code),
        "source": told(lambda: source(PACKAGE)),
        "versions": {
            "python": platform.python_version(),
            **{name: told(functools.partial(metadata.version, name)) for name in packages},
        },
        "machine": told(platform.platform),
    }


def source(package: Path) -> str:
    """Return a digest of the Python files of a package: it changes with any of them."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@informative
def _code(package: Path) -> dict[str, Any]:
    """Return the commit that a package is of and whether its files differ from it.

    Only a repository that keeps the package's files speaks for them, not one that a virtual
    environment happens to lie in; an installation from a repository names its commit, and nobody
    has looked whether its files were changed since.
    """
    try:
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
    except (OSError, subprocess.SubprocessError) as error:
        if (commit := _installed_from(package)) is not None:
            return {"commit": commit, "dirty": None}
        said = getattr(error, "stderr", "") or str(error)
        return _unknown(f"not kept in a repository: {said.strip().splitlines()[0]}")
    changes = _git(package, "status", "--porcelain", "--untracked-files=all", "--", "*.py")
    return {"commit": _git(package, "rev-parse", "HEAD"), "dirty": bool(changes)}


def _git(package: Path, *words: str) -> str:
    """Ask git of the folder alone: GIT_DIR and its kin, as a hook has them, name another place."""
    done = subprocess.run(
        ["git", *words],
        cwd=package,
        env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.strip()


def _installed_from(package: Path) -> str | None:
    """Return the commit that pip installed these very files from, if it did from a repository."""
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
