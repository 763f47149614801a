"""What other tools call a field of a config, so that a refusal can name the field that is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FIELDS = {  # by their last part
    r".*accum.*|.*every_k.*|multi_?steps?|micro_?batch.*": "batch",
    r"batch_?size|bs|per_device.*batch.*": "batch",
    r"lr|step_?size|max_lr|init_lr": "optim.learning_rate",
    r"epochs?|(num|n|max)_?epochs": "steps",
    r"(num|n|max|train|total)_?(steps|iters|iterations|train_steps)|iters|iterations": "steps",
    r"(eval|val|test)_?(interval|steps|freq|frequency)": "eval_every",
    r"(log|logging|print)_?(interval|steps|freq|frequency)": "log_every",
    r"(hidden|embed\w*|emb)_?(size|dim)|d_?model|n_?embd|dim": "model.width",
    r"(num|n)_?(hidden_)?layers?|layers?": "model.depth",
    r"(num|n)_?(attention_)?heads?": "model.heads",
    r"(grad|gradient)_?clip\w*|clip_?(grad\w*|value)?|max_?grad_?norm": "optim.clip_norm",
    r"warmup|(num_|n_)?warmup_?(steps|iters)": "optim.warmup_steps",
}
_WHY = {
    "accum|every_k|multi|micro": "gradients are not accumulated over steps; a larger batch takes "
    "the same step, and model.rematerialise, if the model has it, saves memory",
    "epoch": "a run has so many steps; with data.order = epochs these pass over all items in turn",
}


def meant(name: str, names: Iterable[str]) -> str | None:
    """Return which of the fields `names` a name of another tool means, in words, if any.

    >>> meant("optim.lr", ["optim.learning_rate"]), meant("lr", ["steps"])
    ('did you mean optim.learning_rate?', None)
    >>> meant("optim.accumulate", ["batch"])
    'did you mean batch? gradients are not accumulated over steps; a larger batch takes the same \
step, and model.rematerialise, if the model has it, saves memory'
    """
    last, names = name.rpartition(".")[2].lower().replace("-", "_"), set(names)
    for pattern, field in _FIELDS.items():
        if re.fullmatch(pattern, last) and field in names:
            why = (text for part, text in _WHY.items() if re.search(part, last))
            return " ".join([f"did you mean {field}?", *why])
    return None
