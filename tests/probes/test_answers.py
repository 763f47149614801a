"""Probabilities of answers from a shared prefix, against whole passes and against enumeration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.models.transformer import Spec, transformer
from plateaus.probes.answers import cached, log_probabilities, most_probable, with_answers
from plateaus.probes.superposition import completed
from plateaus.tasks.characters import Spec as Characters
from plateaus.tasks.characters import characters
from plateaus.types import MixedPrompt

VOCABULARY, END = 5, 4


def tiny(vocabulary=VOCABULARY):
    spec = Spec(
        width=16,
        depth=2,
        heads=2,
        positions="rotary",
        initialisation="lecun_normal",
        initialisation_scale=3.0,
    )
    model = transformer(spec, vocabulary=vocabulary)
    once = jax.jit(model.apply, static_argnames=("capture",))  # else every operation is compiled
    return model._replace(apply=once), model.init(jax.random.key(0))


@pytest.mark.parametrize("families", ["ret1,ret2,ret3", "left,right,sum", "copy,upper,first"])
def test_the_product_over_an_answer_is_that_of_a_plain_pass(families):
    model, params = tiny(103)
    task = characters(Characters(families=families, alphabet="aBcDef", length=3, examples=4))
    ways = len(task.groups)
    order = jnp.array([0, 2, 1])
    prompt = task.emit_mixed(jax.random.key(1), order, tuple(range(ways)))
    found = log_probabilities(model, params, prompt, cached(model, params, prompt.prefix, ways))
    for way in range(ways):
        answer = np.asarray(prompt.targets[way])[np.asarray(prompt.scored[way])]
        tokens = np.concatenate([prompt.prefix, prompt.ways[way, :1], answer])
        logits = model.apply(params, tokens[None])[0][0]
        log_p = jax.nn.log_softmax(logits)[len(tokens) - len(answer) - 1 : -1]
        plain = log_p[jnp.arange(len(answer)), answer].sum()
        np.testing.assert_allclose(jnp.exp(found[way]), jnp.exp(plain), atol=1e-5)
        np.testing.assert_allclose(found[way], plain, rtol=1e-5)


def enumerated(model, params, prefix, first, tokens):
    """Every output of at most `tokens` tokens with its log-probability, the likeliest first."""
    found = []
    for length in range(tokens):
        for middle in itertools.product(range(END), repeat=length):
            output = [*middle, END]
            whole = jnp.array([*prefix, first, *output])
            log_p = jax.nn.log_softmax(model.apply(params, whole[None])[0][0])
            start = len(prefix)
            found.append(float(sum(log_p[start + j, token] for j, token in enumerate(output))))
    return sorted(found, reverse=True)


def test_the_most_probable_outputs_are_those_of_going_through_all():
    """With as many beams as there are outputs the search is exact."""
    model, params = tiny()
    prefix, first, tokens = jnp.array([1, 2, 0, 3]), jnp.int32(2), 3
    wanted = enumerated(model, params, prefix.tolist(), 2, tokens)
    beams = 4**tokens + len(wanted)
    past = cached(model, params, prefix, beams)
    found, _ = most_probable(model, params, first, past, end=jnp.int32(END), tokens=tokens)
    there = np.asarray(found)[np.isfinite(found)]
    np.testing.assert_allclose(there, wanted, rtol=1e-4)


def test_few_beams_find_the_likeliest_outputs_of_one_token():
    """What goes on does not push out what has ended, however unlikely an end is."""
    model, params = tiny()
    prefix = jnp.array([1, 2, 0, 3])
    params["readout"]["kernel"] = params["readout"]["kernel"].at[:, END].multiply(0.01)
    outputs = enumerated(model, params, prefix.tolist(), 2, 2)
    past = cached(model, params, prefix, 4)  # as many as there are first tokens beside the end
    found, _ = most_probable(model, params, jnp.int32(2), past, end=jnp.int32(END), tokens=2)
    np.testing.assert_allclose(found, outputs[:4], rtol=1e-4)


def test_answers_that_are_the_most_probable_outputs_are_found_to_be():
    """Passes of other shapes round otherwise, here put in by hand: no answer beats itself."""
    exact, params = tiny()
    tasks = 3

    def rounded(params, inputs, **options):
        logits, seen = exact.apply(params, inputs, **options)
        return logits.at[..., END].add(0.01 * (inputs.shape[0] > tasks)), seen

    model = exact._replace(apply=rounded)

    def one(prefix):
        past, first = cached(model, params, prefix, 2 * tasks), jnp.int32(2)
        outputs, texts = most_probable(model, params, first, past, end=jnp.int32(END), tokens=3)
        targets = texts[:tasks]
        ways = jnp.concatenate([jnp.full((tasks, 1), first), targets[:, :-1]], axis=1)
        ended = jnp.cumsum(targets == END, axis=1) - (targets == END)
        prompt = MixedPrompt(prefix, ways, targets, ended == 0, jnp.int32(END))
        own = {name: value[:tasks] for name, value in past.items()}
        log_p = log_probabilities(model, params, prompt, own)
        return log_p, with_answers(outputs, texts, prompt, log_p)

    prefixes = jax.random.randint(jax.random.key(5), (40, 6), 0, END)
    log_p, outputs = jax.jit(jax.vmap(one))(prefixes)
    apart = np.asarray(outputs[:, tasks - 1] - outputs[:, tasks]) > 0.1
    assert apart.sum() > 20
    np.testing.assert_array_equal(completed(log_p, outputs)[apart], float(tasks))


def test_padding_is_not_scored():
    model, params = tiny()
    prefix, ways = jnp.array([1, 2, 0]), jnp.array([[2, 1, 3], [2, 0, 1]])
    targets = jnp.array([[1, END, 0], [0, 1, END]])
    scored = jnp.array([[True, True, False], [True, True, True]])
    past = cached(model, params, prefix, 2)
    first = log_probabilities(
        model, params, MixedPrompt(prefix, ways, targets, scored, jnp.int32(END)), past
    )
    other = log_probabilities(
        model,
        params,
        MixedPrompt(prefix, ways.at[0, 2].set(0), targets.at[0, 2].set(2), scored, jnp.int32(END)),
        past,
    )
    np.testing.assert_allclose(first, other, rtol=1e-6)
