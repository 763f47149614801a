"""Linear regression and facts by the command line: bad settings, infinity, batches by items."""

import sys
import types

import jax
import pytest

from plateaus.build import recipes
from plateaus.build.registry import DATA
from plateaus.fields import INFINITE
from plateaus.jobs import cli, sweep

LR, FACTS = "--config=lr.py", "--config=facts.py"
TEXT = '''"""A config."""
from ml_collections import ConfigDict

def get_config():
    return ConfigDict({{
        "steps": 100, "batch": 16, "seeds": 2, "eval_every": 50, "log_every": 50, "eval_points": 80,
        "task": ConfigDict({task}), "data": ConfigDict(),
        "model": ConfigDict({{"name": "transformer", "width": 8, "depth": 2, "heads": 2,
            "max_positions": 8}}),
        "optim": ConfigDict({{"name": "adam", "learning_rate": 1e-3}}),
    }}, convert_dict=False)

def tasks(config):
    """Some."""
    config.sweep = {{"optim.learning_rate": (1e-3,)}}

PRESETS, SCALES = (tasks,), {{"small": None, "paper": None}}

def smoke(config):
    """Smaller."""
'''
TASKS = {
    "lr.py": {"name": "linear_regression", "dimension": 3, "points": 4},
    "facts.py": {"name": "facts", "subjects": 20, "relations": 2, "answers": 3},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, task in TASKS.items():
        (tmp_path / name).write_text(TEXT.format(task=task))


@pytest.fixture
def executed(monkeypatch):
    """Stand in for the run itself: what it was asked to do."""
    calls: list = []
    fake = types.ModuleType("plateaus.jobs.run")
    fake.execute = lambda *arguments: calls.append(arguments) or 7
    monkeypatch.setitem(sys.modules, "plateaus.jobs.run", fake)
    return calls


REFUSALS = [
    ([LR, "--config.model.heads=3"], "model.heads = 3: ", "model.width"),
    ([LR, "--config.task.pool=3e9"], "task.pool = 3000000000: must be in [1, 2147483646] or inf"),
    ([LR, "--config.data.items=3e9"], "data.items = 3000000000: must be in [1, 2147483646] or inf"),
    (
        [LR, "--config.data.curriculum_start=64", "--config.data.items=64"],
        "data.curriculum_start = 64: does not grow",
    ),
    (
        [LR, "--config.data.curriculum_start=65", "--config.task.pool=64"],
        "data.curriculum_start = 65: does not grow: 64 items are in play",
    ),
    ([FACTS, "--config.data.items=21"], "data.items = 21: must be at most 20: facts has no more"),
    ([FACTS, "--sweep=data.items=5,21"], "data.items = 21: must be at most 20: facts has no more"),
    (
        [LR, "--config.optim.rate_readuot=0"],
        "optim.rate_readuot = '0': no such field; did you mean optim.rate_readout?",
    ),
    (
        [LR, "--sweep=optim.rate_readuot=0,1"],
        "optim.rate_readuot: no such field; did you mean optim.rate_readout?",
    ),
    ([LR, "--config.optim.rate_block_7=0"], "optim.rate_block_7 = '0': no such", "rate_block_"),
    (
        [LR, "--config.optim.rate_block_1=0", "--sweep=model.depth=1,2"],
        "optim.rate_block_1 = 0.0: no such layer here; there are ",
    ),
    ([LR, "--config.optim.rate_readout=-1"], "optim.rate_readout = -1.0: must be in [0,"),
    (
        [LR, "--config.optim.decay_start=100", "--config.optim.decay_steps=10"],
        "optim.decay_start = 100: does not begin within the run: it has 100 steps",
    ),
    (
        [LR, "--sweep=optim.decay_steps=0,10", "--config.optim.decay_start=1e3"],
        "optim.decay_start = 1000: does not begin within the run",
    ),
    (
        [LR, "--config.optim.decay_shape=cosine"],
        "optim.decay_shape = 'cosine': does nothing without a decay: give optim.decay_steps",
    ),
    (
        [LR, "--config.model.name=mlp"],
        "model.name = mlp: takes a vector, but linear_regression emits tokens; use transformer",
    ),
    ([LR, "--config.model.max_positions=7"], "model.max_positions = 7: must be at least 8"),
    ([FACTS, "--config.model.max_positions=5"], "model.max_positions = 5: must be at least 6"),
    ([LR, "--config.model.tied=true"], "model.tied = True: continuous tokens have no embedding"),
    ([FACTS, "--config.eval_points=100"], "eval_points = 100: must be a multiple of", "(40)"),
    (
        [LR, "--config.batch_per_item=1", "--config.data.items=inf"],
        "batch_per_item = 1.0: needs a finite data.items",
    ),
    (
        [LR, "--config.batch_per_item=1024", "--sweep=data.items=64,2048"],
        "batch_per_item = 1024.0: gives 2097152 examples to a step",
    ),
    ([LR, "--config.task.points=1e9", "--config.model.positions=rotary"], "task.points", "65536]"),
    (
        [LR, "--config.data.items=64", "--config.task.dmmse_tasks=63"],
        "task.dmmse_tasks = 63: must be at least the number of tasks, 64",
    ),
    (
        [LR, "--config.data.curriculum_start=8", "--config.data.curriculum_step=100"],
        "data.curriculum_start = 8: does not grow: its first stage takes 100 steps",
    ),
    ([LR, "--config.data.curriculum_doubling=.5"], "data.curriculum_doubling = 0.5: does not grow"),
    (
        [FACTS, "--config.data.items=15", "--config.data.zipf_over=batches"],
        "batch = 16: must be at most the items in play (15), cut into batches",
    ),
    ([LR, "--config.task.dimension=1", "--config.task.covariance_bias=.5"], "task.covariance_bias"),
    ([LR, "--config.gradient_batches=1"], "gradient_batches = 1: must be 0, or at least 2"),
    (
        [LR, "--config.batch=1", "--config.optim.aggregator=pcgrad"],
        "optim.aggregator = 'pcgrad': needs two examples to a step",
    ),
    ([LR, "--sweep=gradient_batches=0,4"], "gradient_batches: cannot be swept"),
    ([LR, "--config.optim.aggregator=pcgard"], "optim.aggregator = 'pcgard'", "pcgrad"),
]


@pytest.mark.parametrize(("words", "expected"), [(w, e) for w, *e in REFUSALS])
def test_one_clear_line(words, expected, executed, capsys):
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1, err
    assert not executed
    for text in expected:
        assert text in err


ACCEPTED = [
    [LR],
    [FACTS],
    [LR, "--config.data.items=inf"],
    [LR, "--config.data.curriculum_start=63", "--config.data.items=64"],
    [FACTS, "--config.data.items=20"],
    [LR, "--config.model.max_positions=1", "--config.model.positions=rotary"],
    [FACTS, "--config.model.tied=true"],
    [FACTS, "--config.eval_points=40"],
    [LR, "--config.data.curriculum_start=8", "--config.data.curriculum_step=99"],
    [LR, "--sweep=model.depth=1,2,3"],
    [LR, "--config.optim.rate_block_1=0"],
    [LR, "--sweep=optim.rate_readout=0,1"],
    [LR, "--sweep=model.depth=1,2", "--config.optim.rate_block_0=0"],
    [LR, "--config.optim.decay_start=99", "--config.optim.decay_steps=10"],
    [LR, "--config.optim.decay_start=100"],  # there is no decay
    [LR, "--sweep=optim.decay_shape=linear,cosine", "--config.optim.decay_steps=10"],
    [LR, "--sweep=optim.name=sgd,lion,muon,schedule_free_sgd,schedule_free_adam"],
    [LR, "--sweep=optim.clip_norm=0,1", "--sweep=optim.weight_decay=0,.01"],
]


@pytest.mark.parametrize("words", ACCEPTED, ids=" ".join)
def test_just_inside_is_accepted(words, executed):
    assert cli.main(words) == 7 and len(executed) == 1


def test_a_curriculum_that_starts_with_the_whole_pool_does_not_grow(executed):
    assert cli.main([LR, "--config.data.curriculum_start=64", "--config.task.pool=64"]) == 2


@pytest.mark.parametrize("text", ("inf", "Inf", "infinity", str(INFINITE)))
def test_infinity_is_the_top_of_a_lazy_range(text, executed):
    assert cli.main([LR, f"--sweep=data.items={text},8", f"--config.task.pool={text}"]) == 7
    plan, _ = executed[0]
    assert plan.sweep == {"data.items": (INFINITE, 8)} and plan.config["task.pool"] == INFINITE


def test_infinity_is_no_other_number(executed, capsys):
    for field in ("batch", "optim.learning_rate", "data.subset"):
        assert cli.main([LR, f"--config.{field}=inf"]) == 2
        assert f"{field} = inf: must be" in capsys.readouterr().err


def of(executed, *words):
    assert cli.main([LR, *words]) == 7
    plan, _ = executed[-1]
    return plan, sweep.programs(plan, sweep.members(plan))


def test_a_batch_by_items_makes_a_program_for_each_batch(executed):
    swept = "--sweep=data.items=64,128,inf"
    _, (one,) = of(executed, swept)
    assert recipes.batch_of(one.config) == 16 and len(one.members) == 6
    plan, programs = of(
        executed, "--config.batch_per_item=.25", "--sweep=data.items=64,128,130,512"
    )
    assert [recipes.batch_of(program.config) for program in programs] == [
        16,
        32,
        128,
    ]  # 32.5: half to even
    assert [len(program.members) for program in programs] == [2, 4, 2]
    assert [m.values for m in programs[1].members] == [(128,), (128,), (130,), (130,)]
    for program in programs:
        recipe = recipes.make_recipe(program.resolved, program.used)
        for member in program.members:
            assert recipes.batch_of(sweep.setting(plan, member)) == recipes.batch_of(program.config)
        draw = jax.eval_shape(
            lambda key, r=recipe: r.source.draw(
                key, (), r.source.prepare(DATA.knobs(), r.task.size), 0
            ),
            jax.eval_shape(jax.random.key, 0),
        )
        assert draw.index.shape == (recipes.batch_of(program.config),)


def test_a_batch_by_items_holds_an_example_at_least(executed):
    _, (program,) = of(executed, "--config.batch_per_item=.01", "--sweep=data.items=8,16")
    assert recipes.batch_of(program.config) == 1
