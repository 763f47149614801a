"""Every page of docs/add: its files taken out of it, registered as it says, and run."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.build import registry
from plateaus.data import designs
from plateaus.data.mixers import registry as mixers
from plateaus.evidence import claim
from plateaus.jobs import cli
from plateaus.measures import registry as measures
from plateaus.optim import optimisers
from plateaus.report import store
from plateaus.tasks.contract import Traced, fits, sound
from plateaus.tasks.families import registry as families

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "add"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.stem != "index")
REGISTRIES = (
    *(registry.TASKS, registry.MODELS, mixers.MIXERS, families.FAMILIES, measures.INSTRUMENTS),
    *(designs.INTERVENTIONS, optimisers.TRANSFORMATIONS),
)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def loaded(path):
    """A Python file as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"beside_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = loaded(Path(__file__).with_name("pages.py"))


@pytest.fixture(autouse=True)
def taken_out(tmp_path, monkeypatch):
    """A folder for each page, with its files; what is registered ends with the test."""
    before = [dict(names) for names in REGISTRIES]
    modules = []
    monkeypatch.setattr(sys, "path", [*sys.path])  # a config file adds its folder
    for page in PAGES:
        (tmp_path / page.stem).mkdir()
        for block in pages.blocks(page):
            if block.language in ("python", "toml") and block.title.endswith((".py", "my.toml")):
                (tmp_path / page.stem / block.title).write_text(block.text, encoding="utf-8")
                modules.append(Path(block.title).stem)
    yield tmp_path
    for names, own in zip(REGISTRIES, before, strict=True):
        names.clear()
        names.update(own)
    for name in modules:
        sys.modules.pop(name, None)


def registered(folder, page, *words):
    """Read a page's config file, which registers what it brings; return its plan."""
    return cli.planned(cli.parse([f"--config={folder / page / 'own.py'}", "--smoke", *words]))[0]


def results(folder, page, *words):
    """Run a page's config, made smaller by words; return the results."""
    config = f"--config={folder / page / 'own.py'}"
    assert cli.main([config, "--smoke", f"--workdir={folder / 'run'}", "--quiet", *words]) == 0
    return store.load(folder / "run" / "results.nc")


@each_page
def test_its_files_are_short_and_its_lines_are_there(page):
    """30 to 60 lines of the thing itself; and what a diff leaves as it is stands in the file."""
    own = [b for b in pages.blocks(page, "python") if b.title != "own.py"]
    assert len(own) == (page.stem != "claim")
    for block in own:
        lines = [line for line in block.text.splitlines() if line.strip()]
        assert 30 <= len(lines) <= 66, len(lines)
        assert all(len(line) <= 100 for line in lines)
    for block in pages.blocks(page, "diff"):
        text = (ROOT / block.title).read_text(encoding="utf-8")
        kept = "".join(line[1:] + "\n" for line in block.text.splitlines() if line[0] == " ")
        added = [line[1:].strip() for line in block.text.splitlines() if line[0] == "+"]
        assert kept in text and added[0] not in text


@each_page
def test_its_commands_are_accepted(page, taken_out, monkeypatch):
    monkeypatch.chdir(taken_out / page.stem)
    commands = [
        line
        for block in pages.blocks(page, "bash")
        for line in re.findall(r"-m plateaus run (.*)", block.text)
    ]
    assert commands or page.stem == "claim"
    for command in commands:
        arguments = cli.parse(shlex.split(command, comments=True))
        assert not arguments.problems and not arguments.unknown
        if "--fields" not in command:
            cli.planned(arguments)


def held_to(component, name):
    """The contract of tasks, with this one among them, and knobs that act and that do not."""
    contract = loaded(ROOT / "tests" / "contracts" / "test_task_contract.py")
    values = loaded(ROOT / "tests" / "contracts" / "conftest.py").knob_values(component)
    acting = contract.knobs_of(name, **{key: v.first for key, v in values.items()})
    neutral = contract.knobs_of(name, **{key: v.neutral for key, v in values.items()})
    return contract, (lambda _: acting), (lambda _: neutral), (lambda _: values)


