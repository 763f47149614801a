"""What fills a record is held to its signature, by mypy."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BEGIN = """
from typing import Any
import optax
from plateaus.gram import engine
from plateaus.optim.aggregators.linear import mean
from plateaus.recipe import BatchProbe, Feedback, Gradients, Recipe, Surgery
from plateaus.tasks.laws.sparse_parity import Spec, sparse_parity
from plateaus.models.networks.mlp import Spec as Size, mlp
from plateaus.data.source import uniform
from plateaus.types import Array, Draw, Example, Groups, Key, Learned, OtherLaw, PyTree, Signals

task, source, model = sparse_parity(Spec()), uniform(4), mlp(Size(), 3)
"""
FILLED = {  # what fills a field -> whether it fits; one line each
    "def f(key: Key, world: Key, draw: Draw, knobs: Any) -> Example: raise SystemExit": {
        "task._replace(emit=f)": True,
        "task._replace(emit_test=f)": False,  # takes a draw, not a number
    },
    "def f(world: Key, key: Key, draw: Draw, knobs: Any) -> Example: raise SystemExit": {
        "task._replace(emit=f)": False,  # in another order
    },
    "def f(key: Key, world: Key, draw: Draw, knobs: Any) -> Array: raise SystemExit": {
        "task._replace(emit=f)": False,  # inputs alone
    },
    "def f(prediction: Array, example: Example) -> Array: raise SystemExit": {
        "task._replace(loss=f)": True,
        "task._replace(metrics={'m': f})": True,
        "task._replace(distance=f)": False,
        "task._replace(item=f)": False,
        "OtherLaw(f)": False,
        "Learned(f, (0.1,))": True,
    },
    "def f(example: Example) -> Array: raise SystemExit": {
        "Groups(('a',), f)": True,
        "Groups(('a',), f, emit_target=f)": False,
        "task._replace(predictors=f)": False,
    },
    "def f(state: Any, signals: Signals, plan: Any, t: Any) -> Any: raise SystemExit": {
        "source._replace(observe=f)": True,
        "source._replace(draw=f)": False,
        "source._replace(log_prob=f)": False,
    },
    "def f(state: Any, plan: Any, t: Any) -> Array: raise SystemExit": {
        "source._replace(weights=f)": True,
        "source._replace(measures=f)": False,  # one number of each group, without a name
        "source._replace(ever=f)": False,
    },
    "def f(params: PyTree, inputs: PyTree) -> tuple[Array, dict[str, Array]]: raise SystemExit": {
        "model._replace(apply=f)": False,  # nothing can be edited
    },
    "def f(gram: Array, state: Any) -> tuple[Array, Any]: raise SystemExit": {
        "mean()._replace(update=f)": False,  # takes no key
        "mean()._replace(init=f)": False,
    },
    "def f(captured: Any, weights: Array) -> PyTree: raise SystemExit": {
        "Gradients(engine.capture, f)": False,  # captures any function's
        "Feedback(1, f)": False,
    },
    "def f(gram: Array) -> dict[str, Array]: raise SystemExit": {
        "Surgery(engine.gram, lambda knobs: mean(), f, lambda means: means)": True,
        "Surgery(engine.gram, lambda knobs: 1, f, lambda means: means)": False,
        "Surgery(f, lambda knobs: mean(), f, lambda means: means)": False,
    },
    "def f(key: Key, params: PyTree, batches: Example) -> dict[str, Array]: raise SystemExit": {
        "BatchProbe(1, f)": True,
        "Recipe(task, source, model, lambda knobs: optax.sgd(1.0), 1, 1, 1, 1, probes=(f,))": False,
    },
}


@pytest.mark.thorough
def test_what_does_not_fit_a_field_is_refused(tmp_path, pytestconfig):
    api = pytest.importorskip("mypy.api")
    lines, wrong = BEGIN.splitlines(), set()
    for number, (function, fields) in enumerate(FILLED.items()):
        lines.append(function.replace("def f(", f"def f{number}("))
        for field, fits in fields.items():
            lines.append(field.replace("(f", f"(f{number}").replace("=f", f"=f{number}"))
            lines[-1] = lines[-1].replace(" f,", f" f{number},").replace(" f)", f" f{number})")
            lines[-1] = lines[-1].replace(": f}", f": f{number}}}")
            if not fits:
                wrong.add(len(lines))
    script = tmp_path / "filled.py"
    script.write_text("\n".join(lines))
    cache = pytestconfig.cache.mkdir("mypy")
    said, errors, _ = api.run(
        [f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={cache}", str(script)]
    )
    found = {int(x.split(":")[1]) for x in said.splitlines() if "filled.py" in x and "error:" in x}
    assert found == wrong, said + errors
