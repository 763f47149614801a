"""Values in pairs: on the command line, in a config file, refused, and run."""

import sys
import types

import pytest

from plateaus.build.recipes import sections
from plateaus.config import presets
from plateaus.config.pairs import expanded
from plateaus.config.schema import entries
from plateaus.config.values import unknown
from plateaus.jobs import cli

CONFIG = "--config=configs/sparse_parity.py"
PAIR = "optim.learning_rate,data.zipf_exponent"
NAMES = ("learning_rate=0.001 zipf_exponent=0", "learning_rate=0.01 zipf_exponent=0.75")
SETTINGS = [
    {"optim.learning_rate": 0.001, "data.zipf_exponent": 0.0},
    {"optim.learning_rate": 0.01, "data.zipf_exponent": 0.75},
]


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """The plan of a command line, which is not run."""
    monkeypatch.chdir(tmp_path)
    calls = []
    fake = types.ModuleType("plateaus.jobs.run")
    fake.execute = lambda *arguments: calls.append(arguments) or 7
    monkeypatch.setitem(sys.modules, "plateaus.jobs.run", fake)

    def plan(*words):
        assert cli.main(list(words)) == 7
        return calls[-1][0]

    return plan


@pytest.mark.parametrize(
    "text", [f"{PAIR}=1e-3:0,1e-2:.75", f" {PAIR.replace(',', ' , ')} = .001:0, .01 : 0.75"]
)
def test_pairs_are_settings_and_no_product(text, planned):
    plan = planned(CONFIG, "--sweep", text)
    assert plan.sweep == {"variant": NAMES} and list(plan.variants.values()) == SETTINGS


def test_pairs_stand_where_they_are_written_beside_other_fields(planned):
    plan = planned(CONFIG, "--sweep=data.subset=1,.1", "--sweep", f"{PAIR}=1e-3:0,1e-2:.75")
    assert list(plan.sweep.items()) == [("data.subset", (1.0, 0.1)), ("variant", NAMES)]


def test_two_pairs_are_a_product(planned):
    other = "--sweep=data.subset,batch=1:8,.5:16"
    plan = planned(CONFIG, "--sweep", f"{PAIR}=1e-3:0,1e-2:.75", other)
    assert list(plan.variants) == [
        f"{first} + {second}"
        for first in NAMES
        for second in ("subset=1 batch=8", "subset=0.5 batch=16")
    ]
    assert plan.variants[f"{NAMES[1]} + subset=0.5 batch=16"] == {
        **SETTINGS[1], "data.subset": 0.5, "batch": 16,
    }  # fmt: skip


def test_pairs_beside_variants_are_a_product_of_those_chosen():
    schema = entries(sections({"task.name": "sparse_parity", "model.name": "mlp"}))
    variants = {"plain": {}, "small": {"batch": 4}, "large": {"batch": 64}}
    sweep = {"variant": ("plain", "large"), "data.subset,data.zipf_exponent": [(1, 0)]}
    swept, settled, problems = expanded(schema, sweep, variants)
    assert problems == [] and swept == {"variant": tuple(settled)}
    assert settled == {
        "plain + subset=1 zipf_exponent=0": {"data.subset": 1.0, "data.zipf_exponent": 0.0},
        "large + subset=1 zipf_exponent=0": {
            "batch": 64, "data.subset": 1.0, "data.zipf_exponent": 0.0,
        },
    }  # fmt: skip


def test_each_variant_has_values_of_its_own(planned):
    """The variants that are not named with values are not run, also not in a product."""
    config, key = "--config=configs/sparse_parity.py:pcgrad", "--sweep=variant,optim.learning_rate"
    names = {"pcgrad + learning_rate=0.1": 0.1, "mean + learning_rate=0.3": 0.3}
    plan = planned(config, f"{key}=pcgrad:.1,mean:.3")
    assert plan.sweep == {"variant": tuple(names)}
    by_itself = planned(config, "--sweep=variant=pcgrad,mean").variants
    for (name, rate), variant in zip(names.items(), ("pcgrad", "mean"), strict=True):
        assert plan.variants[name] == {**by_itself[variant], "optim.learning_rate": rate}


def test_a_variant_in_a_pair_is_refused_in_a_line(capsys):
    config = "--config=configs/sparse_parity.py:pcgrad"
    for option, said in (
        ("variant,batch=pcgrat:8", "variant = 'pcgrat': no such variant; did you mean pcgrad?"),
        ("variant,optim.aggregator=pcgrad:mean", "is swept as well; keep one"),
        ("variant,batch=pcgrad:8,pcgrad:8", "pcgrad + batch=8: given twice in the sweep"),
    ):
        assert cli.main([config, "--sweep", option]) == 2
        line = capsys.readouterr().err
        assert said in line and line.count("\n") == 1, line