def test_task(taken_out):
    name = "modular_addition"
    registered(taken_out, "task")
    component = registry.TASKS[name]
    traced = Traced(component.make(component.spec()), component.knobs())
    assert list(sound(traced, "vector")) == []
    mlp = registry.MODELS["mlp"]
    assert list(fits(mlp.make(mlp.spec(), traced.task, traced.example), traced)) == []
    contract, acting, neutral, values = held_to(component, name)
    contract.test_an_example_is_a_function_of_seed_and_index(name, acting)
    contract.test_members_differ_by_their_seed_alone(name, acting)
    contract.test_every_knob_acts_and_all_values_share_one_trace(name, acting, values)
    contract.test_neutral_knobs_leave_the_test_law(name, neutral)
    contract.test_the_best_predictor_beats_the_uninformed_one(name, neutral)
    _, train, test = contract.drawn(name)(
        0, contract.indices(name), contract.numbers(), neutral(name)
    )
    found = []
    for one in (train, test):  # the law, in integers
        a, b = (half.argmax(axis=1) for half in np.split(one.inputs, 2, axis=1))
        np.testing.assert_array_equal(one.targets, (a + b) % 23)
        found.append(set(zip(a.tolist(), b.tolist(), strict=True)))
    assert not found[0] & found[1]


