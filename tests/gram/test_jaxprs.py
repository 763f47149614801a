"""What is read off equations is there in the programs of the installed JAX."""

import ast
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plateaus
from plateaus.gram import jaxprs

pytestmark = pytest.mark.versions

X, TABLE, INDEX = np.ones((2, 3), np.float32), np.zeros((5, 3), np.float32), np.array([[1], [4]])
PROGRAMS = {  # primitive -> a program that holds it
    "jit": (jax.jit(lambda x: x + 1), X),
    "checkpoint": (jax.checkpoint(lambda x: jnp.sin(x) + 1), X),
    "dot_general": (lambda x: x @ x.T, X),
    "scatter-add": (lambda x: jnp.asarray(TABLE).at[INDEX[:, 0]].add(x), X),
    "transpose": (lambda x: x.T, X),
    "reshape": (lambda x: x.reshape(6), X),
    "pad": (lambda x: jax.lax.pad(x, jnp.float32(0), ((1, 0, 0), (0, 2, 1))), X),
}
# What a call is called differs between versions; each makes one of these names.
ALIASES = {"pjit": "jit", "closed_call": "jit", "remat": "checkpoint", "remat2": "checkpoint"}


def equations(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn
        for value in eqn.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def equation(name):
    """The first equation of a primitive in its program, under whatever name the call has here."""
    function, x = PROGRAMS[name]
    names = {name} | {alias for alias, of in ALIASES.items() if of == name}
    return next(
        e for e in equations(jax.make_jaxpr(function)(x).jaxpr) if e.primitive.name in names
    )


def test_every_primitive_has_a_program():
    assert set(jaxprs.PARAMETERS) == {*PROGRAMS, *ALIASES}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_read_is_there(name):
    """Each of the names in PARAMETERS stands for a parameter of the equation as it is now."""
    eqn = equation(name)
    for names in jaxprs.PARAMETERS[eqn.primitive.name]:
        assert {*names} & {*eqn.params}, (name, names, sorted(eqn.params))


def test_a_parameter_that_jax_lacks_is_named():
    eqn = equation("pad")
    renamed = SimpleNamespace(primitive=eqn.primitive, params={"configuration": ()})
    with pytest.raises(RuntimeError, match=r"has no padding_config of pad.*configuration"):
        jaxprs.padding(renamed)


def test_readings():
    assert jaxprs.contraction(equation("dot_general")) == (((1,), (0,)), ((), ()))
    assert jaxprs.permutation(equation("transpose")) == (1, 0)
    assert jaxprs.keeps_order(equation("reshape"))
    assert jaxprs.padding(equation("pad")) == ((1, 0, 0), (0, 2, 1))
    assert jaxprs.adds_whole_rows(equation("scatter-add"))
    for name in ("jit", "checkpoint"):
        program, _ = jaxprs.called(equation(name))
        assert program.eqns


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_equation_is_evaluated_as_it_was(name):
    eqn = equation(name)
    values = [np.zeros(v.aval.shape, v.aval.dtype) for v in eqn.invars]
    (result,) = jaxprs.evaluate(eqn, values)
    aval = eqn.outvars[0].aval
    assert (result.shape, result.dtype) == (aval.shape, aval.dtype)


def test_a_call_is_evaluated_with_another_program():
    eqn = equation("checkpoint")
    other = jax.make_jaxpr(lambda x: x * 3)(X)
    (result,) = jaxprs.evaluate(eqn, [X], other.jaxpr)
    np.testing.assert_array_equal(result, 3 * X)


READING = ("factors", "capturing", "products", "engine")  # the files that walk through programs


def reads(code):
    """The lines on which parameters of something are looked up, whatever it is called."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        looked_up = isinstance(node, ast.Subscript | ast.Attribute) and node.value
        if isinstance(looked_up, ast.Attribute) and looked_up.attr == "params":
            found.add(node.lineno)
        named = isinstance(node, ast.Attribute) and node.attr == "params"
        if named and isinstance(node.value, ast.Name) and node.value.id in ("eqn", "equation"):
            found.add(node.lineno)
    return sorted(found)


def test_reading_is_seen_under_any_name():
    code = "a = e.params['x']\nb = self.eqn.params.get('x')\nc = params['x']\nd = eqn.params\n"
    assert reads(code) == [1, 2, 4]


def test_nobody_else_reads_parameters_of_equations():
    """`eqn.params` is written in one file; elsewhere a new JAX would be found out by users."""
    package = Path(plateaus.__file__).parent
    for stem in READING:
        assert reads((package / "gram" / f"{stem}.py").read_text()) == [], stem
    readers = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            read = isinstance(node, ast.Attribute) and node.attr == "params"
            if read and isinstance(node.value, ast.Name) and node.value.id in ("eqn", "equation"):
                readers.add(path.relative_to(package).as_posix())
    assert readers == {"gram/jaxprs.py"}
