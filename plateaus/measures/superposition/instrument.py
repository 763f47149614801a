"""Prompts that mix tasks: what a config says of them, what is refused, what is measured."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from plateaus import option_strings
from plateaus.fields import Field
from plateaus.measures.instrument import Instrument, Parts, Probe
from plateaus.measures.superposition import answers
from plateaus.measures.superposition import summary as superposition
from plateaus.types import Array, Key, MixedPrompt, PyTree, Task
from plateaus.variables import Variable

BACK = 10  # examples before the query whose task the answer may follow
GRID = 10  # steps from one task alone to another, where shares are not given
TOGETHER = 32  # prompts answered at a time
ANSWER, MIXTURE = "answer", "mixture"  # dimensions
EACH, BACKWARDS = (MIXTURE, ANSWER), (MIXTURE, "back", ANSWER)
VARIABLES = {
    f"mixed_{name}": variable
    for name, variable in {
        "probability": Variable("probability of each answer, mean over prompts", axes=EACH),
        "share": Variable("share of each task among the examples of the prompts", axes=EACH),
        "saturation": Variable("variance of P over prompts, of its most at that mean", axes=EACH),
        "entropy": Variable("entropy of the outputs to a prompt, mean", "nats", (MIXTURE,)),
        "entropy_of_mean": Variable("entropy of the outputs' mean", "nats", (MIXTURE,)),
        "kl": Variable("divergence of P from the shares of the tasks", "nats", (MIXTURE,)),
        "completed": Variable("answers among as many most probable outputs", "1", (MIXTURE,)),
        "recency_same": Variable("P where that example back is of the task", axes=BACKWARDS),
        "recency_other": Variable("P where that example back is of another", axes=BACKWARDS),
        "histogram": Variable("share of prompts with P in each bin", axes=(*EACH, "bin")),
    }.items()
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """Which prompts of several tasks are answered at every evaluation."""

    mixed_prompts: Annotated[
        int, Field(help="prompts of several tasks, of each mixture; 0: none", low=0, high=2**16)
    ] = 0
    mixed_tasks: Annotated[
        str,
        Field(
            help="names of the tasks in these prompts, with commas; none: all",
            switch="mixed_prompts",
        ),
    ] = ""
    mixed_shares: Annotated[
        str,
        Field(
            help="shares of the tasks, as 1:9 5:5; none: a grid, or each alone and all",
            switch="mixed_prompts",
        ),
    ] = ""
    mixed_order: Annotated[
        str,
        Field(
            help="whether each example draws its task, or counts are exact and shuffled",
            choices=("iid", "exact"),
            switch="mixed_prompts",
        ),
    ] = "iid"
    mixed_examples: Annotated[
        int,
        Field(
            help="examples of such a prompt; 0: one fewer than in training",
            low=0,
            switch="mixed_prompts",
        ),
    ] = 0


def mixed_groups(values: Mapping[str, Any], groups: tuple[str, ...]) -> tuple[int, ...]:
    """Return the numbers of the mixed groups, without names all; ValueError for a bad name."""
    if not (names := option_strings.parts(values["mixed_tasks"])):
        return tuple(range(len(groups)))
    for problem in option_strings.name_problems(values["mixed_tasks"], groups):
        raise ValueError(problem)
    return tuple(groups.index(name) for name in names)


def shares_of(text: str, tasks: int) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """Return (label, shares of K tasks) of each mixture; ValueError for what cannot be read.

    >>> shares_of("1:3 2:2", 2)
    (('1:3', (0.25, 0.75)), ('2:2', (0.5, 0.5)))
    >>> [label for label, _ in shares_of("", 3)]
    ['1:0:0', '0:1:0', '0:0:1', '1:1:1']
    """
    if not text.strip():
        single = [":".join("1" if i == k else "0" for i in range(tasks)) for k in range(tasks)]
        grid = [f"{i}:{GRID - i}" for i in range(GRID + 1)]
        text = " ".join(grid if tasks == 2 else [*single, ":".join("1" * tasks)])
    mixtures = option_strings.shares(text, tasks).items()
    return tuple((label, tuple(x / sum(parts) for x in parts)) for label, parts in mixtures)


def labels(values: Mapping[str, Any], groups: tuple[str, ...]) -> dict[str, Sequence[str]]:
    """Return the names along the dimensions of what is measured; {} where nothing is."""
    if not values["mixed_prompts"]:
        return {}
    mixed = [groups[number] for number in mixed_groups(values, groups)]
    return {
        ANSWER: mixed,
        MIXTURE: [label for label, _ in shares_of(values["mixed_shares"], len(mixed))],
    }


def examples_of(values: Mapping[str, Any]) -> int:
    """Return the examples of a mixed prompt."""
    return values["mixed_examples"] or values["task.examples"] - 1


def check(values: Mapping[str, Any], task: Task, tokens: int = 0) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for mixed prompts that cannot be made, or answered."""
    if not values["mixed_prompts"]:
        return
    if task.groups is None or task.groups.emit_mixed is None:
        yield "mixed_prompts", f"{values['task.name']} has no prompts of several tasks"
        return
    if "model.heads" not in values:
        yield "mixed_prompts", f"{values['model.name']} has no cache of keys and values"
        return
    try:
        chosen = mixed_groups(values, task.groups.names)
    except ValueError as error:
        yield "mixed_tasks", str(error)
        return
    if len(chosen) < 2:
        yield "mixed_tasks", "needs two tasks to mix"
        return
    try:
        shares_of(values["mixed_shares"], len(chosen))
    except ValueError as error:
        yield "mixed_shares", str(error)
        return
    if "task.examples" not in values:  # the length of a training prompt
        yield "mixed_prompts", f"{values['task.name']} has no field `examples`, of a prompt"
        return
    examples = examples_of(values)
    if examples < len(chosen):
        yield (
            "mixed_examples",
            f"must be at least {len(chosen)}, the tasks: a prompt has {examples}",
        )
        return
    longest = values["task.examples"] - 1  # and a query: training prompts are known to fit
    if values.get("model.positions") == "learned" and examples > longest:
        yield "mixed_examples", f"must be at most {longest}: later positions are not trained"