def test_mixer_and_family(taken_out):
    for page in ("mixer", "family"):
        registered(taken_out, page)
    contract = loaded(ROOT / "tests" / "contracts" / "test_mixer_contract.py")
    for case in contract.CASES:
        contract.test_weights_are_a_simplex_whatever_comes("progress", {}, case)
    contract.test_reordered_groups_are_reordered_weights("progress", {}, "random")
    contract.test_groups_that_tell_the_same_weigh_the_same("progress", {})
    contract.test_numbers_are_traced_and_act("progress", "heat")
    contract.test_what_the_registry_says_of_it("progress")

    @jax.jit
    def after(losses):
        rule, half = mixers.MIXERS["progress"].make(), jnp.full(2, 0.5)
        state = rule.init(2)
        for loss in losses:
            count = jnp.where(jnp.isnan(loss), 0.0, 1.0)
            signals = contract.Round(half, loss, count, half, *[None] * 5)
            weights, state = rule.update(signals, state, contract.knobs_of("progress", heat=2), 0)
        return weights

    # the first group, not drawn in between, has come from 2 to 1; the other stands still
    weights = after(jnp.array([[2.0, 1.0], [jnp.nan, 1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(weights, np.exp([1, 0]) / np.exp([1, 0]).sum(), rtol=1e-5)

    law = families.family("sign_linear", families.Sizes(dimension=3))
    x = np.random.default_rng(0).standard_normal((400, 3)).astype(np.float32)
    w = np.float32([1.0, -2.0, 0.5])
    y = np.asarray(law.signal(jnp.asarray(w), jnp.asarray(x)))
    np.testing.assert_array_equal(y, np.sign(x.astype(np.float64) @ w))
    assert np.mean(y**2) == law.no_context_loss and not np.any(law.no_context(jnp.asarray(x)))

    few = "model.width=8 model.depth=1 model.heads=1 task.points=4 batch=16 data.round_steps=10"
    few += " steps=200 eval_every=100 log_every=50 task.families=linear,sign_linear"
    words = [f"--config.{word}" for word in few.split()]
    found = results(taken_out, "mixer", *words, "--seeds=1")
    assert found["test_loss_by_task"].sel(task="sign_linear").isel(eval_step=0).min() > 0.9
    shares = found["train_mixture_by_task"].squeeze("seed")
    np.testing.assert_allclose(shares.sum("task"), 1, rtol=1e-5)
    even = shares.sel({"data.progress_heat": 0.0})
    np.testing.assert_allclose(even, 0.5, rtol=1e-6)
    assert abs(shares.sel({"data.progress_heat": 5.0}) - 0.5).max() > 1e-3


def test_optimiser(taken_out):
    plan = registered(taken_out, "optimiser")
    assert plan.sweep == {"optim.slow_gain": (0.0, 1.0, 2.0)}
    gradients = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    knobs = optimisers.knobs_with_rates(())

    def updates(gain, used):
        made = optimisers.optimiser(optimisers.Spec(name="sgd"), used)

        def step(state, gradient):
            update, state = made(at).update(gradient, state)
            return state, update

        at = knobs(learning_rate=1.0, slow_gain=gain, slow_decay=0.9)
        return jax.lax.scan(step, made(at).init(gradients[0]), gradients)[1]

    both = jax.jit(
        lambda gains: (
            jax.vmap(lambda gain: updates(gain, frozenset(["slow_gain"])))(gains),
            updates(0.0, frozenset()),
        )
    )
    (neutral, doubled), plain = both(jnp.array([0.0, 2.0]))
    np.testing.assert_array_equal(neutral, plain)
    weights = [[0.1 * 0.9 ** (t - s) if s <= t else 0 for s in range(5)] for t in range(5)]
    expected = -(gradients + 2 * np.array(weights) @ gradients)
    np.testing.assert_allclose(doubled, expected, rtol=1e-5)


def test_intervention(taken_out):
    registered(taken_out, "intervention")
    size, few, batch, steps = 50, 5, 64, 500
    knobs = designs.knobs_of(())

    @jax.jit
    def draws(shares):
        def of(share, used):
            source = designs.design(designs.Spec(), batch, size, used)
            plan = source.prepare(knobs(favourites_share=share, favourites=few), size)
            key, index = jax.random.key(0), jnp.arange(-1, size + 1)
            drawn = jax.vmap(lambda t: source.draw(key, (), plan, t).index)(jnp.arange(steps))
            return drawn, source.log_prob(plan, index, 0)

        own = jax.vmap(lambda share: of(share, frozenset(["favourites_share"])))(shares)
        return own, of(0.0, frozenset())

    ((neutral, some), (even, p)), (plain, plain_p) = draws(jnp.array([0.0, 0.3]))
    np.testing.assert_array_equal(neutral, plain)
    np.testing.assert_array_equal(even, plain_p)
    p = np.exp(np.float64(p))
    law = np.where(np.arange(size) < few, 0.7 / size + 0.3 / few, 0.7 / size)
    np.testing.assert_allclose(p, [0, *law, 0], rtol=1e-5)
    frequency = np.bincount(np.ravel(some), minlength=size) / (batch * steps)
    assert np.all(np.abs(frequency - law) < 5 * np.sqrt(law / (batch * steps)))


def test_model(taken_out, monkeypatch):
    registered(taken_out, "model")
    monkeypatch.setattr(registry, "PAIRS", (("deep_linear", "teacher_student"),))
    contract = loaded(ROOT / "tests" / "contracts" / "test_model_contract.py")
    pair = ("deep_linear", "vector")
    contract.test_members_differ_and_repeat(pair)
    contract.test_an_example_does_not_see_its_neighbours(pair)
    contract.test_every_activation_can_be_captured_and_edited(pair)
    contract.test_every_parameter_has_a_finite_gradient_that_is_not_zero(pair)
    contract.test_gram_of_single_gradients_is_exact_and_needs_no_fallback(pair)
    contract.test_taps_cost_nothing_when_unused(pair)
    contract.test_layers_are_the_keys_of_the_parameters(pair)
    model, *_ = contract.compiled(pair)
    members, _, batch = contract.built(pair)
    params = contract.member(members)
    said = np.asarray(model.apply(params, batch.inputs)[0])
    product = np.linalg.multi_dot([params[name]["kernel"] for name in model.activations])
    np.testing.assert_allclose(said, (batch.inputs @ product).reshape(said.shape), rtol=1e-3)


def test_one_run_of_five_parts(taken_out):
    """A task, a model, an instrument, an intervention and a transformation, in one program."""
    for page in ("task", "instrument", "intervention", "optimiser"):
        registered(taken_out, page)
    few = "task.name=modular_addition model.depth=1 model.width=3 batch=8 activation_rank=True"
    few += " steps=40 eval_every=20 log_every=20 eval_points=64 optim.slow_gain=1"
    few += " data.favourites_share=.5 data.favourites=3"
    words = [f"--config.{word}" for word in few.split()]
    words += ["--sweep", "optim.learning_rate=0.5,0.1", "--seeds=1"]
    found = results(taken_out, "model", *words)
    ranks = found["activation_rank_hidden_0"]
    assert ranks.dims[-1] == "eval_step" and np.all((ranks >= 1) & (ranks <= 3 + 1e-4))
    assert "activation_rank_readout" not in found
    np.testing.assert_allclose(found["uninformed_loss"], np.log(23), rtol=1e-5)
    loss = found["train_loss"].squeeze("seed").sel({"optim.learning_rate": 0.5})
    assert np.isfinite(loss).all() and loss[-1] < loss[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("INTERVENTIONS['favourites'] = FAVOURITES.change", "must be of Intervention, is the func"),
        ("INTERVENTIONS['again'] = FAVOURITES", "declared twice: favourites_share, favourites"),
    ],
)
def test_what_cannot_be_added_is_refused_in_a_line(taken_out, line, message, capsys):
    config = taken_out / "intervention" / "own.py"
    config.write_text(config.read_text(encoding="utf-8") + f"\n\n{line}\n", encoding="utf-8")
    assert cli.main([f"--config={config}", "--smoke"]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_claim(taken_out, monkeypatch, capsys):
    monkeypatch.chdir(taken_out / "claim")
    for name in ("own.py", "slow_gradients.py"):
        text = (taken_out / "optimiser" / name).read_text(encoding="utf-8")
        (taken_out / "claim" / name).write_text(text, encoding="utf-8")
    assert claim.read(Path("my.toml")).horizon == 20_000
    from plateaus.evidence import cli as claims

    words = ["--claim", "my.toml", "--pilot", "--dry-run"]
    assert claims.main(words, ROOT / "experiments", "claim") == 0
    assert "mine.slow" in capsys.readouterr().out