@pytest.mark.parametrize("key", ['("optim.learning_rate", "data.zipf_exponent")', f'"{PAIR}"'])
@pytest.mark.parametrize(
    "values", ["[(1e-3, 0), (1e-2, .75)]", "np.array([[1e-3, 0], [1e-2, .75]])", "zip_list"]
)
def test_pairs_in_a_config_file(key, values, planned, tmp_path):
    path = presets.REPOSITORY / "experiments" / "configs" / "sparse_parity.py"
    values = values.replace("zip_list", "list(zip([1e-3, 1e-2], [0, .75]))")
    source = path.read_text(encoding="utf-8") + (
        "\n\nimport numpy as np\n\n\ndef together(config):\n"
        f'    """Together."""\n    config.sweep = {{{key}: {values}}}\n\n\n'
        "PRESETS = (*PRESETS, together)\n"
    )
    (tmp_path / "my.py").write_text(source, encoding="utf-8")
    for words in (["--config=my.py:together"], ["--config=my.py:together", "--smoke"]):
        plan = planned(*words)
        assert plan.sweep == {"variant": NAMES} and list(plan.variants.values()) == SETTINGS


REFUSED = [
    (f"{PAIR}=1:2:3", f"--sweep {PAIR}: 1:2:3: must be v:v, one value for each of the 2 fields"),
    (f"{PAIR}=1", f"--sweep {PAIR}: 1: must be v:v, one value for each of the 2 fields"),
    (f"{PAIR}=fast:1", f"optim.learning_rate = 'fast' in {PAIR}: must be a number"),
    (f"{PAIR}=1:2,1.0:2", f"{PAIR} = learning_rate=1 zipf_exponent=2: given twice in the sweep"),
    ("optim.lr,data.subset=1:1", "optim.lr: no such field; did you mean optim.learning_rate?"),
    ("batch,batch=1:1", "batch,batch: names a field twice"),
    ("seeds,batch=1:1", "seeds: is the same for a whole sweep, and cannot be in seeds,batch"),
]


@pytest.mark.parametrize(("text", "line"), REFUSED)
def test_refused_pairs(text, line, capsys):
    assert cli.main([CONFIG, "--sweep", text]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {line}") and said.count("\n") == 1


def test_a_field_in_a_pair_and_by_itself(capsys):
    assert cli.main([CONFIG, "--sweep", f"{PAIR}=1:1", "--sweep=data.zipf_exponent=1,2"]) == 2
    line = f"error: data.zipf_exponent: is swept alone and in {PAIR}; keep one\n"
    assert capsys.readouterr().err == line
    assert cli.main([CONFIG, "--sweep", f"{PAIR}=1:1", "--config.data.zipf_exponent=1"]) == 2
    line = (
        "error: data.zipf_exponent: both --sweep and --config.data.zipf_exponent given; keep one\n"
    )
    assert capsys.readouterr().err == line


# Lists and ranges as other tools write them.


@pytest.mark.parametrize(
    "text", ["1e-4,1e-3,1e-2", "[1e-4, 1e-3, 1e-2]", "(1e-4,1e-3,1e-2)", "1e-4:1e-2:3log"]
)
def test_lists_in_brackets_are_lists(text, planned):
    plan = planned(CONFIG, "--sweep", f"optim.learning_rate={text}")
    assert plan.sweep == {"optim.learning_rate": (1e-4, 1e-3, 1e-2)}


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("1e-4:1e-2", "; a range is 1e-4:1e-2:5, or 1e-4:1e-2:5log"),
        ("logspace(-4,-2,3)", "; write 0.0001:0.01:3log"),
        ("np.geomspace(1e-4, 1e-2, 3)", "; write 0.0001:0.01:3log"),
        ("jnp.linspace(.1,.5,5)", "; write 0.1:0.5:5"),
        ("range(1,5)", "; a range is A:B:N, or A:B:Nlog"),
        ("logspace(a,b)", "; a range is A:B:N, or A:B:Nlog"),
        ("fast", "]"),
    ],
)
def test_what_is_meant_as_a_range_is_told_how_to_be_one(text, end, capsys):
    assert cli.main([CONFIG, "--sweep", f"optim.learning_rate={text}"]) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"{end}\n") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("optim.accumulate", "batch? gradients are not accumulated over steps; a larger batch"),
        ("gradient_accumulation_steps", "batch? gradients are not accumulated"),
        ("optim.every_k_schedule", "batch? gradients are not accumulated"),
        ("accumulate_grad_batches", "batch? gradients are not accumulated"),
        ("lr", "optim.learning_rate?"),
        ("batch_size", "batch?"),
        ("num_epochs", "steps? a run has so many steps"),
        ("max_grad_norm", "optim.clip_norm?"),
        ("model.d_model", "model.width?"),
        ("model.num_layers", "model.depth?"),
        ("eval_interval", "eval_every?"),
        ("optim.warmup", "optim.warmup_steps?"),
    ],
)
def test_names_of_other_tools_are_understood(name, field):
    schema = entries(sections({"task.name": "sparse_parity", "model.name": "mlp"}))
    assert unknown(name, schema).startswith(f"no such field; did you mean {field}")
