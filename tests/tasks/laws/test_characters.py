"""Character tasks against Python's own functions of text, and against brute force."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from plateaus.tasks.laws.characters import Knobs, Spec, characters, check, groups
from plateaus.tasks.strings import sets
from plateaus.tasks.strings.checks import problems
from plateaus.types import Draw

SETS = {
    "letters": Spec(families="ret1,ret3,last", alphabet="abcdeFGH", length=4, examples=5),
    "words": Spec(
        families="copy,reverse,upper,lower,swapcase", alphabet="aBcDeF", length=3, examples=6
    ),
    "both cases": Spec(families="ret1,ret3,swapcase", alphabet="abAB", length=3, examples=5),
    "uneven": Spec(families="first,copy", alphabet="abcd", length=2, examples=4),
    "digit": Spec(families="plus0,plus3,plus9", examples=7),
    "pair": Spec(families="left,right,sum", examples=4),
}
SECOND = "both cases"  # what letters and words hold of retrieval and of cases, together
each_set = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.thorough] * (n == SECOND)) for n in SETS]
)


@functools.cache
def made(name):
    return characters(SETS[name])


@functools.cache
def program(name):
    """A set's sequences number `index` of its tasks in turn, and what predictors make of them."""
    task = made(name)

    @jax.jit
    def run(index, switching, noise):
        key, world = jax.random.key(noise), jax.random.key(3)
        draw = Draw(index, index % len(task.group_names))
        batch = jax.vmap(task.emit, (None, None, 0, None))(key, world, draw, Knobs(switching))
        said = task.predictors(None, batch, None, None)
        losses = {name: jax.vmap(task.loss)(x, batch) for name, x in said.items()}
        return batch, said, losses

    return run


@functools.cache
def found(name, switching=0.0, first=0, noise=3):
    """(batch, predictions, losses) of 600 sequences from number `first` on."""
    return jax.device_get(program(name)(np.arange(first, first + 600), switching, noise))


def drawn(name, count=60):
    """The first sequences of a set."""
    return jax.tree.map(lambda x: x[:count], found(name)[0])


def lines(tokens):
    """(input, answer) of every example in a sequence of tokens, the last newline or not."""
    parts = sets.decode(np.asarray(tokens).tolist()).rstrip("\n").split("\n")
    separator = "=" if "=" in parts[0] else ">"
    return [tuple(part.split(separator)) for part in parts]


@each_set
def test_answers_are_those_of_the_python_functions(name):
    batch, chosen = drawn(name), groups(SETS[name])
    for tokens, group in zip(batch.inputs, batch.targets.group, strict=True):
        shown = lines(tokens)
        assert len(shown) == SETS[name].examples
        for text, answer in shown:
            assert answer == sets.KINDS[sets.TASKS[chosen[0]]].tasks[chosen[group]](text)


@each_set
def test_every_task_answers_every_example(name):
    batch, chosen = drawn(name), groups(SETS[name])
    for tokens, every in zip(batch.inputs[:9], batch.targets.all_answers[:9], strict=True):
        for (text, _), told in zip(lines(tokens), every, strict=True):
            for task, row in zip(chosen, told, strict=True):
                (answer,) = sets.answers(task, [text])
                assert sets.decode(np.asarray(row).tolist()) == answer + "\n"


