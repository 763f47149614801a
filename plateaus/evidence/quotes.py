"""Numbers of claims where texts quote them: found by their marks, and written anew.

In Markdown a number stands between comments, which no reader sees:

    sampling by a Zipf law takes <!--claim 1.17a-->0.48 [0.39, 0.65]<!--/--> of the time

and in a docstring on a line of its own, all of which follows from the id that it begins with:

    Claim 1.17a: supported, 0.48 [0.39, 0.65], 64 pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from plateaus.config.schema import ConfigError
from plateaus.evidence.claim import Claim
from plateaus.evidence.verdict import Verdict
from plateaus.evidence.wording import compared, estimate
from plateaus.names import nearest

ID = r"\d+\.\d+[a-z]*\d*"
INLINE = re.compile(rf"<!--claim ({ID})( verdict)?-->(.*?)<!--/-->", re.DOTALL)
LINE = re.compile(rf"^([ \t]*)Claim ({ID}):.*$", re.MULTILINE)
OPENED = re.compile(r"<!--\s*claim\b.*?-->")


def refreshed(text: str, claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> str:
    """Return a text with all that it quotes of claims as it is now; the rest of it stays.

    `<!--claim ID-->` quotes the estimate, or the verdict where there is none, and
    `<!--claim ID verdict-->` the verdict's word. Twice is as once.

    Raises ConfigError, a line each, for ids that no claim has, and marks that are not closed.

    >>> claim = Claim(id="1.1", paper=1, place="", sentence="", statistic="escape")
    >>> refreshed("is <!--claim 1.1-->old<!--/-->.", {"1.1": claim}, {"1.1": Verdict(word="open")})
    'is <!--claim 1.1-->open<!--/-->.'
    """
    if problems := _problems(text, claims):
        raise ConfigError(*problems)

    def inline(match: re.Match[str]) -> str:
        name, word = match[1], match[2] or ""
        value = "" if word else estimate(claims[name], verdicts[name])
        return f"<!--claim {name}{word}-->{value or verdicts[name].word}<!--/-->"

    def line(match: re.Match[str]) -> str:
        return match[1] + sentence(claims[match[2]], verdicts[match[2]])

    return LINE.sub(line, INLINE.sub(inline, text))


def sentence(claim: Claim, verdict: Verdict) -> str:
    """Return a verdict as the line of a docstring.

    >>> claim = Claim(id="1.1", paper=1, place="", sentence="", statistic="escape")
    >>> sentence(claim, Verdict(word="open"))
    'Claim 1.1: open.'
    """
    parts = [verdict.word]
    if value := estimate(claim, verdict):
        parts.append(f"share {value}" if compared(claim) == "share" else value)
    if verdict.pairs:
        parts.append(f"{verdict.pairs} {'pairs' if claim.kind == 'paired' else 'runs'}")
    return f"Claim {claim.id}: {', '.join(parts)}."


def places(root: Path) -> list[Path]:
    """Return the files that may quote claims; `root` is the folder of experiments."""
    top = root.parent
    readme = [path for path in (top / "README.md",) if path.exists()]
    pages = sorted((top / "docs").rglob("*.md"))
    return [*readme, *pages, *sorted((root / "configs").glob("*.py"))]


def quoted(text: str) -> list[str]:
    """Return the ids that a text quotes, in their order.

    >>> quoted("<!--claim 1.2-->a<!--/--> Claim 1.3: not at the start of a line")
    ['1.2']
    """
    found = [(m.start(), m[1]) for m in INLINE.finditer(text)]
    found += [(m.start(), m[2]) for m in LINE.finditer(text)]
    return [name for _, name in sorted(found)]


def _problems(text: str, claims: Iterable[str]) -> list[str]:
    claims = [*claims]
    unknown = [name for name in dict.fromkeys(quoted(text)) if name not in claims]
    problems = []
    for name in unknown:
        close = nearest(name, claims)
        meant = f"; did you mean {close}?" if close else ""
        problems.append(f"claim {name} is quoted: no such claim{meant}")
    for match in INLINE.finditer(text):
        if len(OPENED.findall(match[0])) > 1:
            problems.append(f"<!--claim {match[1]}--> is not closed by <!--/-->")
    rest = INLINE.sub("", text)
    return problems + [
        f"{mark} is not <!--claim ID-->, closed by <!--/-->" for mark in OPENED.findall(rest)
    ]
