"""Whatever the file system cannot do: the cause is named, and nothing is left half-written."""

import ast
import dataclasses
import errno
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from plateaus import files
from plateaus.config import presets
from plateaus.jobs import cli
from plateaus.report import sinks, store
from plateaus.report.statistics import summarise

pytestmark = pytest.mark.versions

TINY = [
    *("--config=configs/sparse_parity.py", "--seeds=1", "--sweep", "data.zipf_exponent=0,1"),
    *("--config.steps=40", "--config.batch=4", "--config.eval_every=20", "--config.log_every=10"),
    *("--config.eval_points=16", "--config.task.dimension=4", "--config.task.relevant_bits=1"),
    *("--config.task.dataset_size=100", "--config.model.width=4"),
]


def command(place, *words):
    return cli.main([*TINY, *words, "--workdir", str(place)])


def everything(folder):
    """All paths below a folder, half-written and hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("whole") / "run"
    assert command(place) == 0
    return place


def alike(place, other):
    one, two = (store.load(folder / "results.nc") for folder in (place, other))
    return all(np.array_equal(one[n], two[n], equal_nan=True) for n in {*one, *two})


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, 524])
def test_no_locks(number, tmp_path, monkeypatch, capsys):
    fcntl = pytest.importorskip("fcntl")

    def flock(_, operation):
        if operation & fcntl.LOCK_EX:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert command(tmp_path / "a" / "b") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cannot lock a file" in said and os.strerror(number) in said
    assert everything(tmp_path) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EDQUOT, errno.ENOSPC])
def test_a_folder_that_cannot_be_made(number, tmp_path, monkeypatch, capsys):
    def fail(path, *_):
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", fail)
        assert command(tmp_path / "a" / "b") == 2
    said = capsys.readouterr().err
    assert said == f"error: --workdir {tmp_path / 'a' / 'b'}: {os.strerror(number)}\n"
    assert everything(tmp_path) == []


@pytest.mark.parametrize("name", ["a" * 300, "file", "file/below", "a\0b", "dangling"])
def test_names_that_no_folder_can_have(name, tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    assert command(f"{tmp_path}/{name}") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "must be a folder or a new name" in said
    assert everything(tmp_path) == ["dangling", "file"]


@pytest.mark.parametrize("name", ["a b", "λ: ü\nnew", "\udcff", "link", "~nobody-of-this-name"])
def test_names_that_folders_can_have(name, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert command(name) == 0 and alike(tmp_path / name, whole)
    assert command(name) == 0  # found again


CALLS = ["mkdir", "replace", "write", "fsync"]


class Disk:
    """System calls that fail from some call on, until it is mended."""

    def __init__(self, monkeypatch, call, number, works):
        self.works, self.failed = works, 0
        real = files.os.fsync if call == "write" else getattr(os, call)

        def bad(*arguments, **options):
            if self.works <= 0:
                self.failed += 1
                raise OSError(number, os.strerror(number))
            self.works -= 1
            return real(*arguments, **options)

        monkeypatch.setattr(os, "fsync" if call == "write" else call, bad)


def full_from(call, works, number, place, whole, capsys):
    """Run a command on a disk that is full from some call on, then on a mended one."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")  # pytest would keep them from where a user sees them
        disk = Disk(patch, call, number, works)
        code = command(place)
    said = capsys.readouterr().err + "".join(str(warning.message) for warning in heard)
    if disk.failed:
        assert code in (0, 1, 2) and os.strerror(number) in said and "Traceback" not in said
    left = everything(place.parent)
    assert not [name for name in left if name.endswith(".partial") and "tensorboard" not in name]
    if code and not (place / "config.json").exists():
        assert left == []
    assert command(place) == 0 and alike(place, whole)
    assert not [name for name in everything(place) if name.endswith(".partial")]
    return disk.failed


@pytest.mark.parametrize("works", [0, 4])
@pytest.mark.parametrize("call", ["mkdir", "replace", "fsync"])
@pytest.mark.filterwarnings("ignore:no TensorBoard files")
def test_a_full_disk(call, works, whole, tmp_path, capsys):
    full_from(call, works, errno.ENOSPC, tmp_path / "run", whole, capsys)


