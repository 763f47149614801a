"""Real models from the command line: one clear refusal of bad input, and all files of a run."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from plateaus.config.presets import REPOSITORY
from plateaus.measures.superposition import summary as superposition
from plateaus.real_models import hugging_face
from plateaus.real_models import main as real_models
from plateaus.real_models.arguments import parser, plan
from plateaus.real_models.prompts import prompts
from plateaus.real_models.text_sets import SETS

SCRIPT = REPOSITORY / "experiments" / "real_models.py"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder that looks like a model's as far as anything light can tell."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "gpt2"}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(*words):
    return plan(parser().parse_args(["model", *words]))


def test_the_plan():
    made = planned()
    assert made.tasks == ("left", "right", "sum") and made.shares == {"1:1:1": (1.0, 1.0, 1.0)}
    assert made.examples == 60 and made.prompts == 100 and made.exact  # as in the paper's settings
    assert made.workdir == Path("runs/real_models-pair-model")
    assert planned("--set", "add").examples == 80 and planned("--set=country").examples == 60
    made = planned(
        "--set=word", "--tasks=last,first", "--shares=1:1, .5:1.5", "--order=iid",
        "--examples=2", "--prompts=7", "--seed=3", "--batch=1", "--workdir=out",
    )  # fmt: skip
    assert made.tasks == ("last", "first") and made.shares[".5:1.5"] == (0.5, 1.5)
    assert (made.examples, made.prompts, made.seed, made.batch, made.exact) == (2, 7, 3, 1, False)
    assert len(prompts(made, (1, 1))) == 7


REFUSALS = [
    ([], ["no DIR given"]),
    (["nowhere"], ["DIR = nowhere: no such folder"]),
    (["."], ["DIR = .: is no Hugging Face model: it has no config.json"]),
    (["model", "--set", "pear"], ["--set = 'pear': no such task set; did you mean pair?"]),
    (["model", "--set", "zzz"], ["no such task set (known: add, country, pair, word)"]),
    (["model", "--tasks", "left,rigt"], ["no pair task 'rigt'; did you mean right?"]),
    (["model", "--tasks", "left"], ["at least two tasks"]),
    (["model", "--tasks", "left,left"], ["--tasks = 'left,left': 'left': given twice"]),
    (["model", "--examples", "2"], ["--examples = 2: must be at least 3: there are more tasks"]),
    (["model", "--examples", "8100"], ["--examples = 8100: must be in [1, 8099]"]),
    (["model", "--set=word", "--examples=172"], ["must be in [1, 171]"]),
    (["model", "--examples", "many"], ["--examples = 'many': must be an integer"]),
    (["model", "--prompts", "0"], ["--prompts = 0: must be in [1, inf)"]),
    (["model", "--seed", "-1"], ["--seed = -1: must be in [0, inf)"]),
    (["model", "--batch", "0"], ["--batch = 0: must be in [1, inf)"]),
    (["model", "--shares", "1:1"], ["--shares = '1:1': must be 3 shares, one for each task"]),
    (["model", "--shares", "1:1:x"], ["must be numbers with colons, as 1:9"]),
    (["model", "--shares", "0:0:0"], ["not all 0"]),
    (["model", "--shares", "1:-1:1"], ["at least 0"]),
    (["model", "--shares", "nan:1:1"], ["must be finite"]),
    (["model", "--shares", "1:1:1,1:1:1"], ["'1:1:1': given twice"]),
    (["model", "--order", "exakt"], ["no such order; did you mean exact?"]),
    (["model", "--dtype", "float64"], ["no such type; did you mean float"]),
    (["model", "--workdir", ""], ["--workdir = ''"]),
    (["model", "--workdir", __file__], ["must be a folder or a new name"]),
    (["model", "--seeds=3"], ["--seeds: no such option; did you mean --seed?"]),
    (["model", "--seed=3", "--seed=4"], ["--seed: given twice"]),
    (["model", "other"], ["'other': one DIR only"]),
    (["model", "--set"], ["--set: expected one argument"]),
    (["nowhere", "--set=pear", "--prompts=0"], ["3 problems", "no such folder", "pear", "prompts"]),
]


@pytest.mark.parametrize(("words", "parts"), REFUSALS, ids=lambda x: " ".join(x)[:40])
def test_refusals(words, parts, capsys, here):
    before = sorted(here.rglob("*"))
    assert real_models.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and "Traceback" not in err
    assert err.count("\n") == (1 if len(parts) < 3 else len(parts))
    assert all(part in err for part in parts), err
    assert sorted(here.rglob("*")) == before  # nothing was written


def test_answers_that_collide(monkeypatch, capsys):
    kind = SETS["pair"]
    tasks = {"left": kind.tasks["left"], "again": kind.tasks["left"]}
    monkeypatch.setitem(SETS, "pair", kind._replace(tasks=tasks))
    assert real_models.main(["model", "--tasks=left,again"]) == 2
    assert "answers collide" in capsys.readouterr().err


def test_help_and_a_bad_option_are_answered_at_once():
    """In a process of their own: neither jax nor torch is there to be imported."""
    code = (
        "import sys; sys.modules.update(jax=None, torch=None, transformers=None, matplotlib=None);"
        "from plateaus.real_models.main import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    def run(*words):
        return subprocess.run([sys.executable, "-c", code, *words], env=environment,
                              capture_output=True, text=True)  # fmt: skip

    done = run("--help")
    assert done.returncode == 0 and "--shares a:b:..,..." in done.stdout
    done = run("model", "--set", "pear")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    done = run("model", "--dry-run", "--examples=3")
    assert done.returncode == 0 and done.stdout.count("@") == 4 and done.stdout.endswith("=\n")


def test_the_script_is_thin():
    done = subprocess.run([sys.executable, SCRIPT, "--set=pear"], capture_output=True, text=True)
    assert done.returncode == 2 and "did you mean pair?" in done.stderr


def stand_in(monkeypatch, scores):
    """A model of no weights, that gives answers the log-probabilities of `scores`."""
    pytest.importorskip("jax")
    from plateaus.real_models import scores as hugging_face_scores

    def encode(text, prompt, answers):
        tokens = [tuple(map(ord, answer)) for answer in answers]
        return hugging_face.Question(tuple(map(ord, prompt)), tuple(tokens), 10)

    monkeypatch.setattr(hugging_face, "reader", lambda folder: hugging_face.Text(None, (), 500))
    monkeypatch.setattr(hugging_face, "encode", encode)
    monkeypatch.setattr(hugging_face, "weights", lambda folder, dtype: None)
    monkeypatch.setattr(hugging_face_scores, "scores", scores)


def half_and_rest(model, asked, *, beams, tokens, batch):
    """.5 for the first task, .25 for the second, and one output of .1 between it and the third."""
    log_p = np.log(np.tile([0.5, 0.25, 0.05], (len(asked), 1)))
    outputs = np.full((len(asked), beams), -np.inf)
    outputs[:, :4] = np.log([0.5, 0.25, 0.1, 0.05])
    return log_p, outputs


@pytest.mark.programs(100)  # measures of prompts are taken operation by operation
def test_a_run_and_its_files(monkeypatch, capsys, here):
    """All numbers follow from the scores, which here are known."""
    stand_in(monkeypatch, half_and_rest)
    words = ["model", "--examples=8", "--prompts=6", "--shares=2:1:1,1:1:2", "--batch=4"]
    assert real_models.main([*words, "--workdir=out"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        ".lock", *(f"superposition.{end}" for end in ("csv", "json", "npz", "png", "svg")),
    ]  # fmt: skip
    first, second = csv.DictReader(Path("out/superposition.csv").read_text().splitlines())
    assert first["mixture"] == "2:1:1" and first["prompts"] == "6"
    shares = [float(first[f"share.{task}"]) for task in ("left", "right", "sum")]
    assert shares == [0.5, 0.25, 0.25] and second["share.sum"] == "0.5"
    assert [first[f"probability.{task}"] for task in ("left", "right")] == ["0.5", "0.25"]
    assert float(first["saturation.left"]) == 0.0 and float(first["completed"]) == 2.0
    assert float(first["kl"]) == pytest.approx(0.25 * np.log(0.25 / 0.05), rel=1e-5)
    p = np.array([0.5, 0.25, 0.05, 0.2])
    assert float(first["entropy"]) == pytest.approx(-(p * np.log(p)).sum(), rel=1e-5)
    assert first["entropy"] == first["entropy_of_mean"]
    with np.load("out/superposition.npz") as held:
        assert held["2:1:1/order"].shape == (6, 8) and held["1:1:2/log_p"].shape == (6, 3)
    told = json.loads(Path("out/superposition.json").read_text())
    assert told["plan"]["tasks"] == ["left", "right", "sum"] and told["plan"]["seed"] == 0
    assert len(told["model"]["config_sha256"]) == 64 and told["versions"]["numpy"]
    out = capsys.readouterr().out
    assert "2 mixtures of 6 prompts, 8 examples each" in out and "0.500" in out
    before = Path("out/superposition.csv").read_bytes()
    assert real_models.main([*words, "--workdir=out"]) == 0
    assert Path("out/superposition.csv").read_bytes() == before


def test_refusals_of_a_run(monkeypatch, capsys):
    """A prompt longer than the context, before any pass; numbers that are none; a busy folder."""

    def broken(*_, **__):
        return np.full((4, 3), np.nan), np.zeros((4, 6))

    def refused(words, part):
        assert real_models.main(["model", "--prompts=4", "--workdir=out", *words]) == 2
        err = capsys.readouterr().err
        assert part in err and err.strip().splitlines()[-1].startswith("error: ")

    stand_in(monkeypatch, broken)
    refused(["--examples=100"], "more than the model's context of 500; take fewer examples")
    assert not Path("out").exists()
    refused(["--examples=4"], "the model's probabilities are not finite numbers")
    from plateaus import files

    with files.lock("out"):
        refused(["--examples=4"], "out is in use by process")


def test_without_the_packages(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert real_models.main(["model"]) == 2
    assert "pip install 'plateaus[real]'" in capsys.readouterr().err


@pytest.mark.programs(75)  # likewise
def test_recency_looks_back_several_examples():
    order = np.array([[0, 1, 0], [1, 1, 1]])
    log_p = np.log([[0.9, 0.1], [0.2, 0.8]])
    from plateaus.real_models.run import measures

    found = measures(log_p, order, log_p)
    np.testing.assert_allclose(found["mixed_recency_same"][:, 1], [0.8, 0.45, 0.8], rtol=1e-5)
    assert found["mixed_histogram"].shape == (2, superposition.BINS)


def tiny(folder):
    """A random Llama that reads bytes."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    torch.set_num_threads(1)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    transformers.PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        vocab_size=256, max_position_embeddings=400, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    model.save_pretrained(folder)
    return model, made


