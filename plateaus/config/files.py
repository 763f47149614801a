"""One config file: run as a module, its shape checked, its functions called.

Any failure in it, and any wrong shape, becomes a ConfigError of one line that names the file and
the line.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import io
import json
import linecache
import sys
import tokenize
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from plateaus.config import pairs, shapes
from plateaus.config.schema import ConfigError
from plateaus.config.source import Place, Source

_LONGEST = 300  # characters of an exception's text; some of jax's are a page
_NOWHERE = Place()  # but in the file
_RECORDS = ("config.json", "provenance.json")  # of a run folder


class ConfigFile:
    """A config file that was run and whose shape is sound.

    Args:
      path: the path of the file.
      name: its name in messages.

    Raises ConfigError for a file that fails or is not a config file.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._source = Source(name, str(path), ast.Module([], []))
        _refuse_data(path, name)
        tree = self._parsed(self._run(path.read_bytes))
        self._source = Source(name, str(path), tree)
        names = self._module(tree)
        self._refuse(shapes.problems(names))
        self._make: Callable[[], Any] = names["get_config"]
        self.presets: dict[str, Callable[..., Any]] = {
            preset.__name__: preset for preset in names["PRESETS"]
        }
        self.scales: dict[str, Callable[..., Any] | None] = dict(names["SCALES"])
        self._smoke: Callable[..., Any] = names["smoke"]

    def tree(self, preset: str, scale: str, smoke: bool) -> dict[str, Any]:
        """Return the config of a preset at a scale, as nested dicts; sweep and variants checked."""
        from ml_collections import ConfigDict  # the file has imported it; others need not

        base = Place("get_config", function=self._make)
        config = self._run(self._make, place=base)
        if not isinstance(config, ConfigDict):
            what = f"get_config() must return a ConfigDict; it returned {shapes.kind(config)}"
            self._refuse([(base, what)])
        setters = [self._make]
        for label, change, place in (
            (f"SCALES[{scale!r}]", self.scales[scale], Place("SCALES", scale)),
            (preset, self.presets[preset], Place("PRESETS")),
            ("smoke", self._smoke if smoke else None, Place("smoke")),
        ):
            if change is not None:
                place = place._replace(function=change)
                call = functools.partial(change, config, **shapes.scale_for(change, scale))
                value = self._run(call, place=place)
                if problem := shapes.returned(label, value, config):
                    self._refuse([(place, problem)])
                setters.append(change)
        tree = self._run(config.to_dict, place=base)
        if isinstance(tree.get("sweep"), dict):
            tree["sweep"] = {pairs.key(name): values for name, values in tree["sweep"].items()}
        default = Place("PRESETS", function=self.presets[preset])
        self._refuse(
            (self._source.setting(reversed(setters), field, key) or default, f"{preset}: {problem}")
            for field, key, problem in shapes.shape_problems(tree)
        )
        return tree

    def _refuse(self, problems: Iterable[tuple[Place | int, str]]) -> None:
        """Refuse the file by all of its problems, if there are any, at their lines."""
        if lines := [f"{self._source.at(place)}: {problem}" for place, problem in problems]:
            raise ConfigError(*lines)

    def _module(self, tree: ast.Module) -> dict[str, Any]:
        """Return the names of the module, run afresh and without leaving bytecode beside it.

        It may import what lies beside it, wherever the program was started.
        """
        path = self._path
        if (folder := str(path.parent.resolve())) not in sys.path:
            sys.path.append(folder)  # the last place: it hides no other module
        name = f"plateaus_config_{path.stem}_{abs(hash(path.resolve()))}"
        spec = importlib.util.spec_from_loader(name, loader=None, origin=str(path))
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        module.__file__ = str(path)
        sys.modules[name] = module  # dataclasses look their module up
        self._run(lambda: exec(_compiled(tree, path), vars(module)))
        return dict(vars(module))

    def _parsed(self, content: bytes) -> ast.Module:
        """Return the syntax tree of the file; a file that is no text is refused in plain words."""
        if (null := content.find(b"\0")) >= 0:
            line = content.count(b"\n", 0, null) + 1
            text = "holds null bytes; a config file is Python text in UTF-8"
            raise ConfigError(f"{self._source.at(line)}: {text}")
        try:
            return self._run(_compiled, content, self._path, ast.PyCF_ONLY_AST)
        except ConfigError:
            _refuse_encoding(content, self._source)
            raise

    def _run(self, function: Callable[..., Any], *arguments: Any, place: Place = _NOWHERE) -> Any:
        """Return what a function of the file returns; its failure becomes one line.

        `place` is named where the failure has no line of this file.
        """
        try:
            return function(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit, too: a config file does not end the program
            raise ConfigError(self._failure(error, place)) from error

    def _failure(self, error: BaseException, place: Place | int) -> str:
        path = str(self._path)
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == path and frame.lineno]
        if isinstance(error, SyntaxError) and error.filename == path:
            lines.append(error.lineno or 1)
        quoted = ""
        if lines:
            place = lines[-1]
            linecache.checkcache(path)
            source = linecache.getline(path, place).strip()
            quoted = f", in `{source}`" if source else ""
        reason = _reason(error)
        what = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        return f"{self._source.at(place)}: {what}{quoted}"


def _compiled(content: Any, path: Path, flags: int = 0) -> Any:
    """Compile a file by itself: the `from __future__` of this one is no matter of its own."""
    return compile(content, str(path), "exec", flags, dont_inherit=True)


def _refuse_encoding(content: bytes, source: Source) -> None:
    """Refuse bytes that are not in the encoding of the file, if it does not declare another."""
    try:
        declared, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    except SyntaxError:
        declared = "utf-8"
    if not declared.startswith("utf-8"):
        return
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x}"
        raise ConfigError(f"{source.at(line)}: is not UTF-8 ({byte}); save it as UTF-8") from None


def _reason(error: BaseException) -> str:
    """Return an exception's text on one line, without the quotes of a KeyError's."""
    try:
        text = str(error.msg if isinstance(error, SyntaxError) else error)
    except Exception:  # an exception of the file's own may fail at that, too
        return ""
    with contextlib.suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        text = str(ast.literal_eval(text))  # ConfigDict's AttributeErrors are quoted so as well
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _refuse_data(path: Path, name: str) -> None:
    """Refuse a file whose name is not that of Python: a record of a run folder, or other data."""
    if path.suffix == ".py":
        return
    record = record_of(path.parent)
    if record is not None:
        raise ConfigError(f"{name}: is a run folder's record, not a config file; {record}")
    if path.suffix.lower() in (".json", ".yaml", ".yml", ".toml", ".ipynb"):
        text = "a config file is a Python module that defines"
        raise ConfigError(f"{name}: {text} {', '.join(shapes.NEEDED)}; see --list")


def record_of(folder: Path) -> str | None:
    """Return how to run again what a run folder records; None if it is not a run folder."""
    config, provenance = (_json(folder / name) for name in _RECORDS)
    if not isinstance(config, dict) or "identity" not in config:
        return None
    try:
        command = provenance["sessions"][-1]["command"]
    except (TypeError, KeyError, IndexError):
        command = ""
    if not isinstance(command, str) or not command:
        return "the command that made it is in the folder's provenance.json"
    return f"to run it again: python experiments/run.py {command}"


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
