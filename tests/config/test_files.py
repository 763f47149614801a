"""Whatever a config file gets wrong is one line, with the file and the line in front."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from plateaus.config import presets
from plateaus.config.schema import ConfigError
from plateaus.config.source import Source
from plateaus.jobs import cli

TEXT = '''\
import functools

from ml_collections import ConfigDict, config_dict

def get_config():
    task = ConfigDict({"name": "toy", "size": 3})
    return ConfigDict({"steps": 10, "task": task}, convert_dict=False)

def wide(config):
    """Wider is better."""
    config.sweep = {"task.size": (5, 4), "data.a": [1, 2]}
    config.variants = {"plain": {}, "big": {"task.size": 9}}

def plain(config):
    """Nothing swept."""
    config.task.size = 4

def paper(config):
    config.task.size = 100

def smoke(config):
    config.steps = 1

PRESETS = (wide, plain)
SCALES = {"small": None, "paper": paper}
'''
P = "PRESETS must be a list of functions, preset(config) -> None; "
S = 'SCALES must be a dict, {"small": f, "paper": f}, f(config) -> None, or None for f; '
GOES = "a preset goes by its name: define it by `def NAME(config)`"
ONE = "must take the config, and scale if it needs it; it is "
RETURNED = "(config) must change config in place and return nothing; it returned "
LIST = "(wide, plain)"
DICT = '{"small": None, "paper": paper}'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def placed(old, new, at, expected):
    """Write the config file with a change; return it and the line that is to be printed."""
    assert old in TEXT
    text = TEXT.replace(old, new)
    lines = [i for i, line in enumerate(text.splitlines(), 1) if at in line]
    Path("my.py").write_text(text)
    return Path("my.py").resolve(), f"my.py:{lines[-1]}: {expected}"


def refusal(read, *arguments):
    with pytest.raises(ConfigError) as caught:
        read(*arguments)
    (line,) = caught.value.problems
    assert "\n" not in line and len(line) < 500
    return line


def test_the_file_that_these_tests_change_is_sound():
    path, _ = placed("", "", "def wide", "")
    for preset in ("wide", "plain"):
        page = presets.load(path, preset, "paper", True)
        assert page.fields["steps"] == 1 and bool(page.variants) == (preset == "wide")


SHAPES = [
    (LIST, '{"wide": wide}', "PRESETS =", f"{P}it is a dict; a preset goes by its function's name"),
    (LIST, "{wide, plain}", "PRESETS =", f"{P}it is a set"),
    (LIST, "()", "PRESETS =", f"{P}it is empty"),
    (LIST, "[]", "PRESETS =", f"{P}it is empty"),
    (LIST, "None", "PRESETS =", f"{P}it is None"),
    (LIST, "3", "PRESETS =", f"{P}it is an int"),
    (LIST, "wide", "PRESETS =", f"{P}it is the function wide; write [wide]"),
    (LIST, "'wide'", "PRESETS =", f"{P}it is the text 'wide'"),
    (LIST, "map(print, ())", "PRESETS =", f"{P}it is a map"),
    (
        LIST,
        "[\nwide,\n'plain']",
        "'plain'",
        f"{P}PRESETS[1] is the text 'plain': write the function itself, without quotes",
    ),
    (LIST, "[wide,\nNone]", "None]", f"{P}PRESETS[1] is None"),
    (LIST, "[*[wide], 3]", "PRESETS =", f"{P}PRESETS[1] is an int"),
    (LIST, "[wide]\nPRESETS += [3]", "+=", f"{P}PRESETS[1] is an int"),
    (LIST, "[wide]\nif True:\n    PRESETS = None", "= None", f"{P}it is None"),
    (LIST, "[]\nfrom string import digits as PRESETS", "digits", f"{P}it is the text '0123456789'"),
    (
        LIST,
        "[lambda config: None]",
        "PRESETS =",
        f"{P}PRESETS[0] is a lambda, and {GOES}",
    ),
    (
        LIST,
        "[wide,\n  functools.partial(wide)]",
        "partial",
        f"{P}PRESETS[1] is a partial, and {GOES}",
    ),
    (LIST, "[ConfigDict()]", "PRESETS =", f"{P}PRESETS[0] is a ConfigDict"),
    (
        "PRESETS =",
        "wide.__name__ = 'a/b'\nPRESETS =",
        "PRESETS =",
        f"{P}PRESETS[0] is named 'a/b', and {GOES}",
    ),
    (
        LIST,
        "(wide, plain,\n  wide)",
        "  wide)",
        "PRESETS lists wide twice; each needs a name of its own",
    ),
    (
        "PRESETS =",
        "plain.__name__ = 'wide'\nPRESETS =",
        "PRESETS =",
        "PRESETS has two presets wide; each needs a name of its own",
    ),
    ("def wide(config)", "def wide()", "def wide", f"wide {ONE}wide()"),
    ("plain(config)", "plain(config, size)", "def plain", f"plain {ONE}plain(config, size)"),
    (
        "plain(config)",
        "plain(config, *, scale, size)",
        "def plain",
        f"plain {ONE}plain(config, scale, size)",
    ),
    ("plain(config)", "plain(scale)", "def plain", f"plain {ONE}plain(scale)"),
    (
        "def plain(config)",
        "@functools.cache\n@functools.cache\ndef plain(config, size)",
        "def plain",
        f"plain {ONE}plain(config, size)",
    ),
    (DICT, "[paper]", "SCALES =", f"{S}it is a list"),
    (DICT, "{}", "SCALES =", f"{S}it is empty"),
    (DICT, "None", "SCALES =", f"{S}it is None"),
    ('"paper": paper', "\n'paper': 1.5", "1.5", f"{S}SCALES['paper'] is a float"),
    ('"paper": paper', "\n4: paper", "4: paper", f"{S}its key 4 is an int"),
    (
        '"paper": paper',
        '\n"paper": lambda: 0',
        "lambda",
        f"SCALES['paper'] {ONE}SCALES['paper']()",
    ),
    (
        "def smoke(config)",
        "smoke = 3\ndef other(config)",
        "smoke =",
        "smoke must be a function, smoke(config) -> None; it is an int",
    ),
    (
        "PRESETS =",
        "smoke = None\nPRESETS =",
        "smoke =",
        "smoke must be a function, smoke(config) -> None; it is None",
    ),
    ("def smoke(config)", "def smoke()", "def smoke", f"smoke {ONE}smoke()"),
    (
        "def get_config()",
        "def get_config(size)",
        "def get",
        "get_config must take no argument; it is get_config(size)",
    ),
    (
        "PRESETS =",
        "get_config = get_config()\nPRESETS =",
        "get_config =",
        "get_config must be a function, get_config() -> ConfigDict; it is a ConfigDict",
    ),
    ("SCALES =", "SCALE =", "SCALE =", "a config file must define SCALES; is that SCALE?"),
    ("def smoke", "def smokes", "def smokes", "a config file must define smoke; is that smokes?"),
    ("PRESETS", "presets", "presets", "a config file must define PRESETS; is that presets?"),
]


@pytest.mark.parametrize(("old", "new", "at", "expected"), SHAPES)
def test_a_wrong_shape_is_one_line_when_run_and_when_listed(old, new, at, expected):
    path, line = placed(old, new, at, expected)
    assert refusal(presets.load, path, None, "small", False) == line
    assert refusal(presets.listing, [path]) == line


SWEEP = 'must be a dict, {"dotted.name": [value, ...]}; '
SWEPT = '{"task.size": (5, 4), "data.a": [1, 2]}'
VARIANTS = '{"plain": {}, "big": {"task.size": 9}}'
GET = "get_config() must return a ConfigDict; it returned"
UNUSED = ", which nothing would use"
CALLS = [
    ("return C", "C", "def get", f"{GET} None"),
    ("=False)", "=False).to_dict()", "def get", f"{GET} a dict"),
    (
        '"steps": 10',
        '"n": config_dict.required_placeholder(int)',
        "def get",
        "RequiredValueError: None value found in required reference",
    ),
    (
        "size = 4",
        "size = 4\n    return ConfigDict()",
        "def plain",
        f"plain{RETURNED}a ConfigDict{UNUSED}",
    ),
    ("size = 4", "size = 4; return config", "def plain", f"plain{RETURNED}the config itself"),
    ("size = 4", "size = (yield)", "def plain", f"plain{RETURNED}a generator{UNUSED}"),
    ("size = 100", "size = 1; return 3", "def paper", f"SCALES['paper']{RETURNED}an int{UNUSED}"),
    (
        '"paper": paper',
        '"paper":\n lambda config: 1',
        "lambda",
        f"SCALES['paper']{RETURNED}an int{UNUSED}",
    ),
    (
        '"paper": paper',
        '\n "paper": functools.partial(id)',
        "partial",
        f"SCALES['paper']{RETURNED}an int{UNUSED}",
    ),
    ("steps = 1\n", "steps = 1; return {}\n", "def smoke", f"smoke{RETURNED}a dict{UNUSED}"),
    (
        "size = 4",
        "size = 1 / 0",
        "1 / 0",
        "ZeroDivisionError: division by zero, in `config.task.size = 1 / 0`",
    ),
    ("size = 100", "size = exit(3)", "exit", "SystemExit: 3, in `config.task.size = exit(3)`"),
    (
        "config.steps = 1\n",
        "config.stepps.a = 1\n",
        "stepps",
        "AttributeError: 'stepps' Did you mean \"steps\"",
    ),
    ("size = 4", "size = 4; assert 0", "assert", "AssertionError, in `config.task.size = 4; ass"),
    ("size = 4", "size = 4; raise BaseException('no')", "raise", "BaseException: no, in `config."),
    ("size = 4", "size = int(99 * 'spam')", "spam", "ValueError: invalid literal for int() with"),
]


@pytest.mark.parametrize(("old", "new", "at", "expected"), CALLS)
def test_what_its_functions_get_wrong_is_one_line(old, new, at, expected):
    path, line = placed(old, new, at, expected)
    assert refusal(presets.load, path, "plain", "paper", True).startswith(line)
    presets.listing([path])  # calls none of them


def test_what_only_a_function_gets_wrong_stops_no_other():
    path, _ = placed("size = 4", "size = 1 / 0", "1 / 0", "")
    assert presets.load(path, "wide", "small", False).preset == "wide"


SWEPT = '{"task.size": (5, 4), "data.a": [1, 2]}'
SWEEP = 'config.sweep must be a dict, {"dotted.name": [value, ...]}; '
VARIED = '{"plain": {}, "big": {"task.size": 9}}'
VARIANTS = 'config.variants must be a dict, {"name": {"dotted.name": value}}; '
FIELDS = [
    (SWEPT, "3", ".sweep =", f"{SWEEP}it is an int"),
    (SWEPT, "None", ".sweep =", f"{SWEEP}it is None"),
    (SWEPT, "[('task.size', (5, 4))]", ".sweep =", f"{SWEEP}it is a list"),
    (SWEPT, "{1: (5, 4)}", ".sweep =", f"{SWEEP}its key 1 is an int"),
    *(
        (
            SWEPT,
            f'{{"data.a": [1, 2],\n "task.size": {values}}}',
            f'"task.size": {values}',
            f"config.sweep['task.size'] must be a list of values; it is {what}",
        )
        for values, what in {
            "5": "an int",
            '"5,4"': "the text '5,4'",
            "None": "None",
            "{5, 4}": "a set",
            "{5: 4}": "a dict",
            "iter((5, 4))": "a tuple_iterator",
            "len": "the function len",
            "__import__('numpy').array(5)": "a ndarray",
        }.items()
    ),
    (VARIED, "3", ".variants =", f"{VARIANTS}it is an int"),
    (VARIED, '["plain", "big"]', ".variants =", f"{VARIANTS}it is a list"),
    (VARIED, "{3: {}}", ".variants =", f"{VARIANTS}its key 3 is an int"),
    (
        VARIED,
        '{"plain": {},\n "big": 9}',
        '"big"',
        "config.variants['big'] must be a dict, {\"dotted.name\": value}; it is an int",
    ),
    (
        VARIED,
        '{"plain": {},\n "big": {4: 9}}',
        '"big"',
        "config.variants['big'] must be a dict, {\"dotted.name\": value}; its key 4 is an int",
    ),
    (  # set by whoever comes last
        "config.steps = 1\n",
        "config.sweep = {1: [2]}\n",
        "{1: [2]}",
        f"{SWEEP}its key 1 is an int",
    ),
    (  # in no way that the text shows
        f"config.sweep = {SWEPT}",
        "config.update(dict(sweep=1))",
        "def wide",
        f"{SWEEP}it is an int",
    ),
]


@pytest.mark.parametrize(("old", "new", "at", "expected"), FIELDS)
def test_a_sweep_or_variants_of_a_wrong_shape_are_one_line(old, new, at, expected):
    path, line = placed(old, new, at, f"wide: {expected}")
    assert refusal(presets.load, path, "wide", "small", True) == line


@pytest.mark.parametrize("values", ["range(4, 6)", "__import__('numpy').arange(4, 6)", "(4, 5)"])
def test_any_list_of_values_is_a_sweep(values):
    path, _ = placed(SWEPT, f'{{"task.size": {values}}}', "", "")
    assert list(presets.load(path, "wide", "small", False).sweep["task.size"]) == [4, 5]


CONTENTS = [
    (b"a = 1\nb = (\n", ":2: SyntaxError: '(' was never closed, in `b = (`"),
    (b"a = 1\nreturn 3\n", ":2: SyntaxError: 'return' outside function, in `return 3`"),
    (b"a = 1\n  b = 2\n", ":2: IndentationError: unexpected indent, in `b = 2`"),
    (b"a = 1\nb = '\xe9'\n", ":2: is not UTF-8 (byte 0xe9); save it as UTF-8"),
    (b"\xe9 = 1\n", ":1: is not UTF-8 (byte 0xe9); save it as UTF-8"),
    ("a = 1\n".encode("utf-16"), ":1: holds null bytes; a config file is Python text in UTF-8"),
    (b"a = 1\n\0", ":2: holds null bytes; a config file is Python text in UTF-8"),
    (b"", ": a config file must define get_config, PRESETS, SCALES, smoke"),
    (b"# coding: spam\n", ":1: SyntaxError: unknown encoding: spam"),
    (b"import sys\nsys.exit()\n", ":2: SystemExit, in `sys.exit()`"),
    (b"\nimport json\njson.loads('{')\n", ":3: JSONDecodeError: Expecting property name"),
    (b"from other import x\n", ":1: SyntaxError: invalid syntax, in `from other import x`"),
    (b"class Odd(Exception):\n    __str__ = None\nraise Odd\n", ":3: Odd, in `raise Odd`"),
    (b"raise ValueError('{[1]}')\n", ":1: ValueError: {[1]}, in `raise ValueError("),
    (
        b"# coding: latin-1\na = '\xe9'\nb = (\n",
        ":3: SyntaxError: '(' was never closed, in `b = (`",
    ),
    (b"def f():\n    f()\nf()\n", ":2: RecursionError: maximum recursion depth exceeded, in `f()`"),
]


@pytest.mark.parametrize(("content", "expected"), CONTENTS)
def test_a_file_that_does_not_run_is_one_line(content, expected, monkeypatch, here):
    monkeypatch.syspath_prepend(str(here))
    (here / "other.py").write_text("\n\n\n= 3")
    monkeypatch.delitem(sys.modules, "other", raising=False)
    (here / "my.py").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        presets.load(here / "my.py", None, "small", False)
    (line,) = caught.value.problems
    assert line.startswith(f"my.py{expected}")
    with pytest.raises(ConfigError) as caught:
        presets.listing([here / "my.py"])
    assert caught.value.problems == [line]


def test_latin_1_that_says_so_is_read(here):
    (here / "my.py").write_bytes(f"# coding: latin-1\n# \xe9\n{TEXT}".encode("latin-1"))
    assert presets.load(here / "my.py", None, "small", False).preset == "wide"


def test_the_file_is_compiled_without_the_future_of_its_reader(here):
    (here / "my.py").write_text(
        f"{TEXT}\ndef f(x: 1): pass\nassert f.__annotations__ == {{'x': 1}}"
    )
    assert presets.load(here / "my.py", None, "small", False).preset == "wide"


def test_an_interrupt_is_not_taken_for_a_failure_of_the_file(here):
    (here / "my.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        presets.load(here / "my.py", None, "small", False)


def test_everything_wrong_is_listed_at_once(here):
    text = TEXT.replace("(wide, plain)", "{}").replace("def smoke(config)", "def smoke()")
    (here / "my.py").write_text(text.replace("paper}", "3}"))
    with pytest.raises(ConfigError) as caught:
        presets.load(here / "my.py", None, "small", False)
    assert [line.partition(" must")[0] for line in caught.value.problems] == [
        "my.py:24: PRESETS",
        "my.py:25: SCALES",
        "my.py:21: smoke",
    ]


def record(folder, sessions):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"identity": {}, "config": {"a": False}}))
    (folder / "provenance.json").write_text(json.dumps({"sessions": sessions}))
    return folder


def test_the_sessions_of_a_run_folder_are_no_config_file(here, capsys):
    record(here / "done", [{"command": "--seeds 1"}, {"command": "--config=my.py --seeds 2"}])
    again = "to run it again: python experiments/run.py --config=my.py --seeds 2\n"
    for words in (["--config=done/provenance.json"], ["--config=done/config.json", "--list"]):
        assert cli.main([*words, "--list"][:2]) == 2
        said = capsys.readouterr().err
        name = words[0].removeprefix("--config=")
        assert said == f"error: {name}: is a run folder's record, not a config file; {again}"


@pytest.mark.parametrize("sessions", [[], {}, None, [{}], [{"command": ""}], [{"command": 3}]])
def test_a_record_without_a_command_says_where_it_should_be(here, sessions):
    record(here / "done", sessions)
    line = refusal(presets.load, here / "done" / "provenance.json", None, "small", False)
    assert line.endswith("file; the command that made it is in the folder's provenance.json")


def test_other_data_is_no_config_file(here):
    for name in ("my.json", "my.yaml", "my.toml"):
        (here / name).write_text('{"a": false}')
        line = refusal(presets.load, here / name, None, "small", False)
        text = "a config file is a Python module that defines get_config, PRESETS, SCALES, smoke"
        assert line == f"{name}: {text}; see --list"


def test_a_refusal_is_printed_on_one_line_without_traceback(here):
    placed("(wide, plain)", '["wide"]', "", "")
    script = str(presets.REPOSITORY / "experiments" / "run.py")
    for words in ([], ["--list"]):
        command = [sys.executable, script, "--config=my.py", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        expected = f"{P}PRESETS[0] is the text 'wide': write the function itself, without quotes"
        assert (done.returncode, done.stderr) == (2, f"error: my.py:24: {expected}\n")


def test_names_are_found_in_every_way_of_binding_them():
    text = """
A, B = (
    [1,
     2], {"x": 3})
C: list = [
    4]
for D in (): pass
import numpy as E, F
class G:
    A = 3
def H(A):
    B = 2
with open(I) as J: pass
if (K := 3): L = 1
[M, *N] = O
"""
    source = Source("my.py", "my.py", ast.parse(text))
    lines = {name: source.binding(name) for name in "ABCDEFGHIJKLMNO"}
    assert lines == dict(A=2, B=2, C=5, D=7, E=8, F=8, G=9, H=11, I=None, J=13, K=14, L=14, M=15,
                         N=15, O=None)  # fmt: skip
    places = [("A", 1), ("A", 2), ("B", "x"), ("B", "y"), ("C", 0), ("D", 0), ("I", 0)]
    assert [source.entry(*place) for place in places] == [4, 2, 4, 2, 6, 7, None]
