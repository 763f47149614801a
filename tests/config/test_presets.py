"""Config files: found, listed, flattened; every failure one line that names the place."""

from pathlib import Path

import pytest

from plateaus.config import presets
from plateaus.config.schema import ConfigError

GOOD = '''
from ml_collections import ConfigDict

def get_config():
    task = ConfigDict({"name": "toy", "size": 3})
    return ConfigDict({"steps": 10, "rate": 0.5, "task": task}, convert_dict=False)

def wide(config):
    """Wider is better.

    More.
    """
    config.sweep = {"task.size": (5, 4, 3, 2, 1), "data.a": [1, 2]}

def plain(config):
    """Nothing swept."""
    config.task.size = config.task.size + 1

def paper(config):
    config.task.size = 100

def smoke(config):
    config.steps = 1

PRESETS = (wide, plain)
SCALES = {"small": None, "paper": paper}
'''


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments" / "configs").mkdir(parents=True)
    return tmp_path


def written(text, name="experiments/configs/toy.py"):
    Path(name).write_text(text)
    return Path(name)


def refusal(*arguments):
    with pytest.raises(ConfigError) as caught:
        presets.load(*arguments)
    (line,) = caught.value.problems
    assert "\n" not in line
    return line


def test_a_preset_is_flat_and_its_sweep_keeps_its_order():
    page = presets.load(written(GOOD), None, "small", False)
    assert page.fields == {"steps": 10, "rate": 0.5, "task.name": "toy", "task.size": 3}
    assert list(page.sweep) == ["task.size", "data.a"]
    assert page.sweep["task.size"] == (5, 4, 3, 2, 1)
    assert page.preset == "wide" and presets.title(page.doc) == "Wider is better."


def test_scale_comes_before_preset_and_smoke_last():
    page = presets.load(written(GOOD), "plain", "paper", True)
    assert page.fields["task.size"] == 101 and page.fields["steps"] == 1 and page.sweep == {}


@pytest.mark.parametrize("name", ["plain", "paper", "smoke"])
@pytest.mark.parametrize("parameters", ["config, scale", "config, *, scale='none'"])
@pytest.mark.parametrize("scale", ["small", "paper"])
def test_who_asks_for_the_scale_is_told_it(name, parameters, scale):
    text = GOOD.replace('"small": None', '"small": paper')
    text = text.replace(
        f"def {name}(config):", f"def {name}({parameters}):\n    config.told = scale"
    )
    text = text.replace('"steps": 10', '"told": "", "steps": 10')
    assert presets.load(written(text), "plain", scale, True).fields["told"] == scale


def test_smoke_cuts_a_sweep_to_three_values_with_its_ends():
    page = presets.load(written(GOOD), "wide", "small", True)
    assert page.sweep == {"task.size": (5, 3, 1), "data.a": [1, 2]}


@pytest.mark.parametrize("values", ["range(50)", "__import__('numpy').linspace(0, 49, 50)"])
def test_smoke_cuts_any_list_of_values(values):
    path = written(GOOD.replace("(5, 4, 3, 2, 1)", values))
    assert presets.load(path, "wide", "small", True).sweep["task.size"] in (
        (0, 24, 49),
        (0, 25, 49),
    )


def test_files_are_looked_up_here_then_under_experiments(here):
    deep = written(GOOD)
    assert presets.find("configs/toy.py") == (here / deep, None)
    assert presets.find("experiments/configs/toy.py:plain") == (here / deep, "plain")
    (here / "configs").mkdir()
    near = written(GOOD, "configs/toy.py")
    assert presets.find("configs/toy.py") == (here / near, None)
    assert presets.find(str(here / deep))[0] == here / deep


def test_the_repository_is_looked_up_last_from_any_folder():
    path, preset = presets.find("configs/sparse_parity.py:subset")
    assert path == presets.REPOSITORY / "experiments/configs/sparse_parity.py"
    assert preset == "subset"


@pytest.mark.parametrize(
    "name", ["configs/toi.py", "configs/toy", "toy", "experiments/configs/to.py:wide"]
)
def test_a_missing_file_names_the_places_and_the_nearest(name, here):
    written(GOOD)
    with pytest.raises(ConfigError) as caught:
        presets.find(name)
    (line,) = caught.value.problems
    assert str(here / "experiments") in line and line.endswith("did you mean configs/toy.py?")


def test_a_folder_is_no_config_file():
    with pytest.raises(ConfigError, match="no such file"):
        presets.find("configs")


