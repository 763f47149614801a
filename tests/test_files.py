"""Atomic writes under failure, and the lock under every way of letting go."""

import errno
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from plateaus import files
from plateaus.report import style


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def python(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def test_bytes_and_functions_replace_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    files.write_atomically(path, b"old")
    assert path.read_bytes() == b"old"

    def fill(file):  # seeks and reads back, as a zip or HDF5 writer does
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("inside", "new")
        file.seek(0)
        assert zipfile.ZipFile(file).read("inside") == b"new"

    files.write_atomically(str(path), fill)
    assert zipfile.ZipFile(io.BytesIO(path.read_bytes())).read("inside") == b"new"
    assert names(tmp_path) == ["a.bin"]


def test_a_reader_by_name_may_fill_it_too(tmp_path):
    def fill(file):
        with open(file.name, "wb") as other:
            other.write(b"by name")
        os.replace(file.name, file.name + "2")  # a library's own way of writing aside
        os.replace(file.name + "2", file.name)

    files.write_atomically(tmp_path / "a", fill)
    assert (tmp_path / "a").read_bytes() == b"by name"


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_permissions_are_those_that_the_user_gives_to_new_files(tmp_path, umask):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    files.write_atomically(tmp_path / "ours", b"")
    style.save(Figure(), tmp_path, "figure")
    with files.lock(tmp_path), files.new_folder(tmp_path / "ours.d") as draft:
        (draft / "a").touch()
    modes = {name: (tmp_path / name).stat().st_mode for name in names(tmp_path)}
    assert modes.pop("ours.d") == modes.pop("folder")
    assert set(modes.values()) == {modes["file"]} and len(modes) == 5


def test_a_folder_that_fails_midway_does_not_appear(tmp_path):
    with pytest.raises(ZeroDivisionError), files.new_folder(tmp_path / "new" / "a") as draft:
        (draft / "b").touch()
        raise ZeroDivisionError
    assert names(tmp_path / "new") == []


def test_of_two_new_folders_the_first_stays(tmp_path):
    with files.new_folder(tmp_path / "a") as late:
        (late / "late").touch()
        with files.new_folder(tmp_path / "a") as first:
            (first / "first").touch()
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["first"]


def test_a_new_folder_that_cannot_take_its_place_is_an_error(tmp_path):
    with pytest.raises(OSError), files.new_folder(tmp_path / "a"):  # by system
        (tmp_path / "a").touch()
    assert names(tmp_path) == ["a"]


def test_a_folder_is_replaced_or_stays(tmp_path, monkeypatch):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    with pytest.raises(FileNotFoundError):
        files.replace_folder(tmp_path / "missing", tmp_path / "old")
    assert names(tmp_path / "old") == ["old"]
    files.replace_folder(tmp_path / "new", tmp_path / "old")
    assert names(tmp_path) == ["old"] and names(tmp_path / "old") == ["new"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")
@pytest.mark.parametrize("home", ["", None, "/there"])
def test_the_users_cache_is_in_the_users_home(tmp_path, monkeypatch, home):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", home)
    assert files.cache() == Path(home or tmp_path / ".cache") / "plateaus"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError()]
)
def test_a_failure_midway_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fill(file):
        file.write(b"half of the new")
        file.flush()
        raise error

    with pytest.raises(type(error)):
        files.write_atomically(path, fill)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_where_nothing_can_be_made_durable_files_are_written_all_the_same(
    number, tmp_path, monkeypatch
):
    def fail(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", fail)
    files.write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and names(tmp_path) == ["a"]


def test_a_write_that_fails_names_the_file(tmp_path, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/a'$"):
        files.write_atomically(tmp_path / "a", full)
    monkeypatch.setattr(files.os, "replace", lambda old, new: os.rename(old, new / "none"))
    with pytest.raises(OSError) as failure:
        files.write_atomically(tmp_path / "b", b"")
    assert failure.value.filename == str(tmp_path / "b")


def test_the_cache_of_a_user_without_a_home_is_below_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        files.platformdirs, "user_cache_path", lambda *_, **__: Path("~/.cache/plateaus")
    )
    assert files.cache() == tmp_path / ".cache" / "plateaus"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_system_call_leaves_the_old_file(tmp_path, monkeypatch, call):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a"]


def test_content_is_durable_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    calls = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor):
        target = os.readlink(f"/proc/self/fd/{descriptor}")
        calls.append("folder" if target == str(tmp_path) else "file")
        if calls[-1] == "file":
            assert os.fstat(descriptor).st_size == 3  # flushed out of Python's own buffer
        real_fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(
        files.os, "replace", lambda a, b: (calls.append("rename"), real_replace(a, b))
    )
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    files.write_atomically(tmp_path / "a", b"new")
    assert calls == ["file", "rename", "folder"]


