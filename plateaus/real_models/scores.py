"""Probabilities of answers under a language model of Hugging Face's, and its most probable outputs.

The counterpart of `plateaus.measures.superposition.answers` for this package's models: each prompt
is read once, and every continuation starts from its cached keys and values.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plateaus.real_models.hugging_face import Question

NOTHING = -1  # stands after the end of an output
LONGER = -2  # stands for an answer that is longer than any output


def scores(
    model: Any, questions: Sequence[Question], *, beams: int, tokens: int, batch: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return [N, K] $\sum_j \log P(a_j \mid \text{prompt}, a_{<j})$ and [N, W] the best outputs'.

    The second array holds the log-probabilities, in nats, of the W = `beams` most probable outputs
    of at most `tokens` tokens that end with `Question.end`. A beam search finds them; a beam that
    has not ended by then counts as -inf. They are exact for outputs of one token after which the
    end is certain, and in general a lower bound on each rank. One pass reads `batch` prompts, and
    all continuations go on from their keys and values; models that keep a running state instead
    (Mamba) read each prompt anew, one at a time.

    Args:
      model: a model of `hugging_face.weights`.
      questions: N prompts with K answers each, all with the same end.
      beams: W, at least K.
      tokens: the most tokens of an output, with its end.
      batch: prompts to a pass.

    Source: paper 5: the probability of a task is the product over its answer and the newline (its
    released code leaves the newline out on real models), and tasks completed.
    """
    import torch

    size = batch if shares_cache(model) else 1
    answers, outputs = [], []
    with torch.inference_mode():
        first = 0
        while first < len(questions):
            part = questions[first : first + size]
            prefix = _read(model, [question.prompt for question in part])
            if prefix.cache is None and len(part) > 1:  # padding would be part of the state
                size = 1
                continue
            first += len(part)
            wanted = [question.answers for question in part]
            answers.append(_answers(prefix, wanted))
            best = _most_probable(prefix, part[0].end, beams, tokens)
            outputs.append(_with_answers(*best, wanted, answers[-1]))
    return _array(torch.cat(answers)), _array(torch.cat(outputs))


def _array(values: Any) -> NDArray[np.float64]:
    return np.asarray(values.cpu().numpy(), np.float64)


def _answers(prefix: _Prefix, answers: Sequence[tuple[tuple[int, ...], ...]]) -> Any:
    """Return the log-probabilities [N, K] of answers after their prompts."""
    import torch

    longest = max(len(answer) for row in answers for answer in row)
    rows = [[list(answer) + [0] * (longest - len(answer)) for answer in row] for row in answers]
    lengths = [[len(answer) for answer in row] for row in answers]
    written = torch.tensor(rows, device=prefix.following.device)  # [N, K, S]
    places = torch.arange(longest, device=written.device)
    scored = places < torch.tensor(lengths, device=written.device)[..., None]
    log_p = prefix.following.gather(1, written[..., 0])[..., None]
    if longest > 1:
        later = _go_on(prefix, written[..., :-1])
        later = later.gather(-1, written[..., 1:, None])[..., 0]
        log_p = torch.cat([log_p, later], -1)
    return torch.where(scored, log_p, 0.0).sum(-1)


def _with_answers(
    outputs: Any, texts: Any, answers: Sequence[tuple[tuple[int, ...], ...]], log_p: Any
) -> Any:
    """Return the outputs [N, W]; one that is an answer gets that answer's value in `log_p` [N, K].

    Passes of other shapes round differently (in bfloat16 by 1e-2 nats), and two values of the same
    answer would otherwise rank it behind itself.
    """
    import torch

    size = texts.shape[-1]
    rows = [
        [
            [*answer, *[NOTHING] * (size - len(answer))] if len(answer) <= size else [LONGER] * size
            for answer in row
        ]
        for row in answers
    ]
    wanted = torch.tensor(rows, device=texts.device)  # [N, K, S]
    same = (texts[:, :, None] == wanted[:, None]).all(-1)  # [N, W, K]
    exact = torch.where(same, log_p[:, None], 0.0).sum(-1)
    return torch.where(same.any(-1), exact, outputs)


