"""Text in files is UTF-8, whatever the locale: read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [p for room in ("plateaus", "experiments") for p in sorted((ROOT / room).rglob("*.py"))]
# where they take an encoding by its place; and the place of the mode, "r" where there is none
TEXT = {"read_text": (0, None), "write_text": (1, None), "open": (3, 1), "fdopen": (3, 1)}


def unsaid(tree):
    """Yield the lines of calls that read or write text in the encoding of the locale."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        method = isinstance(node.func, ast.Attribute)
        name = node.func.attr if method else getattr(node.func, "id", "")
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        text = [given.get(n) for n in ("text", "universal_newlines")]
        if any(isinstance(value, ast.Constant) and value.value for value in text):
            yield from () if "encoding" in given else (node.lineno,)
        if name not in TEXT or ast.unparse(node.func) in (
            "os.open",
            "archive.open",
            "tarfile.open",
        ):
            continue
        encoding, mode = TEXT[name]
        shift = method and ast.unparse(node.func) not in ("io.open", "os.fdopen")  # path.open
        if mode is not None:
            place = mode - shift
            value = given.get("mode", node.args[place] if len(node.args) > place else None)
            if isinstance(value, ast.Constant) and "b" in value.value:
                continue
        if "encoding" not in given and len(node.args) <= encoding - (shift and mode is not None):
            yield node.lineno


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("path.read_text()", 1),
        ("path.read_text('utf-8')", 0),
        ("path.write_text(text)", 1),
        ("path.write_text(text, encoding='utf-8')", 0),
        ("open(path)", 1),
        ("open(path, 'w')", 1),
        ("open(path, mode='rb')", 0),
        ("open(path, 'x+b')", 0),
        ("path.open()", 1),
        ("path.open('rb')", 0),
        ("path.open('w', encoding='utf-8')", 0),
        ("subprocess.run(words, text=True)", 1),
        ("subprocess.run(words, text=True, encoding='utf-8')", 0),
        ("subprocess.run(words)", 0),
    ],
)
def test_what_counts(text, line):
    assert [*unsaid(ast.parse(text))] == [line] * (line > 0)


def test_every_text_file_says_its_encoding():
    lines = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        for line in unsaid(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(FILES) > 150 and not lines
