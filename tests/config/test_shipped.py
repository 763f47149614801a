"""Every preset that is shipped, at every scale, whole and in its smoke form, is a sound config."""

import pytest

from plateaus.build.recipes import sections
from plateaus.config import presets
from plateaus.config.plan import checked_plan
from plateaus.config.schema import ConfigError

SCALES = ("small", "medium", "paper")
FILES = sorted((presets.REPOSITORY / "experiments" / "configs").glob("*.py"))
ALL = [
    (path, line.split()[0].removeprefix(":"))
    for path in FILES
    for line in presets.listing([path])[1:]
]


@pytest.mark.programs(40)  # domains are found by embeddings, operation by operation
@pytest.mark.parametrize(("path", "preset"), ALL, ids=[f"{f.stem}:{p}" for f, p in ALL])
def test_every_preset_is_a_sound_page_of_the_lab_book(path, preset):
    for scale in SCALES:
        for smoke in (False, True):
            page = presets.load(path, preset, scale, smoke)
            parts = sections(page.fields)
            plan = checked_plan(preset, parts, page.fields, page.sweep, variants=page.variants)
            assert not smoke or plan.config["steps"] <= 5_000
    command = f"Command: python experiments/run.py --config=configs/{path.name}"
    for word in ("Source:", command, "Expected:", "Reached ("):
        assert word in page.doc, word
    assert presets.title(page.doc).endswith((".", "?"))


GROWING = ("task.dimension", "task.points", "task.examples", "task.length", "task.words")
GROWING += ("task.context", "model.width", "model.depth", "batch", "eval_points")


@pytest.mark.parametrize(("path", "preset"), ALL, ids=[f"{f.stem}:{p}" for f, p in ALL])
def test_a_medium_scale_lies_between_the_small_one_and_the_papers(path, preset):
    pages = [presets.load(path, preset, scale, False) for scale in SCALES]
    small, medium, paper = (page.fields for page in pages)
    for name in GROWING:
        sizes = [page.fields[name] for page in pages if name in page.fields]
        assert sizes == sorted(sizes), name
    rates = [fields["optim.learning_rate"] for fields in (paper, medium, small)]
    assert rates == sorted(rates)
    axes = [list(page.sweep) for page in pages]
    assert axes[1] in (axes[0], axes[2])
    if small == paper:
        assert medium == small
    elif preset not in ("skills", "image_text"):  # whose sizes are the same at every scale
        assert medium != small and medium["steps"] >= small["steps"]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_smoke_run_is_one_at_every_scale(path):
    """Its model is of one size, its steps are few: what a scale enlarges, smoke shrinks again."""
    for name in (name for file, name in ALL if file == path):
        small, *others = (presets.load(path, name, scale, True).fields for scale in SCALES)
        for other in others:
            for field in ("steps", "seeds", "model.width", "model.depth"):
                assert other[field] == small[field], (name, field)


def test_a_scale_that_a_config_lacks_is_refused_in_a_line_with_those_it_has(tmp_path):
    text = FILES[0].read_text()
    assert '"medium": medium, ' in text
    path = tmp_path / "mine.py"
    path.write_text(text.replace('"medium": medium, ', ""))
    with pytest.raises(ConfigError) as caught:
        presets.load(path, None, "medium", False)
    (line,) = caught.value.problems
    assert line.startswith("--scale = 'medium': no such scale in ")
    assert line.endswith(" (known: small, paper)")


def test_there_are_presets_of_every_file():
    assert {path for path, _ in ALL} == set(FILES) and len(ALL) > 40


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("preset", ["curricula", "input_laws", "data_efficiency"])
def test_curricula_keep_equal_phases_in_their_smoke_form(preset, scale):
    path = next(path for path in FILES if path.stem == "function_classes")
    page = presets.load(path, preset, scale, True)
    phases = sorted(value for name, value in page.variants["mixed"].items())
    assert phases == pytest.approx(
        [0, page.fields["steps"] / 3, 2 * page.fields["steps"] / 3], abs=2
    )


def test_mixtures_at_paper_scale_have_the_papers_prompts():
    sizes = {"task.dimension": 10, "task.points": 120, "model.width": 256, "steps": 100_000}
    for path, preset in ALL:
        if path.stem in ("diversity", "multitask"):
            given = presets.load(path, preset, "paper", False).fields
            wanted = sizes if given["task.name"] == "in_context" else {"steps": 100_000}
            assert wanted.items() <= given.items(), (path, preset)
