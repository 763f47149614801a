"""A wheel, installed where there is no repository: its commands, presets, claims and types."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SOURCES = ("plateaus", "experiments", "pyproject.toml", "setup.py", "README.md", "LICENSE")
OURS = {  # nothing of a user's pip, and no network
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PYTHONPATH": "",
}

pytestmark = pytest.mark.thorough


def done(*words, cwd, code=0):
    """Run a command; return its output."""
    end = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **OURS},
    )
    assert end.returncode == code, end.stdout + end.stderr
    return end.stdout if code == 0 else end.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An empty folder, in whose `venv` the wheel is installed; other packages are this Python's."""
    pytest.importorskip("setuptools", minversion="77")
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    source.mkdir()
    for name in SOURCES:  # a build leaves files in its folder
        leave = shutil.ignore_patterns("__pycache__", "*.egg-info", "before")
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name, **({"ignore": leave} if copy is shutil.copytree else {}))
    pip = [sys.executable, "-m", "pip", "--quiet"]
    done(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", place, source, cwd=place)
    shutil.rmtree(source)
    done(sys.executable, "-m", "venv", "--without-pip", place / "venv", cwd=place)
    python = place / "venv" / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(done(python, "-c", code, cwd=place).strip())
    others = [sysconfig.get_path("purelib"), *(p for p in sys.path if p.endswith("site-packages"))]
    (site / "others.pth").write_text("\n".join(dict.fromkeys(others)) + "\n", encoding="utf-8")
    (wheel,) = place.glob("*.whl")
    done(*pip, "--python", python, "install", "--no-deps", "--force-reinstall", wheel, cwd=place)
    empty = place / "empty"
    empty.mkdir()
    return empty


def plateaus(place, *words, code=0):
    return done(place.parent / "venv" / "bin" / "plateaus", *words, cwd=place, code=code)


def test_presets_and_claims_come_with_the_wheel(place):
    code = "import plateaus; print(plateaus.__file__)"
    file = done(place.parent / "venv" / "bin" / "python", "-c", code, cwd=place)
    assert file.startswith(str(place.parent / "venv"))
    listed = plateaus(place, "list")
    for path in (ROOT / "experiments" / "configs").glob("*.py"):
        assert f"configs/{path.name}\n" in listed
    claims = plateaus(place, "claim", "--list").splitlines()
    assert len(claims) >= len(list((ROOT / "experiments" / "claims").glob("*/*.toml")))
    assert any(" supported " in line for line in claims)  # by the kept runs
    assert not list(place.iterdir())


def test_a_claim_to_be_decided_is_copied_to_where_one_may_write(place):
    out = plateaus(place, "claim", "--claim=1.17", "--budget=1s")
    assert "were copied: runs/claims/experiments" in out
    claims = place / "runs" / "claims" / "experiments" / "claims"
    assert (claims / "paper1" / "parity_zipf.toml").is_file()
    shutil.rmtree(place / "runs")


def test_the_fields_of_a_preset_are_read_from_the_wheel(place):
    out = plateaus(place, "run", "--config=configs/sparse_parity.py", "--fields", "data.zipf_e")
    assert out.startswith("data.zipf_exponent = 0.0   (swept: ")


def test_a_package_of_somebody_elses_is_checked_by_types(place):
    pytest.importorskip("mypy")
    shutil.copy(HERE / "majority.py", place)
    python = place.parent / "venv" / "bin" / "python"
    words = ["--strict", "--python-executable", python, "--cache-dir", place / "cache"]
    out = done(sys.executable, "-m", "mypy", *words, "majority.py", cwd=place)
    assert out == "Success: no issues found in 1 source file\n"
    wrong = (place / "majority.py").read_text(encoding="utf-8")
    wrong = wrong.replace('uninformed="zero"', "uninformed=0").replace("size=2**31 - 2,", "")
    (place / "wrong.py").write_text(wrong, encoding="utf-8")
    end = subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, words), "wrong.py"],
        cwd=place, capture_output=True, encoding="utf-8", env={**os.environ, **OURS},
    )  # fmt: skip
    assert 'Missing positional argument "size"' in end.stdout and '"uninformed"' in end.stdout
