"""Inner products of the gradients of single examples, without holding all those gradients."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.gram import capturing, products
from plateaus.gram.factors import Scope
from plateaus.gram.products import Term
from plateaus.types import Array, Float, Model, PyTree


class Leaf(NamedTuple):
    """One parameter: the layer it belongs to, its shape and type, the terms of its gradient."""

    layer: str
    shape: tuple[int, ...]
    dtype: str
    terms: tuple[Term, ...]


@jax.tree_util.register_pytree_node_class
class Captured:
    """Factors [B, ...] of every parameter's gradients on B examples, and the parameters' structure.

    A pytree: it passes through jit, vmap over runs, and scan.
    """

    def __init__(self, factors: tuple[Array, ...], leaves: tuple[Leaf, ...], structure: Any):
        """Take the factors by place, the parameters in order, and their tree."""
        self.factors, self.leaves, self.structure = factors, leaves, structure

    def tree_flatten(self):
        """Return (children, static data)."""
        return (self.factors,), (self.leaves, self.structure)

    @classmethod
    def tree_unflatten(cls, static, children):
        """Undo `tree_flatten`."""
        return cls(*children, *static)


Engine = Callable[[PyTree, Any], tuple[Array, Array, Captured]]


def per_example_gram(
    model: Model | Callable[..., Array], loss: Callable[[Array, Any], Array]
) -> Engine:
    r"""Return (params, batch) -> (losses [B], gram [B, B], captured): $G_{ab} = g_a \cdot g_b$.

    $g_b$ is the gradient of example b's loss. One forward and one backward pass; of a layer with
    inputs $A_b$ [T, i] and output cotangents $D_b$ [T, o] the gradient $D_b^T A_b$ is never kept:
    $g_a \cdot g_b = \sum_{ts} (A_a A_b^T)_{ts} (D_a D_b^T)_{ts}$, the "ghost" form, or the products
    one layer at a time, whichever is fewer operations. `captured` holds A and D, for `combine`: the
    gradient of any weighted loss without a second backward pass.

    Exact for whatever JAX differentiates: embeddings, biases, norms, positions, parameters used
    twice or tied. Where a gradient is not a product of factors (a convolution's, say, or a scan's),
    that parameter's gradients are computed for each example, and a warning says so.

    Args:
      model: a Model, or any function (params, inputs [B, ...]) -> predictions [B, ...] under which
        examples do not see one another.
      loss: (predictions, batch) -> [B], one unreduced loss for each example. It is traced on one
        example at a time, B = 1: what differs between examples must be in the batch.

    The batch is an Example, or any tuple (inputs, targets, ...), of arrays with a leading axis B.
    With bfloat16 compute the factors and `combine`'s weights are bfloat16; sums are float32.

    Raises ValueError, when called, if the loss does not return [B], or closes over arrays of the
    batch; if no axis B is shared, or the batch is no tuple; if there are no parameters.

    Source: the ghost norm of Goodfellow 2015 (arXiv 1510.01799) and Li et al. 2022 (2110.05679),
    for inner products.

    >>> apply = lambda params, x: x @ params["w"]
    >>> engine = per_example_gram(apply, lambda y, batch: (y - batch[1]) ** 2 / 2)
    >>> batch = (jnp.array([[1.0, 0.0], [1.0, 1.0]]), jnp.array([-1.0, -2.0]))
    >>> losses, gram, captured = jax.jit(engine)({"w": jnp.zeros(2)}, batch)
    >>> gram.tolist()  # of the gradients [1, 0] and [2, 2]
    [[1.0, 2.0], [2.0, 8.0]]
    >>> jax.jit(combine)(captured, jnp.array([1.0, 0.5]))["w"].tolist()
    [2.0, 1.0]
    """
    apply = _predictions(model)

    def engine(params: PyTree, batch: Any) -> tuple[Array, Array, Captured]:
        params, batch = jax.tree.map(jnp.asarray, (params, batch))
        _check_batch(params, batch)
        _check_loss(apply, loss, params, batch)

        def loss_of_example(params: PyTree, example: Any) -> Array:
            batch_of_one = jax.tree.map(lambda x: x[None], example)
            return loss(apply(params, batch_of_one[0]), batch_of_one)[0]

        losses, captured = capture(loss_of_example, params, batch)
        return losses, gram(captured), captured

    return engine


def capture(
    loss: Callable[[PyTree, Any], Any], params: PyTree, units: PyTree, *, has_aux: bool = False
) -> tuple[Any, Captured]:
    """Return the losses [B] of B units, and the factors of their gradients.

    A unit is what one loss is of: an example, or a whole batch of them. `units` has a leading axis
    B on every leaf; `loss` takes one unit, without it, to a scalar, or with `has_aux` to a scalar
    and a tree; then (losses, trees [B, ...]) stands for the losses.

    >>> units = jnp.array([[1.0, 2.0], [3.0, 5.0]])  # two batches of two numbers
    >>> of = jax.jit(lambda w: capture(lambda w, x: jnp.mean(w * x), w, units))
    >>> losses, captured = of(jnp.float32(2.0))
    >>> losses.tolist(), jax.jit(gram)(captured).tolist()
    ([3.0, 8.0], [[2.25, 6.0], [6.0, 16.0]])
    """
    unit_shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), units)
    gradient = jax.value_and_grad(loss, has_aux=has_aux)
    program, (value_shapes, _) = jax.make_jaxpr(gradient, return_shape=True)(params, unit_shapes)
    returned: Any = jax.tree.structure(value_shapes)
    flat, structure = jax.tree.flatten(params)
    ours, results = len(flat), returned.num_leaves
    varies = [False] * ours + [True] * (len(program.jaxpr.invars) - ours)
    scope, count = Scope(program.jaxpr, varies), itertools.count()
    leaves = []
    unknown: dict[str, str] = {}
    paths = jax.tree_util.tree_leaves_with_path(params)
    for (path, leaf), value in zip(paths, program.jaxpr.outvars[results:], strict=True):
        summands = scope.summands(value)
        terms = tuple(summand.captured(count) for summand in summands)
        unknown |= {jax.tree_util.keystr(path): s.unknown for s in summands if s.unknown}
        leaves.append(Leaf(_layer(path), leaf.shape, jnp.dtype(leaf.dtype).name, terms))
    for name, primitive in unknown.items():
        warnings.warn(
            f"the gradient of {name} is made by {primitive}, which is not a product of factors: "
            "its gradients are computed for each example, exactly but with more memory",
            stacklevel=3,
        )

    def cut(unit: PyTree) -> tuple[Any, tuple[Array, ...]]:
        arguments = [*flat, *jax.tree.leaves(unit)]
        values, taken = capturing.run(
            scope, arguments, program.jaxpr.outvars[:results], program.consts
        )
        factors = tuple(taken[place] for place in range(len(taken)))
        return jax.tree.unflatten(returned, values), factors

    losses, factors = jax.vmap(cut)(units)
    return losses, Captured(factors, tuple(leaves), structure)


def combine(captured: Captured, weights: Float[Array, " B"]) -> PyTree:
    r"""Return $\sum_b w_b g_b$, a gradient like the parameters: exact, without a backward pass.

    Raises ValueError for weights that are not [B].
    """
    size = captured.factors[0].shape[:1]
    if jnp.shape(weights) != size:
        raise ValueError(f"weights must be {size}, one for each unit, not {jnp.shape(weights)}")
    leaves = [
        products.combine(leaf.terms, captured.factors, weights, leaf.shape, leaf.dtype)
        for leaf in captured.leaves
    ]
    return jax.tree.unflatten(captured.structure, leaves)


def layer_grams(captured: Captured) -> dict[str, Float[Array, "B B"]]:
    """Return the inner products by layer, a key at the top of the parameters; they sum to `gram`.

    >>> params = {"a": jnp.float32(1.0), "b": jnp.float32(1.0)}
    >>> loss = lambda p, x: p["a"] * x[0] + p["b"] * x[1]
    >>> _, captured = capture(loss, params, jnp.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> {name: gram.tolist() for name, gram in layer_grams(captured).items()}
    {'a': [[1.0, 3.0], [3.0, 9.0]], 'b': [[4.0, 8.0], [8.0, 16.0]]}
    """
    grams: dict[str, Array] = {}
    for leaf in captured.leaves:
        leaf_gram = products.gram(leaf.terms, captured.factors)
        grams[leaf.layer] = grams[leaf.layer] + leaf_gram if leaf.layer in grams else leaf_gram
    return grams


def gram(captured: Captured) -> Float[Array, "B B"]:
    """Return all inner products of the captured gradients, float32."""
    return sum(layer_grams(captured).values(), start=jnp.float32(0.0))


def _layer(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path[:1], simple=True) if path else ""


def _predictions(model: Model | Callable[..., Array]) -> Callable[..., Array]:
    if isinstance(model, Model):
        return lambda params, inputs: model.apply(params, inputs)[0]
    return model


def _check_batch(params: PyTree, batch: Any) -> None:
    if not jax.tree.leaves(params):
        raise ValueError("there are no parameters to differentiate by")
    if not isinstance(batch, tuple) or not batch:
        raise ValueError(f"a batch is a tuple (inputs, targets), not a {type(batch).__name__}")
    sizes = {x.shape[:1] for x in jax.tree.leaves(batch)}
    if len(sizes) != 1 or sizes <= {(), (0,)}:
        shapes = ", ".join(str(x.shape) for x in jax.tree.leaves(batch))
        raise ValueError(f"a batch needs one leading axis, of examples; its shapes are {shapes}")


def _check_loss(apply, loss, params, batch) -> None:
    size = jax.tree.leaves(batch)[0].shape[0]
    for examples in (size, 1):
        shapes = jax.tree.map(
            lambda x, n=examples: jax.ShapeDtypeStruct((n, *x.shape[1:]), x.dtype), batch
        )
        returned = jax.eval_shape(lambda p, b: loss(apply(p, b[0]), b), params, shapes)
        shape = getattr(returned, "shape", type(returned).__name__)
        if shape != (examples,) and examples == size:
            raise ValueError(
                f"the loss must return one number for each example, ({size},); it returned {shape}"
            )
        if shape != (examples,):
            raise ValueError(
                f"the loss of one example is {shape}: an array that it closes over and that "
                "belongs to the examples (weights, a mask) must be part of the batch"
            )