@pytest.mark.parametrize("name", SETS)
def test_a_tiny_model(name, here, capsys):
    """Every set, from the folder to the file; the scores are those of full passes over the text."""
    model, tokenizer = tiny(here / "tiny")
    words = ["tiny", f"--set={name}", "--examples=5", "--prompts=3", "--workdir=out"]
    assert real_models.main(words) == 0
    import torch

    with np.load("out/superposition.npz") as held:
        (log_p,) = (held[key] for key in held if key.endswith("log_p"))
    asked = prompts(plan(parser().parse_args(words)), (1.0,) * log_p.shape[1])
    for found, one in zip(log_p, asked, strict=True):
        before = len(tokenizer.encode(one.text).ids)
        for said, answer in zip(found, one.answers, strict=True):
            ids = torch.tensor([tokenizer.encode(one.text + answer).ids])
            with torch.no_grad():
                every = model(ids, use_cache=False).logits[0].log_softmax(-1)
            own = ids[0, before:]
            wanted = every[before - 1 : -1].gather(1, own[:, None]).sum()
            assert said == pytest.approx(float(wanted), abs=2e-5)
    told = json.loads(Path("out/superposition.json").read_text())
    assert told["model"]["type"] == "llama" and told["versions"]["transformers"]
    words[2] = "--examples=60"
    assert real_models.main(words) == 2
    assert "more than the model's context of 400" in capsys.readouterr().err
