"""Carrying out a plan of `real_models`: from prompts to scores, measures, files and a figure."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from plateaus import files
from plateaus.config.schema import ConfigError
from plateaus.jobs import provenance
from plateaus.real_models import hugging_face, report
from plateaus.real_models import scores as hugging_face_scores
from plateaus.real_models.arguments import Plan
from plateaus.real_models.prompts import prompts
from plateaus.real_models.text_sets import TextPrompt
from plateaus.report import style
from plateaus.report.table import as_csv

PACKAGES = ("plateaus", "torch", "transformers", "tokenizers", "jax", "numpy")
STEM = "superposition"  # of the files
WIDTH = 100  # of the table
BACK = 5  # examples before the query whose influence is measured
ROOM = 1  # tokens by which another output may be longer than the longest answer


def execute(made: Plan, command: str) -> int:
    """Carry out a plan and return the exit code 0.

    Raises ConfigError, before any pass, for an unusable folder or tokenizer or a context too short.
    """
    began = time.monotonic()
    written = {name: prompts(made, shares) for name, shares in made.shares.items()}
    with _refusing(ValueError):
        encoded, tokens = _encoded(made, written)
    with contextlib.ExitStack() as held:
        with _refusing(files.FolderBusy, OSError):
            held.enter_context(files.lock(made.workdir))
        files.remove_leftovers(made.workdir)
        with _refusing(ValueError):
            model = hugging_face.weights(made.folder, made.dtype)
        mixtures: list[report.Mixture] = []
        arrays: dict[str, NDArray[Any]] = {}
        with _progress(len(made.shares) * made.prompts) as (advance, say):
            for name, questions in encoded.items():
                log_p, outputs = _scored(made, model, questions, tokens, advance)
                order = np.stack([prompt.order for prompt in written[name]])
                mixtures.append(report.Mixture(name, log_p, measures(log_p, order, outputs)))
                arrays |= {
                    f"{name}/log_p": log_p,
                    f"{name}/order": order,
                    f"{name}/outputs": outputs,
                }
                say(f"shares {name}: done after {time.monotonic() - began:.1f} s")
        _write(made, mixtures, arrays, command, time.monotonic() - began)
    Console(width=WIDTH).print(report.table(made.tasks, mixtures))
    print(f"{made.workdir}: {STEM}.csv, .npz, .json, .png, .svg")
    return 0


@contextlib.contextmanager
def _refusing(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors that the user's input causes into ConfigError."""
    try:
        yield
    except kinds as error:
        raise ConfigError(str(error)) from None


def _encoded(
    made: Plan, written: Mapping[str, Sequence[TextPrompt]]
) -> tuple[dict[str, list[hugging_face.Question]], int]:
    """Return the questions of each mixture in tokens, and the most tokens of an output."""
    text = hugging_face.reader(made.folder)
    encoded = {
        name: [hugging_face.encode(text, prompt.text, prompt.answers) for prompt in mixture]
        for name, mixture in written.items()
    }
    questions = [question for mixture in encoded.values() for question in mixture]
    if len({question.end for question in questions}) > 1:
        raise ValueError("the tokenizer has several tokens for the newline after an answer")
    tokens = ROOM + max(len(answer) for question in questions for answer in question.answers)
    hugging_face.fits(text, questions, tokens)
    return encoded, tokens


def _scored(
    made: Plan, model: Any, questions: list[hugging_face.Question], tokens: int, advance: Callable
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log P of the answers [N, K] and of the most probable outputs [N, W], W = 2 K."""
    scored = []
    for first in range(0, len(questions), made.batch):
        batch = questions[first : first + made.batch]
        beams = 2 * len(made.tasks)
        scored.append(
            hugging_face_scores.scores(model, batch, beams=beams, tokens=tokens, batch=made.batch)
        )
        advance(len(batch))
    log_p, outputs = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    if not np.isfinite(log_p).all():
        raise ConfigError(f"{made.folder}: the model's probabilities are not finite numbers")
    return log_p, outputs


def measures(
    log_p: NDArray[np.float64], order: NDArray[np.int64], outputs: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Return the measures of `plateaus.measures.superposition.summary`, as numpy arrays."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # the accelerator is torch's
    import jax.numpy as jnp

    from plateaus.measures.superposition import summary as superposition

    arrays = jnp.asarray(log_p, jnp.float32), jnp.asarray(order, jnp.int32)
    back = min(BACK, order.shape[1])
    measured = superposition.summary(*arrays, jnp.asarray(outputs, jnp.float32), back)
    return {name: np.asarray(value) for name, value in measured.items()}


def _write(
    made: Plan,
    mixtures: list[report.Mixture],
    arrays: dict[str, NDArray[Any]],
    command: str,
    seconds: float,
) -> None:
    folder = made.workdir
    table = as_csv(report.records(made.tasks, mixtures))
    files.write_atomically(folder / f"{STEM}.csv", table.encode())
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)  # type: ignore[arg-type] # its keywords are names
    files.write_atomically(folder / f"{STEM}.npz", held.getvalue())
    figure = report.figure(made.tasks, mixtures, f"{made.folder.resolve().name}, {made.set}")
    style.save(figure, folder, STEM)
    files.write_json(folder / f"{STEM}.json", _provenance(made, command, seconds))


def _provenance(made: Plan, command: str, seconds: float) -> dict[str, Any]:
    """Return the command, the plan, the model and the versions that made the numbers."""
    fields = {k: str(v) if k in ("folder", "workdir") else v for k, v in made._asdict().items()}
    packages = [name for name in PACKAGES if importlib.util.find_spec(name)]
    config = made.folder / hugging_face.CONFIG
    kind = json.loads(config.read_bytes())["model_type"]
    return {
        "command": command,
        "plan": fields,
        "model": {"type": kind, "config_sha256": files.sha256(config)},
        "seconds": round(seconds, 1),
        **provenance.origin(packages),
    }


@contextlib.contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """Yield functions that advance a progress bar by some prompts, and that print a line."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    shown = (BarColumn(bar_width=10), MofNCompleteColumn(), "prompts", TimeRemainingColumn())
    with Progress(*shown, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=total)
        yield (lambda prompts: bar.advance(task, prompts)), console.print
