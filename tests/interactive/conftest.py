"""One tiny experiment, run from Python and by the command, for all tests of this folder."""

import contextlib
import shlex
import sys
from types import SimpleNamespace

import pytest

import plateaus
from plateaus.interactive import notebook as live
from plateaus.jobs import cli

TINY = {
    "task.dimension": 8,
    "task.relevant_bits": 2,
    "task.dataset_size": 1000,
    "model.width": 8,
    "batch": 8,
    "steps": 400,
    "eval_every": 50,
    "log_every": 50,
    "eval_points": 64,
}


@pytest.fixture(scope="session")
def tiny():
    return plateaus.load("sparse_parity.py:zipf").replace(TINY).sweep(data_zipf_exponent=[1.5, 0])


class Display:
    """IPython's side of a notebook: it keeps what it is told to show."""

    def __init__(self):
        self.shown = []

    def __call__(self, image, display_id):
        self.shown.append(image)
        return SimpleNamespace(update=self.shown.append)


@contextlib.contextmanager
def notebook():
    """A notebook, as far as the package asks for one; yields the pictures that it shows."""
    display = Display()
    module = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=True),
        display=SimpleNamespace(display=display, Image=lambda data: data),
        version_info=(9, 0),  # Matplotlib asks
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "IPython", module)
        patch.setitem(sys.modules, "IPython.display", module.display)
        yield display.shown


@pytest.fixture(scope="session")
def made(tiny, tmp_path_factory):
    """The results from Python, in the folder of the default name, and the pictures meanwhile."""
    here, drawn = tmp_path_factory.mktemp("here"), []
    real = live.losses_so_far
    with contextlib.chdir(here), notebook() as pictures, pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "losses_so_far", lambda *a: drawn.append(a) or real(*a))
        result = tiny.run(seeds=2)
        assert cli.main(shlex.split(f"{tiny.seeds(2).command}")) == 0  # finds it, trains nothing
        again = tiny.run(seeds=2, progress=False)
        result.folder = here / result.folder
    assert again.folder == result.folder.relative_to(here)
    return SimpleNamespace(result=result, pictures=pictures, drawn=drawn, here=here)


@pytest.fixture(scope="session")
def commanded(tiny, tmp_path_factory):
    """The folder of the same by the command."""
    folder = tmp_path_factory.mktemp("commanded") / "run"
    words = ["--config=configs/sparse_parity.py:zipf", "--sweep=data.zipf_exponent=1.5,0"]
    words += [f"--config.{name}={value}" for name, value in TINY.items()]
    assert cli.main([*words, "--seeds=2", f"--workdir={folder}"]) == 0
    return folder
