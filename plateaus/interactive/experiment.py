"""An experiment: a preset and what is changed of it, checked at once, run as the command does."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plateaus.config import pairs
from plateaus.config.plan import Options, Plan
from plateaus.interactive import display, notebook, planning
from plateaus.interactive.planning import Asked, Fields
from plateaus.interactive.refusals import Refused, refusals
from plateaus.interactive.result import Result


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Experiment:
    """What to run: a preset, its settings and seeds. It is never changed; methods return others.

    Fields are named as in a config, `{"optim.learning_rate": 1e-3}`, or as keywords with an
    underscore for the dot, `optim_learning_rate=1e-3`. What does not fit is refused at once, by a
    `Refused` whose every line names a field, its value and what is allowed.

    Args:
      name: as `load` was given it.
      plan: of all runs, checked.
      notes: on how it was read.
    """

    name: str
    plan: Plan
    notes: tuple[str, ...]
    _asked: Asked

    @property
    def title(self) -> str:
        """The claim of the preset."""
        return self.plan.title

    @property
    def config(self) -> dict[str, Any]:
        """The value of every field, by dotted name; those that are swept at their base value."""
        return dict(self.plan.config)

    @property
    def command(self) -> str:
        """The options of `experiments/run.py` that run the same."""
        return shlex.join(planning.words(self.name, self._asked))

    def replace(self, fields: Fields | None = None, /, **more: Any) -> Experiment:
        """Return the experiment with other values of fields, as `--config.FIELD=VALUE` sets them.

        Raises Refused for a field that is not there, is swept by `sweep`, or a bad value.
        """
        given = planning.named({**(fields or {}), **more}, self.plan.schema)
        swept = {part for name in self._asked.sweep for part in pairs.fields(name)}
        if both := [name for name in given if name in swept]:
            raise Refused(*(f"{name}: is swept, too; keep one" for name in both))
        return self._changed(overrides={**self._asked.overrides, **given})

    def sweep(self, fields: Mapping[Any, Any] | None = None, /, **more: Any) -> Experiment:
        """Return the experiment with other swept fields, instead of all that were swept before.

        Each has a list of values or a text as after `--sweep`: `"1e-4:1e-2:5log"`. A tuple of
        fields changes together, with a tuple for each setting. `variant=[...]` chooses among the
        preset's variants. Without any, it is the preset's own sweep.

        Raises Refused for a field that is not there or cannot be swept, and for bad values.
        """
        named = planning.named({**(fields or {}), **more}, self.plan.schema)
        with refusals():
            swept = {name: planning.listed(name, values) for name, values in named.items()}
        alone = {part for name in swept for part in pairs.fields(name)}
        kept = {name: v for name, v in self._asked.overrides.items() if name not in alone}
        return self._changed(overrides=kept, sweep=swept)

    def scale(self, scale: str) -> Experiment:
        """Return the experiment at the sizes of a laptop ("small"), one GPU ("medium"), "paper"."""
        return self._changed(scale=scale)

    def smoke(self) -> Experiment:
        """Return the experiment shrunk to about half a minute."""
        return self._changed(smoke=True)

    def seeds(self, seeds: int | str | Iterable[int]) -> Experiment:
        """Return the experiment with other seeds: the first so many, "5:9", or exactly those."""
        return self._changed(seeds=planning.seeds(seeds))

    def run(
        self,
        seeds: int | str | Iterable[int] | None = None,
        progress: bool = True,
        folder: str | Path | None = None,
        *,
        keep: str | Sequence[str] = (),
        stop_when: str | None = None,
        runs_per_batch: int | None = None,
        fail_fast: bool = False,
        allow_inexact_resume: bool = False,
    ) -> Result:
        """Train all runs that are missing in the folder, as the command does, and open it.

        The folder and the bits are those of the command: what one has finished the other finds.
        An interrupt (Ctrl-C, the stop button) saves first, and the same call goes on from there.

        Args:
          seeds: as in `seeds`; those of the experiment by default.
          progress: whether to show how far it is: a figure in a notebook, else lines.
          folder: of the results; by default the command's, `runs/...` under the current folder.
          keep, stop_when, runs_per_batch, fail_fast, allow_inexact_resume: as the options of the
            command; `keep` may be "state", "weights=100,1000", or both in a list.

        Raises:
          Refused: before anything is written.
          KeyboardInterrupt: once all is saved.
          RuntimeError: a device failed, or a run diverged under `fail_fast`.
        """
        experiment = self if seeds is None else self.seeds(seeds)
        plan = experiment.plan
        words = [f"--workdir={folder}"] * (folder is not None)
        words += [f"--keep={one}" for one in ([keep] if isinstance(keep, str) else keep)]
        words += [f"--stop-when={stop_when}"] * (stop_when is not None)
        words += [f"--runs-per-batch={runs_per_batch}"] * (runs_per_batch is not None)
        words += ["--fail-fast"] * fail_fast + ["--allow-inexact-resume"] * allow_inexact_resume
        from plateaus.jobs import identities, run

        quiet = contextlib.nullcontext() if progress else contextlib.redirect_stdout(io.StringIO())
        with refusals():
            given = planning.parsed(words).options
            options = Options(
                workdir=given.workdir,
                fail_fast=given.fail_fast,
                runs_per_batch=given.runs_per_batch,
                allow_inexact_resume=given.allow_inexact_resume,
                stop_when=given.stop_when,
                keep=given.keep,
                command=" ".join([experiment.command, shlex.join(words)]).strip(),
                progress=notebook.shown(progress),
                tables=False,
            )
            with quiet:
                code = run.execute(plan, options)
            place = identities.locate(plan, options.workdir, lambda line: None)
        if code > 128:
            raise KeyboardInterrupt(f"saved; the same call goes on from here: {place}")
        if code:
            raise RuntimeError(f"stopped, as said above; finished runs are kept in {place}")
        return Result.of(place)

    def _changed(self, **changes: Any) -> Experiment:
        return _made(self.name, self._asked._replace(**changes))

    def _facts(self) -> dict[str, str]:
        facts = display.facts(self.plan, self._asked.overrides)
        return facts | {"notes": "; ".join(self.notes), "command": f"plateaus run {self.command}"}

    def __repr__(self) -> str:
        """Return the plan in words: settings, seeds, cost, folder, what is changed."""
        return display.text(f"{self.plan.name}: {self.title}", self._facts())

    def _repr_html_(self) -> str:
        return display.html(f"{self.plan.name}: {self.title}", self._facts())


def load(name: str | os.PathLike[str]) -> Experiment:
    """Return a preset as an experiment: "FILE:PRESET", as `--config` takes it, or a run folder.

    The file is looked up as the command does, and under `configs/` of these places, too; without
    a preset it is the file's first.

    Raises Refused where there is no such file or preset, with the nearest there is.
    """
    with refusals():
        name, path, preset = planning.found(os.fspath(name))
    whole = str(path.resolve()) if preset is None else f"{path.resolve()}:{preset}"
    return _made(name, Asked(whole))


def _made(name: str, asked: Asked) -> Experiment:
    with refusals():
        plan, notes = planning.planned(asked)
    return Experiment(name, plan, notes, asked)
