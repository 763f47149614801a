"""What tests of whole jobs share: figures are made, but drawn only where a test asks for it."""

import contextlib
from pathlib import Path

import pytest

from plateaus.experiment import results

SAVE = results.save_figure


def _not_drawn(figure, directory, stem):
    """Stand in for `style.save`, which takes most of the time of a small job."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{stem}.{suffix}" for suffix in ("png", "svg")]
    for path in paths:
        path.write_text("not drawn")
    return paths


@pytest.fixture(scope="session", autouse=True)
def _undrawn():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "save_figure", _not_drawn)
        yield


@pytest.fixture(scope="session")
def drawing():
    """A context in which figures are drawn as a user's are."""

    @contextlib.contextmanager
    def real():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(results, "save_figure", SAVE)
            yield

    return real
