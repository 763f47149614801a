"""Language models on disk, tiny ones made on the spot, against plain loops over full sequences."""

import itertools
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from plateaus.real_models import hugging_face as hf  # noqa: E402 # after the skip
from plateaus.real_models import scores as hfs  # noqa: E402

torch.set_num_threads(1)  # on a busy machine more of them wait for one another
CHARACTERS = "\n0123456789=@>-+abcdefghijklmnopqrstuvwxyzE"
SIZES = {
    "gpt2": dict(n_embd=32, n_layer=2, n_head=2, n_positions=64),
    "llama": dict(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64,
    ),
    "mistral": dict(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, sliding_window=7,
    ),
    "bloom": dict(hidden_size=32, n_layer=2, n_head=2),
    "lfm2": dict(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, layer_types=["conv", "full_attention"],
    ),
    "rwkv": dict(hidden_size=32, num_hidden_layers=2, attention_hidden_size=32),
    "mamba": dict(hidden_size=32, num_hidden_layers=2, state_size=4),
}  # fmt: skip


def characters(alphabet=CHARACTERS, **options):
    """A tokenizer with one token a character."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {one: i for i, one in enumerate(["<unk>", "<s>", *alphabet])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    made.decoder = decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", **options)


def saved(folder, kind="gpt2", tokenizer=None, seed=0, **sizes):
    """A random model, its weights large enough that it has opinions, in a folder."""
    torch.manual_seed(seed)
    tokenizer = characters() if tokenizer is None else tokenizer
    config = transformers.AutoConfig.for_model(
        kind, **{**SIZES[kind], **sizes}, vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=1,
        pad_token_id=0,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "A_log" not in name:
                weight.mul_(6.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(params=SIZES)
def folder(request, tmp_path):
    return saved(tmp_path / "model", request.param)


PROMPTS = ["1@2=1\n3@4=", "10@20=30\n55@60=55\n7@8=", "1@1="]
ANSWERS = [("3\n", "four\n", "7\n"), ("7\n", "15\n", "8\n"), ("1\n", "2\n", "one\n")]


def plain(model, before, after):
    """log P(after | before) by one pass over the whole sequence, alone, without a cache."""
    with torch.inference_mode():
        logits = model(torch.tensor([[*before, *after]]), use_cache=False).logits[0]
    log_p = logits.double().log_softmax(-1)
    places = range(len(before) - 1, len(before) + len(after) - 1)
    return sum(float(log_p[i, token]) for i, token in zip(places, after, strict=True))


def asked_of(text, prompts=PROMPTS, answers=ANSWERS):
    return [hf.encode(text, *each) for each in zip(prompts, answers, strict=True)]


@pytest.mark.parametrize("batch", (1, 2, 3))
def test_scores_are_those_of_full_passes(folder, batch):
    """Prompts of different lengths, padded together; to 1e-5 in float32."""
    text, model = hf.reader(folder), hf.weights(folder)
    asked = asked_of(text)
    log_p, _ = hfs.scores(model, asked, beams=3, tokens=3, batch=batch)
    wanted = [[plain(model, one.prompt, own) for own in one.answers] for one in asked]
    assert np.ptp(wanted) > 3  # the model has opinions
    np.testing.assert_allclose(log_p, wanted, atol=1e-5, rtol=1e-6)


def test_a_large_vocabulary_keeps_its_tail():
    """Of tokens that are unlikely one by one, and not together."""
    logits = torch.full((50_000,), -20.7)
    logits[0] = 0
    tail = 49_999 * np.exp(float(logits[1]))
    assert tail > 4e-5
    np.testing.assert_allclose(hfs._log_p(logits)[0], -np.log1p(tail), rtol=1e-4)


def test_a_state_that_is_only_found_on_reading(tmp_path, monkeypatch):
    """What the class does not tell, the cache does: such prompts are not padded together."""
    folder = saved(tmp_path / "model", "rwkv")
    text, model = hf.reader(folder), hf.weights(folder)
    asked = asked_of(text)
    wanted, _ = hfs.scores(model, asked, beams=3, tokens=3, batch=1)
    monkeypatch.setattr(hfs, "shares_cache", lambda model: True)
    found, _ = hfs.scores(model, asked, beams=3, tokens=3, batch=3)
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-6)


def test_beams_are_the_most_probable_outputs(tmp_path):
    """With as many beams as there are prefixes the search is exhaustive: against all outputs."""
    alphabet = "\n=ab"
    folder = saved(tmp_path / "model", tokenizer=characters(alphabet))
    text, model = hf.reader(folder), hf.weights(folder)
    asked = asked_of(text, ["a=b\nb=", "ab=ba\naa=b\na="], [("a\n", "b\n"), ("a\n", "bb\n")])
    _, found = hfs.scores(model, asked, beams=36, tokens=3, batch=2)
    end = asked[0].end
    others = [token for token in range(6) if token != end]
    every = [
        (*begun, end)
        for n in range(3)
        for begun in itertools.product(others, repeat=n)
    ]  # fmt: skip
    for one, outputs in zip(asked, found, strict=True):
        wanted = sorted((plain(model, one.prompt, own) for own in every), reverse=True)
        finite = outputs[np.isfinite(outputs)]
        assert len(finite) == len(wanted) == 31
        np.testing.assert_allclose(finite, wanted, atol=2e-5)


def rigged(folder, following):
    """A GPT-2 without attention, MLP or positions: `following[token]` = {next token: p}."""
    tokenizer = characters()
    size = len(tokenizer)
    config = transformers.GPT2Config(
        n_embd=size + 1, n_layer=1, n_head=1, n_positions=64, vocab_size=size,
        tie_word_embeddings=False, bos_token_id=1, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.transformer.wte.weight.copy_(torch.eye(size, size + 1))
        model.transformer.ln_f.weight.fill_(1.0)
        table = torch.full((size, size), 1e-6).log()
        for token, said in following.items():
            row = tokenizer(token)["input_ids"][0]
            for text, p in said.items():
                table[row, tokenizer(text)["input_ids"][0]] = np.log(p)
        onehot = model.transformer.ln_f(torch.eye(size, size + 1))
        model.lm_head.weight.copy_(torch.linalg.lstsq(onehot, table, driver="gelsd").solution.T)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_bigram_model_says_what_was_put_into_it(tmp_path):
    """P(3 newline) = .6 x 1 and P(45 newline) = .3 x .5 x 1 after "=", whatever came before."""
    chain = {"=": {"3": 0.6, "4": 0.3, "5": 0.1}, "4": {"5": 0.5, "\n": 0.5}, "5": {"\n": 1.0},
             "3": {"\n": 1.0}}  # fmt: skip
    folder = rigged(tmp_path / "model", chain)
    text, model = hf.reader(folder), hf.weights(folder)
    asked = asked_of(text, ["1=2\n1@2=", "9="], [("3\n", "45\n"), ("4\n", "5\n")])
    log_p, outputs = hfs.scores(model, asked, beams=4, tokens=3, batch=2)
    np.testing.assert_allclose(np.exp(log_p), [[0.6, 0.15], [0.15, 0.1]], rtol=2e-3)
    np.testing.assert_allclose(np.exp(outputs), 2 * [[0.6, 0.15, 0.15, 0.1]], rtol=2e-3)


def test_an_answer_never_stands_behind_itself(tmp_path, monkeypatch):
    """Passes of other shapes round otherwise, here put in by hand."""
    chain = {"=": {"3": 0.6, "4": 0.3, "5": 0.1}, **{one: {"\n": 1.0} for one in "345"}}
    text, model = hf.reader(folder := rigged(tmp_path / "model", chain)), hf.weights(folder)
    asked = asked_of(text, ["1=2\n1@2=", "9="], [("3\n", "4\n"), ("4\n", "five\n")])
    exact = hfs._go_on
    monkeypatch.setattr(hfs, "_go_on", lambda p, w: exact(p, w) + 0.01 * (w.shape[1] == 5))
    log_p, outputs = hfs.scores(model, asked, beams=5, tokens=3, batch=2)
    np.testing.assert_array_equal(outputs[0, :2], log_p[0])
    assert outputs[1, 1] == log_p[1, 0] and log_p[1, 1] < outputs[1].min()
    np.testing.assert_allclose(np.exp(outputs[1, :3]), [0.606, 0.3, 0.101], rtol=2e-3)


def test_each_prompt_is_read_once(tmp_path, monkeypatch):
    """One pass over a batch of prompts; what follows is a few tokens at a time."""
    folder = saved(tmp_path / "model")
    text, model = hf.reader(folder), hf.weights(folder)
    asked, lengths = asked_of(text), []
    forward = model.transformer.forward

    def counted(*arguments, **options):
        lengths.append(tuple((arguments[0] if arguments else options["input_ids"]).shape))
        return forward(*arguments, **options)

    monkeypatch.setattr(model.transformer, "forward", counted)
    hfs.scores(model, asked, beams=4, tokens=3, batch=2)
    read = [shape for shape in lengths if shape[1] > 4]
    assert read == [(2, len(asked[1].prompt))]  # the third prompt is no longer than an answer
    assert lengths.count((1, len(asked[2].prompt))) >= 1
    assert all(shape[1] <= 4 for shape in lengths if shape not in read)


def test_a_start_token_is_read_if_the_tokenizer_has_one(tmp_path):
    from tokenizers import processors

    tokenizer = characters(bos_token="<s>")
    start = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.backend_tokenizer.post_processor = start
    folder = saved(tmp_path / "model", tokenizer=tokenizer)
    text = hf.reader(folder)
    assert text.start == (1,) and text.longest == 64
    asked = hf.encode(text, "1=", ["2\n", "3\n"])
    assert asked.prompt[0] == 1 and len(asked.prompt) == 3 and asked.end == asked.answers[1][-1]


def byte_pairs(tmp_path, lines):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        lines, trainers.BpeTrainer(vocab_size=270, initial_alphabet=letters, show_progress=False)
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made)


def test_tokens_that_are_not_well_defined_are_refused(tmp_path):
    def refused(tokenizer, prompt, answers, message):
        with pytest.raises(ValueError, match=message) as error:
            hf.encode(hf.Text(tokenizer, (), None), prompt, answers)
        assert "\n" not in str(error.value)

    joins = byte_pairs(tmp_path, ["=1"] * 50 + ["1=1"] * 50)
    refused(joins, "2=", ["1\n", "2\n"], "joins '2=' with '1.n'")
    ends = byte_pairs(tmp_path, ["7\n"] * 50)
    refused(ends, "2=", ["7\n", "2\n"], "no one token for the newline after '7.n'")
    refused(characters(), "é=", ["1\n", "2\n"], "does not know a part of 'é=")
    lower = characters("\n=>ab")
    from tokenizers import normalizers

    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    refused(lower, "ab>", ["a\n", "A\n"], "answers collide: 'a.n' and 'A.n' are the same tokens")
    fine = hf.encode(hf.Text(byte_pairs(tmp_path, ["ab"] * 9), (), None), "é>", ["É\n", "ab\n"])
    assert len(fine.answers[1]) == 2 and len(fine.answers[0]) == 3


def test_longer_than_the_context(tmp_path):
    text = hf.Text(characters(), (), 10)
    asked = [hf.encode(text, "1@2=", ["1\n", "2\n"])]
    hf.fits(text, asked, 6)
    with pytest.raises(ValueError, match="11 tokens: more than the model's context of 10"):
        hf.fits(text, asked, 7)
    hf.fits(text._replace(longest=None), asked, 1000)


def test_folders_that_are_no_models(tmp_path):
    def refused(match, read=hf.reader):
        with pytest.raises(ValueError, match=match) as error:
            read(tmp_path / "m")
        assert "\n" not in str(error.value)

    refused("no such folder")
    (tmp_path / "m").mkdir()
    refused("has no config.json")
    (tmp_path / "m" / "config.json").write_text("{")
    refused("config.json: cannot be read")
    (tmp_path / "m" / "config.json").write_text("{}")
    refused("names no model_type")
    saved(tmp_path / "m")
    (tmp_path / "m" / "tokenizer.json").unlink()
    refused("no tokenizer can be read")
    weights = tmp_path / "m" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    refused("no causal language model", hf.weights)
    weights.unlink()
    refused("no causal language model", hf.weights)
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps({**config, "model_type": "t5"}))
    refused("no causal language model", hf.weights)


def test_weights_that_are_missing_are_not_made_up(tmp_path):
    folder = saved(tmp_path / "m", "llama")
    from safetensors.torch import load_file, save_file

    held = load_file(folder / "model.safetensors")
    del held["lm_head.weight"]
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lack lm_head\.weight"):
        hf.weights(folder)
