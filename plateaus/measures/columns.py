"""The columns of every CSV table: what each means, in which unit; `tables_page` prints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Column(NamedTuple):
    """A column: its meaning and unit; `ends`: with `_low` and `_high`, the ends of its interval."""

    meaning: str
    units: str = ""
    ends: bool = False


def _interval(meaning: str, units: str = "") -> Column:
    return Column(meaning, units, ends=True)


_COMPARED = {
    "sooner": Column("share of the pairs in which it escapes first; a tie counts half", "0 to 1"),
    "pairs": Column("seeds on which the ratio rests", "seeds"),
    "pairs_censored": Column("seeds left out, as neither run escapes", "seeds"),
    "pair_ratios": Column("the ratio of each pair, in the order of the seeds, if too few for ends"),
}

_SUMMARY = {
    "runs": Column("runs that were started", "runs"),
    "escaped": Column("runs that left the plateau", "runs"),
    "diverged": Column("runs that diverged; they count as never escaped", "runs"),
    "unfinished": Column("runs that can go on", "runs"),
    "stopped_at_event": Column("runs that `--stop-when` ended", "runs"),
    "diverged_seeds": Column("seeds of the diverged runs, spaces between"),
    "escape_step_median": _interval("Kaplan-Meier median of the escape (test loss)", "steps"),
    "half_step_median": _interval("median of half the way down", "steps"),
    "completion_step_median": _interval("median of nearly all the way", "steps"),
    "plateau_mean": _interval("mean steps to escape, cut at `plateau_to`; bootstrapped", "steps"),
    "final_test_loss": _interval(
        "mean at the end, of the runs that came to the horizon; t interval", "loss"
    ),
    "lowest_test_loss": _interval("mean of each run's lowest test loss; t interval", "loss"),
    "batch_size": Column("examples to a step", "examples"),
    "escape_examples_median": Column("`escape_step_median` times `batch_size`", "examples"),
    "trained_escape_step_median": Column("escape of the loss on trained items", "steps"),
    "plateau_ratio": _interval("steps to escape over the baseline's, geometric mean over seeds"),
    "plateau_bound": Column("`>` or `<`: the ratio is that bound; else empty"),
    "p": Column("two-sided sign-flip test of the log ratios", "0 to 1"),
    "p_holm": Column("adjusted over the table, after Holm", "0 to 1"),
    **_COMPARED,
    "floor": Column("1: a median plateau of the two is under 4 evaluations, hardly measured"),
    "horizon": Column("steps after which every run is censored", "steps"),
    "plateau_to": Column("how far `plateau_mean` is taken: as far as runs were followed", "steps"),
    "baseline": Column("the setting it is compared with"),
    "notes": Column("why a number is missing, `;` between"),
}

_METRICS = {
    "metric": Column("the metric, over all items of a task that has items"),
    "level": Column("the level, at which the mean over three evaluations has to be", "0 to 1"),
    "runs": Column("runs that were started", "runs"),
    "reached": Column("runs that reached it", "runs"),
    "step_median": _interval("Kaplan-Meier median of reaching it", "steps"),
    "ratio": _interval("steps to it over the baseline's, geometric mean over seeds"),
    "bound": Column("`>` or `<`: the ratio is that bound; else empty"),
    **_COMPARED,
    "sooner": Column(
        "share of the pairs in which it reaches it first; a tie counts half", "0 to 1"
    ),
    "pairs_censored": Column("seeds left out, as neither run reaches it", "seeds"),
    "p_value": Column("two-sided sign-flip test of the log ratios", "0 to 1"),
    "p_adjusted": Column("adjusted over the settings, after Holm", "0 to 1"),
    "floor": Column("1: one of the two medians is under 4 evaluations, hardly measured"),
    "baseline": Column("the setting it is compared with"),
}

_TASKS = {
    "task": Column("the task"),
    "tasks": Column("all that the setting trains on, spaces between"),
    "runs": Column("runs that came to the task", "runs"),
    "escaped": Column("runs in which it left its plateau", "runs"),
    "completed": Column("runs in which it was learned", "runs"),
    "start": Column("when it is first drawn, median; later steps count from here", "steps"),
    "escape": _interval("Kaplan-Meier median of the escape (training loss of the task)", "steps"),
    "completion": _interval("Kaplan-Meier median of having learned it", "steps"),
    "plateau": _interval("mean steps to escape, cut where followed no further", "steps"),
    "convergence": _interval("mean steps to completion, likewise", "steps"),
    "ratio": _interval("steps to escape over those of the task alone, geometric mean over seeds"),
    "bound": Column("`>` or `<`: the ratio is that bound; else empty"),
    "convergence_ratio": _interval("`ratio` of the steps to completion"),
    "convergence_bound": Column("`>` or `<`: `convergence_ratio` is that bound; else empty"),
    **_COMPARED,
    "p_value": Column("two-sided sign-flip test of the log ratios", "0 to 1"),
    "p_adjusted": Column("adjusted over the table, after Holm", "0 to 1"),
    "floor": Column("1: a plateau of the two is hardly longer than losses are averaged over"),
    "sequences": Column("prompts of all tasks until the median escape", "prompts"),
    "own_sequences": Column("prompts of the task until its escape, median", "prompts"),
    "own_ratio": Column("`ratio` in prompts of the task: times its share of what a step draws"),
    "final_loss": _interval("test loss of the task at the end; t interval", "loss"),
    "distance": _interval("of the outputs to the no-context optimum, on the plateau"),
    "notes": Column("why a number is missing, or to which step a mean is taken, `;` between"),
}


def _losses(name: str, what: str) -> dict[str, Column]:
    return {
        f"{name}_loss": _interval(f"{what}; t interval", "loss"),
        f"{name}_ratio": _interval("over the baseline's, geometric mean over seeds"),
        f"{name}_lower": Column("share of the seeds on which it is the lower", "0 to 1"),
        f"{name}_p": Column("two-sided sign-flip test of the log ratios", "0 to 1"),
        f"{name}_p_holm": Column("adjusted over the settings, after Holm", "0 to 1"),
    }


_MIXING = {
    "runs": Column("runs that came to the horizon", "runs"),
    "pairs": Column("seeds on which the baseline came there, too", "seeds"),
    **_losses("final", "mean test loss at the end"),
    **_losses("final_worst", "test loss of the worst group at the end"),
    **_losses("equal", "mean test loss after `equal_compute`"),
    **_losses("equal_worst", "test loss of the worst group after `equal_compute`"),
    "compute": Column("what a run has cost, extra work counted in", "training steps"),
    "equal_compute": Column("the least that a setting has cost", "training steps"),
    "extra_compute_percent": Column("of the compute what was no training step", "% of the steps"),
    "baseline": Column("the setting it is compared with"),
}

_MIXED = {
    "mixture": Column("its label: the shares of the tasks, `:` between"),
    "answer": Column("the task whose answer a row is of"),
    "runs": Column("runs that came to the horizon", "runs"),
    "share_asked": Column("of the task, by the label", "0 to 1"),
    "share": _interval("of the task in the prompts", "0 to 1"),
    "probability": _interval("P of the answer, mean over prompts", "0 to 1"),
    "paper": Column("P of the paper's released model, where comparable", "0 to 1"),
    "saturation": _interval("var P / (mean (1 - mean)) over prompts: 1 if each P is 0 or 1"),
    "entropy": _interval("of the outputs to a prompt", "nats"),
    "entropy_of_mean": _interval("of their mean over prompts", "nats"),
    "switching": _interval("1 - entropy / entropy_of_mean"),
    "kl": _interval("of the shares from P", "nats"),
    "completed": _interval("answers among as many most probable outputs", "answers"),
    "recency": _interval("P where the last example is of the task, less P where it is not"),
}

_MIXED_STEPS = {
    "mixture": Column("the evenest one, of which `mixed_step` is"),
    "runs": Column("runs that were followed", "runs"),
    "no_context": Column("P on the answers by any of the tasks, without context", "0 to 1"),
    "mixed_step": _interval("first evaluation with P on the answers above 1/2", "steps"),
    "mixed_runs": Column("runs that get there", "runs"),
    "escape_step": _interval("escape of the mixed tasks, mean over them", "steps"),
    "last_escape_step": _interval("escape of the last of them", "steps"),
    "escaped_runs": Column("runs in which all escape", "runs"),
    "alone_step": _interval("`mixed_step` of prompts of one task, mean over tasks", "steps"),
    "after_escape": _interval("`mixed_step` less `escape_step`, seed by seed", "steps"),
    "after_last_escape": _interval("`mixed_step` less `last_escape_step`", "steps"),
    "pairs": Column("runs that these rest on", "runs"),
    "after_alone": _interval("`mixed_step` less `alone_step`", "steps"),
    "alone_pairs": Column("runs that it rests on", "runs"),
}

_PROGRESS = {
    "measure": Column("its name in results.nc"),
    "step": Column(
        "where it is read: the last evaluation up to half of the median escape", "steps"
    ),
    "runs": Column("runs still on the plateau there", "runs"),
    "escaped_before": Column("runs left out, as they were not", "runs"),
    "loss": Column("rank correlation of the test loss there with the step of escape"),
    "alone": Column("rank correlation of the measure with it"),
    "beyond": _interval("the same given the loss, of ranks; Fisher's interval"),
    "p": Column("two-sided, by Freedman and Lane's permutations", "0 to 1"),
    "p_holm": Column("adjusted over the table, after Holm", "0 to 1"),
}

COLUMNS: dict[str, tuple[str, Mapping[str, Column]]] = {  # by file: what a row is of, and columns
    "summary.csv": ("each setting, beside its baseline", _SUMMARY),
    "metrics.csv": ("each level of a metric, and each setting", _METRICS),
    "tasks.csv": ("each task of each setting, beside the same task alone", _TASKS),
    "mixing.csv": ("each setting, where the shares of groups adapt", _MIXING),
    "superposition.csv": ("each answer to each mixture of prompts, at the horizon", _MIXED),
    "superposition_steps.csv": ("each setting that was given mixed prompts", _MIXED_STEPS),
    "progress.csv": ("each measure of progress of each setting", _PROGRESS),
}


def names(file: str) -> list[str]:
    """Return the names of a table's columns in their order, after those of the swept fields.

    >>> names("superposition_steps.csv")[2:5]
    ['no_context', 'mixed_step', 'mixed_step_low']
    """
    found: list[str] = []
    for name, column in COLUMNS[file][1].items():
        found += [name, f"{name}_low", f"{name}_high"] if column.ends else [name]
    return found