@each_set
def test_predictions_are_read_before_each_token_of_an_answer(name):
    task, batch = made(name), drawn(name)
    read = np.array(task.reads.at)
    whole = np.concatenate([batch.inputs, np.full((60, 1), sets.NEWLINE)], axis=1)
    np.testing.assert_array_equal(
        np.where(batch.targets.scored, whole[:, read + 1], sets.PAD), batch.targets.answers
    )
    flat = np.concatenate(
        [np.asarray(batch.inputs), np.full((60, 1), sets.PAD)], axis=1
    )  # the last newline, or padding, is no input
    assert np.all(flat[:, read[:: len(read) // SETS[name].examples]] == separator(name))


def separator(name):
    return sets.encode("=" if name == "pair" else ">")[0]


def test_inputs_have_different_letters_drawn_evenly():
    batch = drawn("letters", 400)
    texts = [text for tokens in batch.inputs for text, _ in lines(tokens)]
    assert all(len(set(text)) == 4 for text in texts)
    for place in range(4):
        counts = np.array([sum(t[place] == one for t in texts) for one in "abcdeFGH"])
        expected = len(texts) / 8
        chi = np.sum((counts - expected) ** 2 / expected)
        assert chi < 30  # 7 degrees of freedom: p = 1e-4


@each_set
def test_who_ignores_the_context_is_at_the_unit(name):
    """Its loss, by task, is 1 up to the standard error: units are right."""
    batch, _, losses = found(name)
    for group in range(len(made(name).group_names)):
        own = losses["no_context"][batch.targets.group == group]
        random = 0.02 if name == "words" else 1e-5  # its unit is a mean over 4,096 inputs
        assert abs(own.mean() - 1) <= 4 * own.std() / own.size**0.5 + random
        if name in ("digit", "letters"):
            np.testing.assert_allclose(own, 1.0, rtol=1e-5)


def test_the_marginal_predictor_knows_how_often_letters_come():
    """Of different letters drawn evenly: log 8 nats, and the newline is sure."""
    losses = found("letters")[2]["marginal"]
    np.testing.assert_allclose(losses, np.log(8) / np.log(3), rtol=1e-5)


def brute(texts, answers, chosen, upto):
    """Bayes' next-token law for `upto` tokens of the last answer, by going through all tasks."""
    fits = [
        t
        for t in chosen
        if all(sets.answers(t, [x])[0] == a for x, a in zip(texts[:-1], answers[:-1], strict=True))
    ]
    told = [sets.answers(t, [texts[-1]])[0] + "\n" for t in fits]
    told = [one for one in told if one.startswith(upto)]
    law = np.zeros(sets.VOCABULARY)
    for one in told:
        law[sets.encode(one[len(upto)])[0]] += 1 / len(told)
    return law


@each_set
def test_bayes_is_what_going_through_all_tasks_says(name):
    batch, chosen = drawn(name), groups(SETS[name])
    said = found(name)[1]["bayes"]
    width = said.shape[1] // SETS[name].examples
    for row in range(12):
        shown = lines(batch.inputs[row])
        law = special.softmax(said[row], axis=-1).reshape(-1, width, sets.VOCABULARY)
        for at in range(len(shown)):
            texts, answers = zip(*shown[: at + 1], strict=True)
            whole = answers[-1] + "\n"
            for place in range(len(whole)):
                wanted = brute(texts, answers, chosen, whole[:place])
                np.testing.assert_allclose(law[at, place], wanted, atol=1e-6)


def test_switching_draws_tasks_afresh():
    for switching, wanted in ((0.0, 0.0), (0.5, 1 / 3), (1.0, 2 / 3)):
        targets = jax.tree.map(lambda x: x[:300], found("digit", switching)[0].targets)
        own = targets.all_answers[np.arange(300), :, targets.group]
        differs = np.any(own != targets.answers.reshape(300, 7, -1), axis=-1)
        assert abs(differs.mean() - wanted) < 4 * (0.25 / differs.size) ** 0.5


def test_a_sequence_is_one_of_a_finite_pool():
    other = found("digit", first=30, noise=4)[0]
    np.testing.assert_array_equal(other.inputs[:570], drawn("digit", 600).inputs[30:])


@pytest.mark.parametrize("name", ["letters", "words", "digit", "pair", "uneven"])
def test_mixed_prompts_follow_the_order_and_end_in_a_query_that_tells(name):
    task, chosen = made(name), groups(SETS[name])
    order, asked = (1, 0, 0, 1), (1, 0)

    @jax.jit
    @jax.vmap
    def emit(seed):
        return task.groups.emit_mixed(
            jax.random.key(seed), jnp.array(asked)[jnp.array(order)], asked
        )

    prompts = jax.device_get(emit(np.arange(20, dtype=np.uint32)))
    for number in range(20):
        prompt = jax.tree.map(lambda x, number=number: x[number], prompts)
        *shown, query = sets.decode(prompt.prefix.tolist()).split("\n")
        assert len(shown) == 4
        for line, own in zip(shown, order, strict=True):
            text, answer = line.split("=" if name == "pair" else ">")
            assert (answer,) == sets.answers(chosen[asked[own]], [text])
        told = []
        for way, target, scored, number in zip(*prompt[1:4], asked, strict=True):
            (answer,) = sets.answers(chosen[number], [query])
            told.append(answer)
            assert sets.decode(target[scored].tolist()) == answer + "\n"
            assert way[0] == separator(name) and np.all(way[1:] == target[:-1])
        assert len(set(told)) == 2
        assert prompt.end == sets.NEWLINE


def test_a_prompt_may_be_without_examples():
    emit = lambda: made("digit").groups.emit_mixed(  # noqa: E731
        jax.random.key(0), jnp.zeros(0, jnp.int32), (0, 1)
    )
    prompt = jax.jit(emit)()
    assert prompt.prefix.shape == (1,) and prompt.ways.shape == (2, 2)


REFUSED = {
    "alike": ({"families": "ret1,first"}, "families", "ret1 and first answer alike (on 100%"),
    "repeated": ({"families": "plus0,plus1,plus0"}, "families", "'plus0': given twice"),
    "kinds": ({"families": "ret1,plus1"}, "families", "ret1 is of letters, plus1 of digit"),
    "few": ({"families": "ret1,ret2,ret3", "examples": 2}, "examples", "must be at least 3"),
    "far": ({"families": "ret1,ret6", "length": 4}, "families", "ret6: an input has 4 letters"),
    "unknown": ({"alphabet": "abcdefghé"}, "alphabet", "unknown character 'é' at 8"),
    "twice": ({"alphabet": "abcdefgha"}, "alphabet", "'a' is there twice"),
    "digit": ({"alphabet": "abcdefgh1"}, "alphabet", "'1' is not a letter"),
    "short": ({"alphabet": "abc"}, "alphabet", "must have at least 8 letters"),
    "case": (
        {"families": "copy,lower", "alphabet": "abcdefgh"},
        "families",
        "copy and lower answer alike",
    ),
    "name": ({"families": "plsu3"}, "families", "plsu3"),
    "one": ({"families": "ret3"}, "families", "ret3 alone leaves nothing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_one_line(case):
    changes, field, message = REFUSED[case]
    spec = Spec()
    values = {name: getattr(spec, name) for name in spec.__dataclass_fields__} | changes
    ((found, told),) = check(values)
    assert found == field and message in told and "\n" not in told


def test_the_papers_set_is_sound():
    ret = ",".join(f"ret{i}" for i in range(1, 9))
    assert not problems(ret, Spec().alphabet, 8, 101)
    assert not problems(",".join(f"plus{c}" for c in range(10)), "", 8, 101)


def test_the_tokenizer():
    assert sets.VOCABULARY == 103
    text = "".join(sets.CHARACTERS)
    assert sets.decode(sets.encode(text).tolist()) == text
    assert len(set(sets.encode(text).tolist())) == 100
    with pytest.raises(ValueError, match="unknown character '→' at 2"):
        sets.encode("ab→")
