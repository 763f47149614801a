"""Language models in a folder of Hugging Face's format: their weights, and how they read text.

torch and transformers are imported only where a model is read. Nothing is ever downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

CONFIG = "config.json"
DTYPES = ("float32", "bfloat16", "float16")
_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")


class Text(NamedTuple):
    """How a folder's model reads text.

    Fields:
      tokenizer: a tokenizer of transformers.
      start: the tokens that every text begins with.
      longest: the most tokens that the model can read; None where its config states no limit.
    """

    tokenizer: Any
    start: tuple[int, ...]
    longest: int | None


class Question(NamedTuple):
    """A prompt as tokens, and the tokens of each of its K answers, the last of them `end`."""

    prompt: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    end: int


def check(folder: Path) -> None:
    """Raise ValueError, one line, where a folder does not look like a model's.

    Nothing heavy is imported.

    >>> check(Path("nowhere"))
    Traceback (most recent call last):
    ValueError: nowhere: no such folder; a model is read from a folder on disk only
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; a model is read from a folder on disk only")
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{folder}: is no Hugging Face model: it has no {CONFIG}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / CONFIG}: cannot be read: {_line(error)}") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise ValueError(f"{folder / CONFIG}: is no model's: it names no model_type")


def _line(error: BaseException) -> str:
    """Return the message of an error on one line of at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."


def _transformers() -> Any:
    try:
        import torch  # noqa: F401 # transformers comes without it
        import transformers
    except ImportError as error:
        need = "needs the packages torch and transformers: pip install 'plateaus[real]'"
        raise ValueError(f"a language model {need} ({error.name})") from None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def reader(folder: Path) -> Text:
    """Return the tokenizer of a folder and the length of its model's context.

    Raises ValueError, one line, where the tokenizer or a package is missing or broken.
    """
    check(folder)
    transformers = _transformers()
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # what a broken folder raises depends on what is broken
        raise ValueError(f"{folder}: no tokenizer can be read: {_line(error)}") from None
    inner = config.get_text_config()
    lengths = [getattr(inner, name, None) for name in _LENGTHS]
    longest = next((n for n in lengths if isinstance(n, int) and n > 0), None)
    bos, empty = tokenizer.bos_token_id, tokenizer("")["input_ids"]
    return Text(tokenizer, (bos,) if bos is not None and bos in empty else (), longest)


def weights(folder: Path, dtype: str = "float32") -> Any:
    """Return the model of a folder in evaluation mode, on an accelerator if there is one.

    Raises ValueError, one line, where the folder has no causal language model, or weights are
    missing or broken.
    """
    check(folder)
    transformers = _transformers()
    import torch

    try:
        model, loading = transformers.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
    except Exception as error:
        raise ValueError(f"{folder}: no causal language model: {_line(error)}") from None
    if loading["missing_keys"]:  # else they would be random numbers
        first = sorted(loading["missing_keys"])[0]
        raise ValueError(f"{folder}: its weights lack {first}: is it a causal language model?")
    place = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(place, getattr(torch, dtype)).eval()


def encode(text: Text, prompt: str, answers: Sequence[str]) -> Question:
    """Return the tokens of a prompt, and those of each answer after it.

    Raises ValueError, one line, where these are not well defined: the tokenizer joins the prompt's
    end with an answer, does not know a part, gives two answers the same tokens, or has no token of
    its own for the newline at the end of each.
    """

    def tokens(written: str) -> tuple[int, ...]:
        plain = text.tokenizer(written, add_special_tokens=False, verbose=False)["input_ids"]
        return (*text.start, *plain)

    before, unknown = tokens(prompt), text.tokenizer.unk_token_id
    after: dict[tuple[int, ...], str] = {}
    line = prompt.rsplit("\n", 1)[-1]
    for answer in answers:
        whole = tokens(prompt + answer)
        if whole[: len(before)] != before or len(whole) == len(before):
            raise ValueError(f"the tokenizer joins {line!r} with {answer!r}: no answer of its own")
        if unknown is not None and unknown in whole[len(text.start) :]:
            raise ValueError(f"the tokenizer does not know a part of {line + answer!r}, or before")
        continuation = whole[len(before) :]
        if continuation in after:
            raise ValueError(
                f"answers collide: {after[continuation]!r} and {answer!r} are the same tokens"
            )
        after[continuation] = answer
    ends = {continuation[-1] for continuation in after}
    end = ends.pop()
    if ends or "\n" not in text.tokenizer.decode([end]):
        raise ValueError(f"the tokenizer has no one token for the newline after {answers[0]!r}")
    return Question(before, tuple(after), end)


def fits(text: Text, questions: Sequence[Question], tokens: int) -> None:
    """Raise ValueError, one line, where a prompt and `tokens` after it exceed the context."""
    longest = max(len(question.prompt) for question in questions) + tokens
    if text.longest is not None and longest > text.longest:
        raise ValueError(
            f"a prompt with its answer is {longest} tokens: more than the model's context of "
            f"{text.longest}; take fewer examples"
        )
