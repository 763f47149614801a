"""The tables of claims in the pages on the papers, `docs/papers/`, filled in from the verdicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from plateaus.evidence.claim import Claim
from plateaus.evidence.verdict import FIGURES, Verdict
from plateaus.evidence.wording import cell, compared, estimate

START, END = "<!-- the claims, from their files and runs -->", "<!-- end of the claims -->"
UP = "../.."  # from a page to the root of the repository


def pages(root: Path, claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> dict:
    """Return the pages on the papers, path -> text; `root` is the folder of experiments.

    What stands between the two marks of a page is written anew; all else in it is by hand.
    """
    found = {}
    for path in sorted((root.parent / "docs" / "papers").glob("paper*.md")):
        paper = int(path.stem.removeprefix("paper"))
        page = path.read_text(encoding="utf-8")
        found[path] = refreshed(page, table(paper, claims, verdicts))
    return found


def refreshed(page: str, content: str) -> str:
    """Return a page with other content between its marks; one without marks stays as it is.

    >>> refreshed(f"a {START}old{END} b", "new").replace(START, "<").replace(END, ">")
    'a <\\n\\nnew\\n> b'
    """
    between = re.compile(re.escape(START) + ".*?" + re.escape(END), re.DOTALL)
    return between.sub(lambda _: f"{START}\n\n{content}\n{END}", page)


def table(paper: int, claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> str:
    """Return the claims of a paper, a line each; a claim of several parts has those in its line."""
    parts = {part for claim in claims.values() for part in claim.all}
    lines = ["| claim | preset | in the paper | here |", "|---|---|---|---|"]
    for name, claim in claims.items():
        if claim.paper == paper and name not in parts:
            members = [claims[part] for part in claim.all] or [claim]
            holds = verdicts[name].word
            numbers = [
                text
                for one in members
                if (text := _number(one, verdicts[one.id], one is not claim))
            ]
            presets = dict.fromkeys(_preset(one) for one in members if one.config)
            row = (
                f"**{name}** {cell(claim.sentence)}",
                ", ".join(presets),
                cell(claim.place),
                "<br>".join([f"**{holds}**", *numbers]),
            )
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def _preset(claim: Claim) -> str:
    """Return the preset of a claim, as a link to its config."""
    file, _, preset = claim.config.partition(":")
    shown = f"{Path(file).name}:{preset}" if preset else Path(file).name
    return f"[`{shown}`]({UP}/experiments/{file})"


def _number(claim: Claim, verdict: Verdict, is_part: bool) -> str:
    """Return the estimate of a claim with its number of pairs, linked to its figure if it has one.

    A part says which one it is and its own verdict.
    """
    value = estimate(claim, verdict)
    if not value:
        return ""
    value = f"share {value}" if compared(claim) == "share" else value
    text = f"{cell(value)}, n = {verdict.pairs}"
    if verdict.has_figure:
        text = f"[{text}]({UP}/experiments/results/{FIGURES}/{claim.id}.md)"
    return f"{claim.id}, {verdict.word}: {text}" if is_part else text
