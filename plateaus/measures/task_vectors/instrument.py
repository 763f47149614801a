"""Task vectors of mixed prompts: what a config says of them, what is refused, what is measured."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from plateaus.fields import Field
from plateaus.measures.instrument import Instrument, Parts, Probe
from plateaus.measures.superposition import instrument as mixtures
from plateaus.measures.superposition import summary as superposition
from plateaus.measures.superposition.instrument import ANSWER, MIXTURE, TOGETHER
from plateaus.measures.task_vectors import probe as task_vectors
from plateaus.types import Array, Key, MixedPrompt, PyTree, Task
from plateaus.variables import Variable

BEST = -1
LAYER, CLOUD = "stream_layer", "cloud"  # dimensions: of the stream, L + 1; of tasks, then mixtures
PATCHES = ("vector_", "vector_shift_")  # in place of the stream, or added to what is kept of it
_SUCCESS = "P of a task's answer with its vector patched in at each layer"
VARIABLES = {
    f"{patch}{name}": variable._replace(meaning=f"{variable.meaning}{how}")
    for patch, how in zip(PATCHES, ("", ", added to the query's own stream"), strict=True)
    for name, variable in {
        "success": Variable(f"{_SUCCESS}, mean over tasks", axes=(LAYER,)),
        "success_by_answer": Variable(_SUCCESS, axes=(LAYER, ANSWER)),
        "layer_used": Variable("layer whose vectors are combined and shown"),
        "path": Variable("P of each answer between two tasks' vectors", axes=("path", ANSWER)),
        "points": Variable("vectors of single prompts", axes=(CLOUD, "point", "coordinate")),
    }.items()
} | {
    "vector_baseline": Variable("P of a task's answer without a vector, mean over tasks"),
    "vector_share": Variable("share of each task among a cloud's examples", axes=(CLOUD, ANSWER)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """Which vectors are taken from prompts and patched into queries at every evaluation."""

    vector_prompts: Annotated[
        int, Field(help="prompts whose mean is a task's vector; 0: none", low=0, high=2**16)
    ] = 0  # the paper's: 100
    vector_layer: Annotated[
        int,
        Field(
            help="layer whose vectors are combined and shown; -1: the best",
            low=-1,
            high=256,
            switch="vector_prompts",
        ),
    ] = BEST
    vector_shown: Annotated[
        int,
        Field(
            help="prompts of each task and mixture kept as points; at most vector_prompts",
            low=0,
            high=2**16,
            switch="vector_prompts",
        ),
    ] = 16
    vector_steps: Annotated[
        int,
        Field(
            help="steps from one task's vector to another's",
            low=2,
            high=2**10,
            switch="vector_prompts",
        ),
    ] = 30


def labels(values: Mapping[str, Any], groups: tuple[str, ...]) -> dict[str, Sequence[str]]:
    """Return the names along the dimension of clouds: tasks, then mixtures."""
    names = mixtures.labels(values, groups)
    if not (names and values["vector_prompts"] and values["vector_shown"]):
        return {}
    return {CLOUD: [*names[ANSWER], *names[MIXTURE]]}


def check(values: Mapping[str, Any], task: Task, tokens: int = 0) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for vectors that cannot be taken, patched in or drawn."""
    if not values["vector_prompts"]:
        return
    if not values["mixed_prompts"]:
        yield "vector_prompts", "needs mixed_prompts, whose tasks and mixtures the vectors are of"
        return
    if any(True for _ in mixtures.check(values, task)):
        return  # its line says so
    if values["vector_layer"] > values["model.depth"]:
        yield "vector_layer", f"must be at most {values['model.depth']}, the layers of the model"
    if values["vector_shown"] and importlib.util.find_spec("sklearn") is None:
        yield "vector_shown", "needs scikit-learn: pip install 'plateaus[sklearn]', or 0 points"


