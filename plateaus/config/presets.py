"""Config files: finding one, listing its presets, reading a preset as flat fields.

A config file is a Python module with

  get_config() -> ConfigDict   the base: config.task.name = "sparse_parity", ...
  PRESETS                      a list of functions preset(config) -> None, the default first; each
                               sets fields, config.sweep = {dotted name: values} and, to compare
                               sets of fields, config.variants = {name: {dotted name: value}};
                               its docstring is a page of the lab book, the claim its first line
  SCALES                       {"small": f, "medium": f, "paper": f}: f(config) -> None, or None to
                               leave it; a file may have fewer, or others
  smoke(config) -> None        shrinks any preset to seconds

applied in the order base, scale, preset, smoke. A function of these that has a parameter `scale`
is given the name of the scale: preset(config, scale). Make the base with `plateaus.config.pages`'s
`page(steps=..., task={...}, ...)`, or with ConfigDict(..., convert_dict=False): a ConfigDict
refuses dotted keys and sorts what it holds, so sweep and variants must stay plain dicts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from plateaus.config import recorded
from plateaus.config.files import ConfigFile
from plateaus.config.schema import ConfigError
from plateaus.config.variants import with_axis
from plateaus.names import hint, nearest
from plateaus.paths import expanded, experiments

SMOKE_VALUES = 3  # of each swept field under --smoke
REPOSITORY = experiments().parent  # or, installed from a wheel, the package itself


class Page(NamedTuple):
    """One preset as read: flat `fields`, `sweep` in order, its docstring and its name.

    `variants`: name -> flat overrides; unless it is empty, `sweep` has their axis, "variant".
    `name` and `seeds` are those of a run folder's config; "" and None otherwise.
    """

    fields: dict[str, Any]
    sweep: dict[str, Sequence[Any]]
    doc: str
    preset: str
    variants: dict[str, dict[str, Any]]
    name: str = ""
    seeds: tuple[int, ...] | None = None


def find(text: str) -> tuple[Path, str | None]:
    """Return the file and the preset (None: the default) that `FILE[:PRESET]` names.

    FILE is looked up under the current folder, its `experiments/` and the repository's; it may be
    a run folder.

    Raises ConfigError, with the places searched and the nearest config file, if there is none.
    """
    name, preset = _parts(text)
    for folder in _folders():
        if name and os.path.isfile(folder / name):  # which no name makes raise an error
            return folder / name, preset
        if name and recorded.is_record(folder / name / recorded.FILE):
            return folder / name / recorded.FILE, preset
    near = [folder / name for folder in _folders()]
    others = {
        _name(p): None for f in near if os.path.isdir(f.parent) for p in f.parent.glob("*.py")
    }
    others |= dict.fromkeys(map(_name, config_files()))
    whole = {other.removesuffix(".py"): other for other in others}  # which all have in common
    by_stem = {Path(other).stem: other for other in reversed(others)}
    close = whole.get(nearest(name.removesuffix(".py"), whole) or "")
    close = close or by_stem.get(nearest(Path(name).stem, by_stem) or "")
    meant = f"; did you mean {close}?" if close else ""
    places = ", ".join(str(folder) for folder in _folders())
    raise ConfigError(f"--config = {name!r}: no such file under {places}{meant}")


def _parts(text: str) -> tuple[str, str | None]:
    """Return the file and the preset in a text; folders, too, may have a colon in their names."""
    name, colon, after = text.rpartition(":")
    preset: str | None = after
    if not colon or "/" in after or "\\" in after or os.path.isfile(expanded(text)):
        name, preset = text, None
    return str(expanded(name)) if name else "", preset


def _folders() -> list[Path]:
    """Return the folders under which a config file is looked up, in order."""
    try:
        here = Path.cwd()
    except OSError as error:
        raise ConfigError(f"the current folder cannot be used: {error.strerror}") from None
    folders = [here, here / "experiments", REPOSITORY / "experiments"]
    return list(dict.fromkeys(f for f in folders if f.is_dir()))


def _name(path: Path) -> str:
    """Return the shortest way to name a config file."""
    inside = [path.relative_to(f) for f in _folders() if path.is_relative_to(f)]
    return str(min(inside, key=lambda p: len(p.parts), default=path))


def config_files() -> list[Path]:
    """Return every config file under `experiments/configs`, here or in the repository."""
    folders = (folder / "configs" for folder in _folders())
    return list({p.resolve(): p for f in folders for p in sorted(f.glob("*.py"))}.values())


def load(path: Path, preset: str | None, scale: str | None, smoke: bool) -> Page:
    """Return one preset (None: the first) at a scale (None: "small"), flattened.

    Of a run folder's config.json it is the plan of the folder.

    Raises ConfigError for a file that fails, and for an unknown preset or scale.
    """
    if recorded.is_record(path):
        return Page(**recorded.page(path, preset, scale, smoke))
    scale = "small" if scale is None else scale
    file_name = _name(path)
    file = ConfigFile(path, file_name)
    chosen = next(iter(file.presets)) if preset is None else preset
    problems = [
        f"{option} = {value!r}: no such {noun} in {file_name}{hint(value, names)}"
        for option, noun, value, names in (
            ("preset", "preset", chosen, file.presets),
            ("--scale", "scale", scale, file.scales),
        )
        if value not in names
    ]
    if problems:
        raise ConfigError(*problems)
    tree = file.tree(chosen, scale, smoke)
    sweep = tree.pop("sweep", {})  # a preset may sweep nothing
    variants = {name: flatten(fields) for name, fields in tree.pop("variants", {}).items()}
    sweep = with_axis(sweep, variants)
    if smoke:
        sweep = {name: _few(values) for name, values in sweep.items()}
    return Page(flatten(tree), sweep, _doc(file.presets[chosen]), chosen, variants)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested fields under dotted names.

    >>> flatten({"steps": 10, "task": {"name": "sparse_parity"}})
    {'steps': 10, 'task.name': 'sparse_parity'}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def _few(values: Any) -> Any:
    """Return at most `SMOKE_VALUES` of the values, from the first (the baseline) to the last."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        return values  # `resolve` refuses a sweep that is no list
    sequence = tuple(values)  # a range or an array of NumPy, too
    if len(sequence) <= SMOKE_VALUES:
        return values
    places = {round(i * (len(sequence) - 1) / (SMOKE_VALUES - 1)) for i in range(SMOKE_VALUES)}
    return tuple(sequence[i] for i in sorted(places))


def listing(paths: Iterable[Path]) -> list[str]:
    """Return the lines of --list: each config file, its presets and the claim of each.

    Raises ConfigError for the files that cannot be read.
    """
    lines, problems = [], []
    for path in paths:
        try:
            presets = ConfigFile(path, _name(path)).presets
        except ConfigError as error:
            problems += error.problems
            continue
        width = max(map(len, presets))
        lines.append(_name(path))
        for i, (name, preset) in enumerate(presets.items()):
            claim = title(_doc(preset)) + (" (default)" if i == 0 else "")
            lines.append(f"  :{name:<{width}}  {claim}")
    if problems:
        raise ConfigError(*problems)
    return lines


def _doc(preset: Any) -> str:
    """Return the docstring of a preset, "" without one."""
    return doc if isinstance(doc := getattr(preset, "__doc__", None), str) else ""


def title(doc: str) -> str:
    """Return the claim of a preset: the first line of its docstring."""
    return doc.strip().partition("\n")[0]
