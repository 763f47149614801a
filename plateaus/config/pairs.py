"""Values in pairs: fields of a sweep that change together, as variants that the values name.

`--sweep optim.learning_rate,data.zipf_exponent=1e-3:0,1e-2:.75` and, in a config file,
`config.sweep = {("optim.learning_rate", "data.zipf_exponent"): [(1e-3, 0), (1e-2, .75)]}` are two
settings and no product. There may be more than two fields; `variant` may be one of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from plateaus.config import variants as axis
from plateaus.config.values import convert, shown, unknown
from plateaus.config.variants import AXIS, Variants


def key(names: Any) -> Any:
    """Return the key in a sweep of a tuple of fields; any other key stays as it is.

    >>> key(("a.b", "c")), key("a.b , c"), key("a")
    ('a.b,c', 'a.b,c', 'a')
    """
    if isinstance(names, str):
        return ",".join(part.strip() for part in names.split(","))
    together = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
    return ",".join(names) if together else names


def fields(name: str) -> list[str]:
    """Return the fields of a key of a sweep: one, or those that change together."""
    return name.split(",")


def entries(name: str, text: str) -> tuple[tuple[str, ...], ...]:
    """Return the settings that the text of a --sweep option names, a value for each field.

    Raises ValueError where an entry has fewer or more.

    >>> entries("a,b", "1:x, 2:y")
    (('1', 'x'), ('2', 'y'))
    """
    settings = [tuple(v.strip() for v in part.split(":")) for part in text.split(",")]
    number = len(fields(name))
    for setting in settings:
        if len(setting) != number:
            form = ":".join("v" * number)
            raise ValueError(
                f"{':'.join(setting)}: must be {form}, one value for each of the {number} fields"
            )
    return tuple(settings)


def expanded(
    schema: Mapping[str, Any], sweep: Mapping[str, Any], variants: Variants
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return a sweep without joined keys, the variants with their settings, and problem lines.

    The settings take the place of the first joined key, or of the variants that are swept, with
    which they make a product. Where a joined key names variants itself, a setting is one of them
    with values of the other fields, and is called as in that product.
    """
    joined = [name for name in sweep if isinstance(name, str) and "," in name]
    if not joined:
        return dict(sweep), dict(variants), []
    _, problems = axis.chosen(variants, sweep[AXIS]) if AXIS in sweep else ((), [])
    settled: dict[str, dict[str, Any]] = {}
    if not problems:
        settled = {name: dict(variants[name]) for name in sweep.get(AXIS, ())}
    for name in joined:
        settings, bad = _settings(schema, name, sweep[name], variants)
        alone = [field for field in fields(name) if field in sweep]
        problems += [f"{field}: is swept alone and in {name}; keep one" for field in alone] + bad
        settled = {
            f"{before} + {label}" if before else label: {**overrides, **setting}
            for before, overrides in (settled or {"": {}}).items()
            for label, setting in settings.items()
        }
    if problems:
        return {n: v for n, v in sweep.items() if n not in joined}, dict(variants), problems
    place = AXIS if AXIS in sweep else joined[0]
    result: dict[str, Any] = {}
    for name, values in sweep.items():
        if name == place:
            result[AXIS] = tuple(settled)
        elif name not in joined:
            result[name] = values
    return result, settled, []


def _settings(
    schema: Mapping[str, Any], name: str, values: Any, variants: Variants
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the settings of a joined key by their labels, and a line for each that is refused."""
    names, problems = fields(name), []
    for field in names:
        if field == AXIS:
            continue
        if field not in schema:
            problems.append(f"{field}: {unknown(field, schema)}")
        elif not schema[field].field.sweepable:
            problems.append(f"{field}: is the same for a whole sweep, and cannot be in {name}")
    if len(set(names)) < len(names):
        problems.append(f"{name}: names a field twice")
    settings: dict[str, dict[str, Any]] = {}
    for setting in () if problems else _listed(values):
        if not isinstance(setting, Sequence) or isinstance(setting, str):
            setting = tuple(setting) if isinstance(setting, Iterable) else (setting,)
        if isinstance(setting, str) or len(setting) != len(names):
            form = ", ".join("v" * len(names))
            problems.append(f"{name} = {shown(setting)}: must be ({form}), a value for each field")
            continue
        typed: dict[str, Any] = {}
        variant: tuple[str, ...] = ()
        for field, value in zip(names, setting, strict=True):
            if field == AXIS:
                variant, bad = axis.chosen(variants, [value])
                problems += bad
                continue
            entry = schema[field]
            try:
                typed[field] = convert(entry.kind, entry.field, value)
            except ValueError as error:
                problems.append(f"{field} = {shown(value, entry.kind)} in {name}: {error}")
        label = " + ".join((*variant, _label(typed)))
        if label in settings:
            problems.append(f"{name} = {label}: given twice in the sweep")
        problems += axis.clashes(variants, {AXIS: variant, **typed})
        settings[label] = {**(variants[variant[0]] if variant else {}), **typed}
    if not problems and not settings:
        problems.append(f"{name}: the sweep is empty; give at least one setting")
    return settings, problems


def _listed(values: Any) -> Iterable[Any]:
    return values if isinstance(values, Iterable) and not isinstance(values, str) else (values,)


def _label(setting: Mapping[str, Any]) -> str:
    """Return the name of a setting: fields by their last part where that is enough.

    >>> _label({"optim.learning_rate": 0.001, "data.zipf_exponent": 0.0})
    'learning_rate=0.001 zipf_exponent=0'
    >>> _label({"data.name": "a,b", "task.name": "c"})
    'data.name=a+b task.name=c'
    """
    pairs = zip(_short(setting), setting.values(), strict=True)
    return " ".join(f"{name}={_text(value)}" for name, value in pairs)


def labelled(label: str, names: Collection[str]) -> dict[str, str]:
    """Return the values that the name of a setting holds of its fields, as text; {} of others.

    The fields may be given in any order, and the name of a variant may stand before them: it is
    among the values where `variant` is among the names. A text has + for its commas there.

    >>> labelled("plain + rate=0.1 zipf_exponent=0", ["data.zipf_exponent", "optim.rate"])
    {'optim.rate': '0.1', 'data.zipf_exponent': '0'}
    >>> labelled("one + two + rate=0.1", ["optim.rate", "variant"])
    {'optim.rate': '0.1', 'variant': 'one + two'}
    """
    with_variant = AXIS in names
    names = [name for name in names if name != AXIS]
    by_short = dict(zip(_short(names), names, strict=True))
    one = "|".join(map(re.escape, by_short))
    parts = re.split(rf"(?:^| )({one})=", label)
    values = dict(zip(parts[1::2], parts[2::2], strict=True))
    variant, plus, rest = parts[0].rpartition(" +")
    alone = bool(plus) and not rest if with_variant else parts[0] == "" or parts[0].endswith(" +")
    if not alone or len(parts) != 2 * len(by_short) + 1 or len(values) != len(by_short):
        return {}
    by_name = {by_short[short]: value for short, value in values.items()}
    return {**by_name, AXIS: variant} if with_variant else by_name


def _short(names: Collection[str]) -> list[str]:
    """Return the last parts of names of fields, or the names where these do not differ."""
    last = [name.rpartition(".")[2] for name in names]
    return last if len(set(last)) == len(last) else [*names]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return brief if float(brief := f"{value:g}") == value else repr(value)
    return " ".join(str(value).replace(",", "+").split())