def test_a_disk_that_is_really_full_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys; from plateaus.files import write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try: write_atomically(sys.argv[1], b'x' * 100_000)\n"
        "except OSError as error: print(type(error).__name__)"
    )
    process = python(code, path)
    assert process.communicate()[0].strip() == "OSError"
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a"]


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    code = (
        "import os, sys; from plateaus.files import write_atomically\n"
        "write_atomically(sys.argv[1], lambda file: os.kill(os.getpid(), 9))"
    )
    python(code, tmp_path / "a").communicate()
    (tmp_path / ".hidden").touch()
    (tmp_path / "results.partial").touch()
    folder = files.beside(tmp_path / "folder")
    (folder / "inside").mkdir(parents=True)
    assert len(names(tmp_path)) == 4
    assert files.remove_leftovers(tmp_path, "b") == 0
    assert files.remove_leftovers(tmp_path, "a.") == 1 and folder.exists()
    assert files.remove_leftovers(tmp_path) == 1
    assert names(tmp_path) == [".hidden", "results.partial"]


def test_sha256_is_hashlib_s(tmp_path):
    content = bytes(range(256)) * 1000
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


HOLD = (
    "import sys; from plateaus.files import lock\n"
    "with lock(sys.argv[1]):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()"
)


def test_lock_excludes_this_process_and_lets_go(tmp_path):
    folder = tmp_path / "new" / "folder"
    with files.lock(folder):
        with pytest.raises(files.FolderBusy, match=str(os.getpid())), files.lock(folder):
            pass
        # The refused attempt must not have let go of the first one's lock.
        with pytest.raises(files.FolderBusy), files.lock(folder):
            pass
    with pytest.raises(ZeroDivisionError), files.lock(folder):
        raise ZeroDivisionError
    with files.lock(folder):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, 524])
@pytest.mark.parametrize("there", [[], ["a"], ["a", "a/b"]], ids=len)
def test_a_file_system_without_locks_is_named_and_nothing_is_left(
    number, there, tmp_path, monkeypatch
):
    fcntl = pytest.importorskip("fcntl")

    def flock(_, operation):
        if operation & fcntl.LOCK_EX:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    for name in there:
        (tmp_path / name).mkdir()
    with pytest.raises(OSError) as failure, files.lock(tmp_path / "a" / "b"):
        pass
    cause = f"its file system cannot lock a file ({os.strerror(number)})"
    assert (failure.value.errno, failure.value.strerror) == (number, cause)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == there


def test_a_folder_that_cannot_be_made_leaves_none_above_it(tmp_path):
    with pytest.raises(OSError, match="too long"), files.lock(tmp_path / "a" / "b" / ("c" * 300)):
        pass
    assert names(tmp_path) == []


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path):
    holder = python(HOLD, tmp_path, stdin=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(files.FolderBusy) as refusal, files.lock(tmp_path):
            pass
        message = str(refusal.value)
        assert f"process {holder.pid} on {os.uname().nodename}" in message
        assert "\n" not in message and str(tmp_path) in message
    finally:
        holder.kill()
        holder.communicate()
    with files.lock(tmp_path):
        pass


def test_a_shorter_label_replaces_a_longer_one(tmp_path):
    (tmp_path / ".lock").write_text("process 1234567890123 on " + "a" * 300 + "\n")
    with files.lock(tmp_path):
        label = (tmp_path / ".lock").read_text()
    assert label == f"process {os.getpid()} on {os.uname().nodename}\n"


def test_a_forked_child_does_not_keep_the_folder(tmp_path):
    code = (
        "import os, sys; from plateaus.files import lock\n"
        "with lock(sys.argv[1]):\n"
        "    child = os.fork()\n"
        "    if not child: os.close(1); sys.stdin.read(); os._exit(0)\n"
        "with lock(sys.argv[1]): print('again', flush=True)\n"
        "sys.stdin.close(); os.waitpid(child, 0)"
    )
    process = python(code, tmp_path, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout.readline() == "again\n"
    finally:
        process.communicate()
