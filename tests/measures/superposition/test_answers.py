"""Probabilities of answers from a shared prefix, against whole passes and against enumeration."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.measures.superposition.answers import (
    cached,
    log_probabilities,
    most_probable,
    with_answers,
)
from plateaus.measures.superposition.summary import completed
from plateaus.models.networks.transformer import Spec, transformer
from plateaus.tasks.laws.characters import Spec as Characters
from plateaus.tasks.laws.characters import characters
from plateaus.types import MixedPrompt

VOCABULARY, END = 5, 4


@functools.cache
def tiny(vocabulary=VOCABULARY):
    """A model that says different things, by parameters drawn with numpy."""
    spec = Spec(width=16, depth=1, heads=2, positions="rotary")
    model, rng = transformer(spec, vocabulary=vocabulary), np.random.default_rng(0)

    def leaf(path, x):
        scale = 3 * x.shape[0] ** -0.5 if x.ndim > 1 else 0.1
        return rng.normal(path[-1].key == "scale", scale, x.shape).astype(np.float32)

    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return model, jax.tree_util.tree_map_with_path(leaf, shapes)


@functools.cache
def passes(vocabulary):
    """(params, tokens) -> the log-probabilities after each token, of plain passes."""
    model, _ = tiny(vocabulary)
    return jax.jit(lambda p, tokens: jax.nn.log_softmax(model.apply(p, tokens)[0]))


def padded(rows, length):
    """Tokens in rows of one length; what follows the last is not seen by those before."""
    return np.array([[*row, *[0] * (length - len(row))] for row in rows])


@pytest.mark.parametrize("families", ["ret1,ret2,ret3", "left,right,sum", "copy,upper,first"])
def test_the_product_over_an_answer_is_that_of_a_plain_pass(families):
    model, params = tiny(103)
    task = characters(Characters(families=families, alphabet="aBcDef", length=3, examples=4))
    ways, order = len(task.group_names), np.array([0, 2, 1])

    @jax.jit
    def shared(params, seed, order):
        prompt = task.groups.emit_mixed(jax.random.key(seed), order, tuple(range(ways)))
        past = cached(model, params, prompt.prefix, ways)
        return prompt, log_probabilities(model, params, prompt, past)

    prompt, found = jax.tree.map(np.asarray, shared(params, np.uint32(1), order))
    answers = [prompt.targets[way][prompt.scored[way]] for way in range(ways)]
    whole = [[*prompt.prefix, prompt.ways[way, 0], *answers[way]] for way in range(ways)]
    log_p = np.asarray(passes(103)(params, padded(whole, 40)))
    for way, answer in enumerate(answers):
        last = len(whole[way]) - 1
        plain = log_p[way, np.arange(last - len(answer), last), answer].sum()
        np.testing.assert_allclose(np.exp(found[way]), np.exp(plain), atol=1e-5)
        np.testing.assert_allclose(found[way], plain, rtol=1e-5)


def enumerated(params, prefix, first, tokens):
    """The log-probability of every output of at most `tokens` tokens, the likeliest first."""
    outputs = [
        [*middle, END]
        for length in range(tokens)
        for middle in itertools.product(range(END), repeat=length)
    ]
    whole = padded([[*prefix, first, *output] for output in outputs], len(prefix) + 1 + tokens)
    log_p = np.asarray(passes(VOCABULARY)(params, whole))
    places = len(prefix) + np.arange(tokens)
    found = [one[places[: len(out)], out].sum() for one, out in zip(log_p, outputs, strict=True)]
    return sorted(found, reverse=True)


def searched(params, prefix, first, beams, tokens):
    """The log-probabilities of the most probable outputs, by a search."""
    model, _ = tiny()

    @jax.jit
    def search(params, prefix, first):
        past = cached(model, params, prefix, beams)
        return most_probable(model, params, first, past, end=jnp.int32(END), tokens=tokens)[0]

    return np.asarray(search(params, np.array(prefix), np.int32(first)))


def test_the_most_probable_outputs_are_those_of_going_through_all():
    """With as many beams as there are outputs the search is exact."""
    _, params = tiny()
    prefix, first, tokens = [1, 2, 0, 3], 2, 3
    wanted = enumerated(params, prefix, first, tokens)
    found = searched(params, prefix, first, 4**tokens + len(wanted), tokens)
    np.testing.assert_allclose(found[np.isfinite(found)], wanted, rtol=1e-4)


def test_few_beams_find_the_likeliest_outputs_of_one_token():
    """What goes on does not push out what has ended, however unlikely an end is."""
    _, params = tiny()
    kernel = params["readout"]["kernel"].copy()
    kernel[:, END] *= 0.01
    params = params | {"readout": {"kernel": kernel}}
    prefix, first = [1, 2, 0, 3], 2
    outputs = enumerated(params, prefix, first, 2)
    found = searched(params, prefix, first, 4, 2)  # as many as first tokens beside the end
    np.testing.assert_allclose(found, outputs[:4], rtol=1e-4)


def test_answers_that_are_the_most_probable_outputs_are_found_to_be():
    """Passes of other shapes round otherwise, here put in by hand: no answer beats itself."""
    exact, params = tiny()
    tasks = 3

    def rounded(params, inputs, **options):
        logits, seen = exact.apply(params, inputs, **options)
        return logits.at[..., END].add(0.01 * (inputs.shape[0] > tasks)), seen

    model = exact._replace(apply=rounded)

    def one(params, prefix):
        past, first = cached(model, params, prefix, 2 * tasks), jnp.int32(2)
        outputs, texts = most_probable(model, params, first, past, end=jnp.int32(END), tokens=3)
        targets = texts[:tasks]
        ways = jnp.concatenate([jnp.full((tasks, 1), first), targets[:, :-1]], axis=1)
        ended = jnp.cumsum(targets == END, axis=1) - (targets == END)
        prompt = MixedPrompt(prefix, ways, targets, ended == 0, jnp.int32(END))
        own = {name: value[:tasks] for name, value in past.items()}
        log_p = log_probabilities(model, params, prompt, own)
        return log_p, with_answers(outputs, texts, prompt, log_p)

    @jax.jit
    def every(params, prefixes):
        log_p, outputs = jax.vmap(one, (None, 0))(params, prefixes)
        return outputs, completed(log_p, outputs)

    prefixes = np.random.default_rng(5).integers(END, size=(40, 6))
    outputs, done = jax.tree.map(np.asarray, every(params, prefixes))
    apart = outputs[:, tasks - 1] - outputs[:, tasks] > 0.1
    assert apart.sum() > 20
    np.testing.assert_array_equal(done[apart], float(tasks))


def test_padding_is_not_scored():
    model, params = tiny()
    prefix, ways = np.array([1, 2, 0]), np.array([[2, 1, 3], [2, 0, 1]])
    targets = np.array([[1, END, 0], [0, 1, END]])
    scored = np.array([[True, True, False], [True, True, True]])

    @jax.jit
    def said(params, ways, targets):
        past = cached(model, params, jnp.asarray(prefix), 2)
        prompt = MixedPrompt(
            jnp.asarray(prefix), ways, targets, jnp.asarray(scored), jnp.int32(END)
        )
        return log_probabilities(model, params, prompt, past)

    first = said(params, ways, targets)
    other_ways, other_targets = ways.copy(), targets.copy()
    other_ways[0, 2], other_targets[0, 2] = 0, 2
    np.testing.assert_allclose(first, said(params, other_ways, other_targets), rtol=1e-6)