def counts(share: tuple[float, ...], examples: int) -> NDArray[np.int_]:
    """Return whole numbers nearest to the shares that add up, by largest remainders.

    >>> counts((0.5, 0.3, 0.2), 4).tolist()
    [2, 1, 1]
    """
    exact = np.asarray(share) * examples
    whole = np.floor(exact + 1e-9).astype(int)
    missing = examples - whole.sum()
    whole[np.argsort(-(exact - whole), kind="stable")[:missing]] += 1
    return whole


def exact_orders(shares: Sequence[tuple[float, ...]], examples: int) -> NDArray[np.int_]:
    """Return [mixture, m] which task each example is of, by exact counts, before it is shuffled."""
    return np.stack([np.repeat(np.arange(len(x)), counts(x, examples)) for x in shares])


def drawer(config: Mapping[str, Any], task: Task) -> Callable[..., tuple[Array, MixedPrompt]]:
    """Return (key, share [K], one of `exact_orders`) -> (order [m], the prompt), as configured."""
    chosen, exact = mixed_groups(config, task.group_names), config["mixed_order"] == "exact"
    assert task.groups is not None and task.groups.emit_mixed is not None
    emit = task.groups.emit_mixed

    def draw(key: Key, share: Array, fixed: Array) -> tuple[Array, MixedPrompt]:
        key_order, key_prompt = jax.random.split(key)
        if exact:
            order = jax.random.permutation(key_order, fixed)
        else:
            order = jax.random.categorical(key_order, jnp.log(share), shape=fixed.shape)
        return order, emit(key_prompt, jnp.array(chosen)[order], chosen)

    return draw


def over_prompts(
    key: Key, share: NDArray, exact: NDArray, measure: Callable[[Key, Array, Array], Any]
) -> Any:
    """Return what is measured of n prompts, each of its own key, shares [n, K] and order [n, m]."""
    # by fold_in: keys that are mapped over in batches look used twice to jax's check of them
    return jax.lax.map(
        lambda each: measure(jax.random.fold_in(key, each[0]), *each[1:]),
        (jnp.arange(len(share)), jnp.asarray(share), jnp.asarray(exact)),
        batch_size=min(TOGETHER, len(share)),
    )


def probe(config: Mapping[str, Any], parts: Parts) -> Probe | None:
    """Return what answers fresh mixed prompts; None of none."""
    if not config["mixed_prompts"]:
        return None
    task, model = parts.task, parts.everywhere
    tasks = len(mixed_groups(config, task.group_names))
    mixtures = [share for _, share in shares_of(config["mixed_shares"], tasks)]
    examples, prompts = examples_of(config), config["mixed_prompts"]
    draw = drawer(config, task)

    share_of = np.repeat(np.asarray(mixtures, np.float32), prompts, axis=0)
    order_of = np.repeat(exact_orders(mixtures, examples).astype(np.int32), prompts, axis=0)

    def answer(params: PyTree, key: Key, share: Array, exact: Array) -> tuple[Array, Array, Array]:
        order, prompt = draw(key, share, exact)
        past = answers.cached(model, params, prompt.prefix, 2 * tasks)
        of_ways = {name: value[:tasks] for name, value in past.items()}
        log_p = answers.log_probabilities(model, params, prompt, of_ways)
        outputs, texts = answers.most_probable(
            model, params, prompt.ways[0, 0], past, end=prompt.end, tokens=prompt.ways.shape[1]
        )
        return log_p, order, answers.with_answers(outputs, texts, prompt, log_p)

    def measured(key: Key, params: PyTree, laws: Mapping[str, Any], losses) -> dict[str, Array]:
        answered = over_prompts(key, share_of, order_of, functools.partial(answer, params))
        by_mixture = jax.tree.map(lambda x: x.reshape(-1, prompts, *x.shape[1:]), answered)
        back = min(BACK, examples)
        return jax.vmap(functools.partial(superposition.summary, back=back))(*by_mixture)

    return measured


INSTRUMENT = Instrument(
    Spec,
    lambda task, layers: VARIABLES if task.groups and task.groups.emit_mixed else {},
    probe,
    check=check,
    labels=labels,
)
