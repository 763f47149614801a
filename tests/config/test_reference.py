"""The records of fields say what the declarations say, for every component."""

from plateaus.build import reference
from plateaus.build.registry import MODELS, OPTIM, TASKS
from plateaus.config.reference import absent, lines, records
from plateaus.config.schema import entries
from plateaus.fields import INFINITE


def test_every_component_has_a_table_of_all_its_fields():
    tables = reference.tables()
    titles = {
        "run",
        "data",
        "optim",
        *(f"task.{t}" for t in TASKS),
        *(f"model.{m}" for m in MODELS),
    }
    assert set(tables) == titles
    for name, part in TASKS.items():
        names = [row.name for row in tables[f"task.{name}"]]
        own = {*part.spec.__dataclass_fields__, *part.knobs._fields}
        assert len(names) == len(set(names)) == len(own) + 1  # and the name itself
    assert all(row.help for rows in tables.values() for row in rows)


def test_records_under_a_prefix_have_the_values_of_a_config_and_its_sweep():
    schema = entries({"optim": OPTIM})
    rows = records(schema, "optim.w", {"optim.warmup_steps": 7}, {"optim.weight_decay": (0.0, 0.1)})
    assert [row.name for row in rows] == ["optim.warmup_steps", "optim.weight_decay"]
    assert rows[0].value == "7" and rows[0].neutral == "0" and rows[0].units == "steps"
    assert rows[1].swept == ("0.0", "0.1") and rows[1].role == "knob"
    assert "swept: 0.0, 0.1" in next(lines(rows[1:]))


def test_infinity_is_written_as_one_writes_it():
    (row,) = [r for r in reference.tables()["data"] if r.name == "data.items"]
    assert (row.value, row.allowed, row.neutral) == ("inf", "[1, inf]", "inf")
    assert str(INFINITE) not in " ".join(lines([row]))


def test_a_derived_field_says_that_it_cannot_be_set():
    rows = {row.name: row for row in reference.tables()["task.text"]}
    assert rows["data.contents"].role == "derived"
    assert "follows from others" in "\n".join(lines([rows["data.contents"]]))
    assert rows["task.name"].value == ""  # must be given


def test_a_prefix_of_nothing_names_the_nearest():
    names = ["data.zipf_exponent", "steps"]
    assert "did you mean data.zipf_exponent?" in absent("data.zipf_exponant", names)
