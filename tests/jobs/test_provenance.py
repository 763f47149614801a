"""Whose code made the results: the package's own commit, or that it cannot be said."""

import json
import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from plateaus.jobs import provenance

PACKAGE = provenance.PACKAGE


def git(folder, *words):
    names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env={**os.environ, **dict.fromkeys(names, "somebody")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """Somebody's repository, with a commit of their own."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "thesis.tex").write_text("theirs")
    git(tmp_path, "add", "thesis.tex")
    git(tmp_path, "commit", "--quiet", "-m", "theirs")
    return tmp_path


def package(folder):
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Here."""\n')
    return folder


def test_a_package_in_somebody_s_virtual_environment_is_not_of_their_commit(
    repository, monkeypatch
):
    monkeypatch.setattr(provenance, "_installed_from", lambda package: None)
    found = provenance._code(package(repository / ".venv" / "lib" / "plateaus"))
    assert found["commit"] is None and found["dirty"] is None
    assert found["commit_unknown"].startswith("not kept in a repository: ")


def test_a_package_in_no_repository_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_installed_from", lambda package: None)
    found = provenance._code(package(tmp_path / "plateaus"))
    assert found["commit"] is None and "\n" not in found["commit_unknown"]


def test_a_package_that_pip_took_from_a_repository_names_its_commit(tmp_path, monkeypatch):
    """But not a copy of it elsewhere, which runs while that one is installed."""
    installed = package(tmp_path / "site-packages" / "plateaus")
    place = installed.parent / "plateaus-1.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: plateaus\nVersion: 1\n")
    (place / "direct_url.json").write_text(json.dumps({"vcs_info": {"commit_id": "abc123"}}))
    there = metadata.PathDistribution(place)
    monkeypatch.setattr(metadata, "distribution", lambda name: there)
    assert provenance._code(installed) == {"commit": "abc123", "dirty": None}
    found = provenance._code(package(tmp_path / "copy" / "plateaus"))
    assert found["commit"] is None and "not kept in a repository" in found["commit_unknown"]


def test_the_environment_of_a_hook_names_no_other_repository(repository, tmp_path, monkeypatch):
    """Git sets GIT_DIR and GIT_WORK_TREE in a hook of a repository that is somebody else's."""
    kept = package(tmp_path / "ours" / "plateaus")
    git(kept.parent, "init", "--quiet")
    git(kept.parent, "add", "plateaus")
    git(kept.parent, "commit", "--quiet", "-m", "ours")
    commit = git(kept.parent, "rev-parse", "HEAD")
    package(repository / "plateaus")
    git(repository, "add", "plateaus/__init__.py")
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(kept.parent))
    assert provenance._code(kept) == {"commit": commit, "dirty": False}


def test_a_package_that_is_kept_is_of_that_commit_and_dirty_when_it_differs(repository):
    kept = package(repository / "plateaus")
    git(repository, "add", "plateaus")
    git(repository, "commit", "--quiet", "-m", "kept")
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "thesis.tex").write_text("another chapter")  # not of the package
    assert provenance._code(kept) == {"commit": commit, "dirty": False}
    (kept / "task.py").write_text("new = 1\n")  # a file of the package that is not kept yet
    assert provenance._code(kept) == {"commit": commit, "dirty": True}
    (kept / "task.py").unlink()
    (kept / "__init__.py").write_text("changed = 1\n")
    assert provenance._code(kept)["dirty"]


def test_without_git_the_source_still_speaks(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_installed_from", lambda package: None)
    monkeypatch.setenv("PATH", str(tmp_path))  # no git to be found
    found = provenance.origin()
    assert found["commit"] is None and "git" in found["commit_unknown"]
    assert len(found["source"]) == 16 and found["versions"]["jax"]


def test_the_digest_of_the_source_changes_with_any_file(tmp_path):
    copy = tmp_path / "plateaus"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert provenance.source(copy) == provenance.source(PACKAGE)
    path = copy / "data" / "zipf_law.py"
    path.write_text(path.read_text() + "\n")
    changed = provenance.source(copy)
    assert changed != provenance.source(PACKAGE)
    path.rename(path.with_name("zipf2.py"))
    assert provenance.source(copy) not in (changed, provenance.source(PACKAGE))


def test_a_package_that_is_not_installed_is_told_as_such():
    found = provenance.origin(["jax", "no-such-package"])
    assert "not known" in found["versions"]["no-such-package"]
    assert Path(PACKAGE, "__init__.py").exists()