def _most_probable(prefix: _Prefix, end: int, beams: int, tokens: int) -> tuple[Any, Any]:
    """Return the log-probabilities [N, W] of the most probable outputs, highest first, and tokens.

    This is a beam search: W beams without an end go on, and each with its end is a candidate.
    Tokens [N, W, S] are filled up with `NOTHING`, as are outputs that do not exist.
    """
    import torch

    n, vocabulary = prefix.following.shape
    following = prefix.following[:, None, :]  # [N, beams so far, V]: one beam, of no token
    best = torch.full((n, beams), -torch.inf, device=following.device)
    written = torch.zeros((n, 1, 0), dtype=torch.long, device=following.device)
    texts = torch.full((n, beams, tokens), NOTHING, device=following.device)
    for place in range(tokens):
        ended = following[..., end]
        best, kept = torch.cat([best, ended], 1).topk(beams)
        whole = torch.full((*ended.shape, tokens), NOTHING, device=following.device)
        whole[..., :place], whole[..., place] = written, end
        texts = torch.cat([texts, whole], 1).gather(1, kept[..., None].expand(-1, -1, tokens))
        following = following.index_fill(
            -1, torch.tensor([end], device=following.device), -torch.inf
        )
        score, chosen = following.reshape(n, -1).topk(min(beams, following[0].numel()))
        if place == tokens - 1 or bool((score[:, 0] <= best[:, -1]).all()):
            break  # at its length; or nothing that follows can be among the best
        beam, token = chosen // vocabulary, (chosen % vocabulary)[..., None]
        before = written.gather(1, beam[..., None].expand(-1, -1, place))
        written = torch.cat([before, token], -1)
        following = score[..., None] + _go_on(prefix, written)[..., -1, :]
    return best, texts


class _Prefix(NamedTuple):
    """N prompts after one pass: their keys and values or, without a cache, their tokens."""

    model: Any
    cache: Any
    tokens: Any  # [N, T], padded on the left
    mask: Any  # [N, T]
    following: Any  # [N, V], log P of the next token


def _pass(model: Any, tokens: Any, mask: Any, cache: Any, last: int, keep: bool) -> Any:
    """Return the model's output for tokens [B, S] behind a cache; mask [B, T + S]."""
    takes = inspect.signature(model.forward).parameters
    options: dict[str, Any] = {"attention_mask": mask, "use_cache": keep or cache is not None}
    if cache is not None:
        options[_cache_name(takes)] = cache
    if "position_ids" in takes:
        places = (mask.long().cumsum(-1) - 1).clamp(min=0)
        options["position_ids"] = places[:, -tokens.shape[1] :]
    if "logits_to_keep" in takes:  # all logits of a long prompt may not fit
        options["logits_to_keep"] = last
    return model(tokens, **options)


def _cache_name(names: Any) -> str:
    return "cache" if "cache" in names else "past_key_values"  # renamed in transformers 5


def shares_cache(model: Any) -> bool:
    """Return whether a model caches keys and values of a prompt, which can be repeated."""
    takes = inspect.signature(model.forward).parameters
    return _cache_name(takes) in takes and not getattr(model, "_is_stateful", False)


def _read(model: Any, prompts: Sequence[tuple[int, ...]]) -> _Prefix:
    """Read N prompts in one pass."""
    import torch

    longest = max(map(len, prompts))
    padding = [longest - len(prompt) for prompt in prompts]
    rows = [[0] * pad + list(prompt) for pad, prompt in zip(padding, prompts, strict=True)]
    masks = [[0] * pad + [1] * (longest - pad) for pad in padding]
    tokens = torch.tensor(rows, device=model.device)
    mask = torch.tensor(masks, device=model.device)
    keep = shares_cache(model)
    output = _pass(model, tokens, mask, None, 1, keep)
    cache = output.get(_cache_name(output)) if keep else None
    if not all(hasattr(part, "batch_repeat_interleave") for part in _parts(cache)):
        cache = None
    following = _log_p(output.logits[:, -1])
    return _Prefix(model, cache, tokens, mask, following)


def _log_p(logits: Any) -> Any:
    """Return log P [..., V] of the next token, in float64.

    In float32 the sum over V = 50,000 tokens loses its tail beside 1, which is 6e-5 of the
    probability under a pretrained model.
    """
    return logits.double().log_softmax(-1)


def _parts(cache: Any) -> list[Any]:
    return [cache, *getattr(cache, "layers", ())]


def _go_on(prefix: _Prefix, written: Any) -> Any:
    """Return log P [N, W, S, V] of what follows each of the tokens `written` [N, W, S]."""
    import torch

    n, ways, length = written.shape
    tokens, mask = written.reshape(n * ways, length), prefix.mask.repeat_interleave(ways, 0)
    cache = None
    if prefix.cache is None:
        tokens = torch.cat([prefix.tokens.repeat_interleave(ways, 0), tokens], 1)
    else:
        cache = copy.deepcopy(prefix.cache)  # a pass adds to its cache, in place
        cache.batch_repeat_interleave(ways)
    mask = torch.cat([mask, torch.ones_like(tokens[:, -length:])], 1)
    logits = _pass(prefix.model, tokens, mask, cache, length, False).logits[:, -length:]
    return _log_p(logits).reshape(n, ways, length, -1)