@pytest.mark.programs(200)
@pytest.mark.parametrize(
    "every",  # one call in so many: all of them are a job each
    [pytest.param(5, marks=pytest.mark.thorough), pytest.param(1, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    ("call", "number"),
    [("mkdir", errno.EDQUOT), ("replace", errno.EIO), ("fsync", errno.ENOSPC)],
)
@pytest.mark.filterwarnings("ignore:no TensorBoard files")
def test_a_disk_that_is_full_at_any_of_its_calls(call, number, every, whole, tmp_path, capsys):
    works, failed = 1, 1  # of none, above
    while failed:
        failed = full_from(call, works, number, tmp_path / f"{works}" / "run", whole, capsys)
        works += every
    assert works > 3 * every  # it failed twice at least


def test_a_disk_that_is_really_full(whole, tmp_path):
    """By the limit on the size of a file: results.nc is larger."""
    pytest.importorskip("resource")
    limit = f"ulimit -f {(whole / 'results.nc').stat().st_size // 1024 - 4} && "
    script = presets.REPOSITORY / "experiments" / "run.py"
    place = tmp_path / "run"
    words = [sys.executable, str(script), *TINY, "--workdir", str(place)]
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "0"}
    done = subprocess.run(
        ["bash", "-c", f'{limit}exec "$@"', "bash", *words],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1 and "File too large" in done.stderr, done.stderr
    assert "what is finished is kept" in done.stderr and "Traceback" not in done.stderr
    assert not [name for name in everything(place) if name.endswith(".partial")]
    assert command(place) == 0 and alike(place, whole)


def test_a_home_that_is_not_there_and_a_cache_that_is_no_folder(whole, tmp_path):
    (tmp_path / "file").touch()
    script = presets.REPOSITORY / "experiments" / "run.py"
    environment = {n: v for n, v in os.environ.items() if not n.startswith("JAX_COMPILATION")}
    for name, value in {"HOME": "/nowhere", "XDG_CACHE_HOME": str(tmp_path / "file")}.items():
        environment[name] = value
    done = subprocess.run(
        [sys.executable, str(script), *TINY, "--workdir=run"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert alike(tmp_path / "run", whole) and sorted(os.listdir(tmp_path)) == ["file", "run"]


def test_event_files_have_names_that_every_system_takes(whole, tmp_path):
    """Variants may be named by anything on one line."""
    dataset = store.load(whole / "results.nc")
    rows = [
        dataclasses.replace(row, setting={"variant": name})
        for row, name in zip(summarise(dataset), ("Adam: rate/2?", "ADAM: rate/2?"), strict=True)
    ]
    assert sinks.write_tensorboard(dataset, rows, tmp_path / "events")
    assert sorted(os.listdir(tmp_path / "events")) == [
        "variant=ADAM_ rate_2_-2",
        "variant=Adam_ rate_2_",
    ]


# Other systems, read from the source.

POSIX = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "spwd"}
POSIX_NAMES = {
    *("fork", "getuid", "geteuid", "getgid", "uname", "sched_getaffinity", "killpg", "setsid"),
    *("mkfifo", "chown", "statvfs", "getloadavg", "sysconf", "nice", "O_DIRECTORY", "O_NOFOLLOW"),
    *("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPIPE", "alarm", "pthread_kill"),
}
FILES = sorted((presets.REPOSITORY / "plateaus").rglob("*.py"))


def guarded(tree):
    """The nodes inside a `try` that takes an error of what a system lacks."""
    for node in ast.walk(tree):
        kinds = " ".join(ast.unparse(h.type) for h in getattr(node, "handlers", ()) if h.type)
        if isinstance(node, ast.Try) and ("AttributeError" in kinds or "ImportError" in kinds):
            for inner in node.body:
                yield from ast.walk(inner)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(presets.REPOSITORY)))
def test_nothing_is_used_that_only_posix_has(path):
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    free = set(guarded(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not POSIX & {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module not in POSIX
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("os", "signal"):
            assert node in free or node.attr not in POSIX_NAMES, f"line {node.lineno}"
