"""Every preset that is shipped, at every scale, whole and in its smoke form, is a sound config."""

import pytest

from plateaus.build.recipes import sections
from plateaus.config import presets
from plateaus.config.schema import entries, resolve

FILES = sorted((presets.REPOSITORY / "experiments" / "configs").glob("*.py"))
ALL = [
    (path, line.split()[0].removeprefix(":"))
    for path in FILES
    for line in presets.listing([path])[1:]
]


@pytest.mark.programs(40)  # domains are found by embeddings, operation by operation
@pytest.mark.parametrize(("path", "preset"), ALL, ids=[f"{f.stem}:{p}" for f, p in ALL])
def test_every_preset_is_a_sound_page_of_the_lab_book(path, preset):
    for scale in ("small", "medium", "paper"):
        for smoke in (False, True):
            page = presets.load(path, preset, scale, smoke)
            parts = sections(page.fields)
            found, *_ = resolve(entries(parts), parts, page.fields, page.sweep, page.variants)
            assert not smoke or found.config["steps"] <= 5_000
    command = f"Command: python experiments/run.py --config=configs/{path.name}"
    for word in ("Source:", command, "Expected:", "Reached ("):
        assert word in page.doc, word
    assert presets.title(page.doc).endswith((".", "?"))


def test_there_are_presets_of_every_file():
    assert {path for path, _ in ALL} == set(FILES) and len(ALL) > 40


@pytest.mark.parametrize("scale", ["small", "paper"])
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