def test_unknown_preset_and_scale_are_named_together():
    with pytest.raises(ConfigError) as caught:
        presets.load(written(GOOD), "wife", "papper", False)
    preset, scale = caught.value.problems
    assert "'wife'" in preset and "wide, plain" in preset and "did you mean wide?" in preset
    assert "'papper'" in scale and "did you mean paper?" in scale


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("get_config()", "get_config(", ":4: SyntaxError"),
        ("import ConfigDict", "import Confi", ":2: ImportError"),
        ("config.sweep =", "config.task.siz; config.sweep =", ":13: AttributeError: 'siz'"),
        ("config.sweep =", 'config["siz"]; config.sweep =', ":13: KeyError"),
        ("config.sweep =", "config.steps = 'x'; config.sweep =", ":13: TypeError: Could not"),
        (", convert_dict=False", "", ":13: ValueError: ConfigDict does not accept dots"),
        ("return", "raise SystemExit(3) #", ":6: SystemExit: 3"),
        ("return", "None #", "get_config() must return a ConfigDict"),
        ("SCALES", "SCALE", "a config file must define SCALES"),
        ("(wide, plain)", "()", ":25: PRESETS must be a list of functions"),
        ('{"task.size": (5, 4, 3, 2, 1), "data.a": [1, 2]}', "3", "must be a dict"),
    ],
)
def test_a_file_that_fails_is_one_line(old, new, expected):
    assert old in GOOD
    line = refusal(written(GOOD.replace(old, new)), None, "small", False)
    assert expected in line and "configs/toy.py" in line


def test_the_line_quoted_is_the_one_now_in_the_file():
    assert refusal(written("1/0"), None, "small", False).endswith("in `1/0`")
    assert refusal(written("2/0 # new"), None, "small", False).endswith("in `2/0 # new`")


def test_nul_bytes_and_bytecode(here):
    assert "null bytes" in refusal(written("\0"), None, "small", False)
    presets.load(written(GOOD), None, "small", False)
    assert [p.name for p in here.rglob("*")] == ["experiments", "configs", "toy.py"]


def test_listing_has_every_preset_with_its_claim(monkeypatch, here):
    monkeypatch.setattr(presets, "REPOSITORY", here)
    written(GOOD)
    assert presets.listing(presets.config_files()) == [
        "configs/toy.py",
        "  :wide   Wider is better. (default)",
        "  :plain  Nothing swept.",
    ]
    written("1/0", "experiments/configs/bad.py")
    with pytest.raises(ConfigError, match=r"configs/bad.py:1: ZeroDivisionError: .*`1/0`"):
        presets.listing(presets.config_files())


NAMES = ["zipf", "zipf_batches", "subset", "staircase"]
NAMES += ["curriculum", "every_step", "gradient_bias", "max_learning_rate", "pcgrad"]
NAMES += ["optimisers", "successor", "choice"]
OWN = ["progress"]  # a question of ours, at sizes of ours


@pytest.mark.parametrize("smoke", [False, True])
def test_sparse_parity_presets_are_as_the_paper_says(smoke):
    path, _ = presets.find("configs/sparse_parity.py")
    for preset in NAMES:
        page = presets.load(path, preset, "paper", smoke)
        assert page == presets.load(path, preset, "small", smoke)
        for word in ("Source:", "Command: python experiments/run.py", "Expected:", "Reached ("):
            assert word in page.doc, (preset, word)
        assert presets.title(page.doc).endswith((".", "?"))
        assert all(len(values) <= 3 for values in page.sweep.values()) or not smoke
        if not smoke:
            paper = {"task.dimension": 20, "task.relevant_bits": 6, "batch": 20, "seeds": 16}
            paper |= {"model.width": 40, "model.depth": 2, "optim.learning_rate": 0.1}
            assert paper.items() <= page.fields.items()
            assert page.fields["task.dataset_size"] == 50_000 * page.fields["batch"]
            assert page.fields["steps"] == (30_000 if preset == "optimisers" else 50_000)
    assert [line.split()[0] for line in presets.listing([path])[1:]] == [
        f":{n}" for n in NAMES + OWN
    ]


@pytest.mark.parametrize("smoke", [False, True])
def test_teacher_student_presets_are_complete(smoke):
    path, _ = presets.find("configs/teacher_student.py")
    for preset in ("heads", "functions"):
        page = presets.load(path, preset, "small", smoke)
        for word in ("Source:", "Command: python experiments/run.py", "Expected:", "Reached ("):
            assert word in page.doc, (preset, word)
        assert page.fields["task.name"] == "teacher_student" and page.sweep
        assert page.fields["seeds"] == (2 if smoke else 32)