def probe(config: Mapping[str, Any], parts: Parts) -> Probe | None:
    r"""Return what measures task vectors; None of no prompts.

    vector_success [L + 1]: P(answer of task k | its mean vector patched in at a layer), mean over
    tasks and as many fresh queries as prompts; by answer [L + 1, K]; vector_baseline: unpatched.
    vector_layer_used: the layer of highest success after the first block, or the one given. There,
    vector_path [steps, K]: P of every answer along the combinations of the first two tasks'
    vectors, queries anew; vector_points [K + S, n, W]: of each single task and each mixture, the
    vectors of n prompts; vector_share [K + S, K]: the shares of the tasks among their examples.

    vector_shift_*: the same for the patch that keeps what the query has written to its own stream,
    $h + (E[h | \text{prompts of task k}] - E[h | \text{queries}])$, the second mean over as many
    queries without examples. The vector alone leaves out the query, where later blocks do not
    read it again.
    """
    if not config["vector_prompts"]:
        return None
    task, model = parts.task, parts.everywhere
    assert task.groups is not None and task.groups.emit_mixed is not None
    chosen = mixtures.mixed_groups(config, task.groups.names)
    tasks, examples = len(chosen), mixtures.examples_of(config)
    prompts, steps = config["vector_prompts"], config["vector_steps"]
    shown = min(config["vector_shown"], prompts)
    single = [tuple(float(i == k) for i in range(tasks)) for k in range(tasks)]
    mixed = [share for _, share in mixtures.shares_of(config["mixed_shares"], tasks)]
    shares = single + (mixed if shown else [])
    number = np.repeat(np.arange(len(shares)), [prompts] * tasks + [shown] * len(shares[tasks:]))
    share_of = np.asarray(shares, np.float32)[number]
    order_of = mixtures.exact_orders(shares, examples).astype(np.int32)[number]
    draw, emit = mixtures.drawer(config, task), task.groups.emit_mixed

    def vector(params: PyTree, key: Key, share: Array, exact: Array) -> tuple[Array, Array]:
        """Return the stream of a fresh prompt at every layer, and the shares of its examples."""
        order, prompt = draw(key, share, exact)
        drawn = superposition.shares(order[None], tasks)[0]
        return task_vectors.of_prompt(model, params, prompt), drawn

    def queries_of(key: Key, count: int) -> MixedPrompt:
        """Return so many queries: prompts without examples."""

        def query(i: Array) -> MixedPrompt:
            return emit(jax.random.fold_in(key, i), jnp.zeros(0, jnp.int32), chosen)

        return jax.lax.map(query, jnp.arange(count), batch_size=min(TOGETHER, count))

    def mean_over(queries: MixedPrompt, measure: Callable[[MixedPrompt], Any]) -> Any:
        each = jax.lax.map(measure, queries, batch_size=min(TOGETHER, prompts))
        return jax.tree.map(lambda x: jnp.mean(x, axis=0), each)

    def clouds(x: Array) -> Array:
        """Return what there is of each prompt [n, ..] as [K + S, shown, ..]."""
        single = x[: tasks * prompts].reshape(tasks, prompts, *x.shape[1:])
        of_mixtures = x[tasks * prompts :].reshape(-1, shown, *x.shape[1:])
        return jnp.concatenate([single[:, :shown], of_mixtures])

    def effect(
        params: PyTree, first: MixedPrompt, second: MixedPrompt, put: Array, keep: Array
    ) -> dict[str, Array]:
        """Return what the tasks' vectors [K, L + 1, W] do, patched into queries.

        Their success at each layer is of the first queries, the path of the second.
        """
        by_answer, without = mean_over(
            first, lambda query: task_vectors.by_layer(model, params, query, put, keep=keep)
        )
        success = jnp.mean(by_answer, axis=1)
        best = 1 + jnp.argmax(success[1:])  # layer 0 has the separator alone
        layer = best if config["vector_layer"] == BEST else jnp.asarray(config["vector_layer"])
        at = jnp.broadcast_to(layer, (steps,))
        between = task_vectors.combinations(put[0, layer], put[1, layer], steps)
        path = mean_over(
            second,
            lambda query: task_vectors.patched(model, params, query, at, between, keep=keep),
        )
        return {
            "success": success,
            "success_by_answer": by_answer,
            "baseline": jnp.mean(without),
            "layer_used": layer,
            "path": path,
        }

    def measured(key: Key, params: PyTree, laws: Mapping[str, Any], losses) -> dict[str, Array]:
        key_prompts, key_layers, key_path = jax.random.split(key, 3)
        of_prompt = functools.partial(vector, params)
        vectors, drawn = mixtures.over_prompts(key_prompts, share_of, order_of, of_prompt)
        single = vectors[: tasks * prompts].reshape(tasks, prompts, *vectors.shape[1:])
        means = jnp.mean(single, axis=1)  # [K, L + 1, W]
        queries, path_queries = queries_of(key_layers, 2 * prompts), queries_of(key_path, prompts)
        patched, unpatched = (
            jax.tree.map(lambda x, part=part: x[part], queries)
            for part in (slice(prompts), slice(prompts, None))
        )
        bare = mean_over(unpatched, lambda query: task_vectors.of_prompt(model, params, query))
        both = jax.lax.map(
            lambda each: effect(params, patched, path_queries, *each),
            (jnp.stack([means, means - bare[None]]), jnp.array([False, True])),
        )
        layers = both["layer_used"]
        if shown:
            both["points"] = jax.vmap(lambda layer: clouds(vectors[:, layer]))(layers)
        both["layer_used"] = layers.astype(jnp.float32)
        result = {"vector_baseline": both.pop("baseline")[0]}  # the same of both patches
        if shown:
            result["vector_share"] = jnp.mean(clouds(drawn), axis=1)
        for n, name in enumerate(PATCHES):
            result |= {f"{name}{part}": value[n] for part, value in both.items()}
        return result

    return measured


INSTRUMENT = Instrument(
    Spec,
    lambda task, layers: VARIABLES if task.groups and task.groups.emit_mixed else {},
    probe,
    check=check,
    labels=labels,
)
