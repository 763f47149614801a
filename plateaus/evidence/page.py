"""The page of all claims and their verdicts, in Markdown, written from the records alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from plateaus.evidence.claim import Claim
from plateaus.evidence.page_head import COMMANDS, HEAD, KEY, MEANINGS
from plateaus.evidence.verdict import FIGURES, WORDS, Verdict
from plateaus.evidence.wording import cell, command, compared, estimate, has_ratio, rule, table
from plateaus.files import write_atomically
from plateaus.report.terminal import short

COLUMNS: tuple[str, ...] = ("id", "claim", "verdict", "ratio [95% interval]", "P(sooner)", "n")
COLUMNS += ("scale", "device", "commit", "minutes")
OPEN = ("open", "inconclusive", "not evaluable", "not tested")


def text(claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> str:
    """Return the page; the same claims, in their order, and verdicts give the same text."""
    meanings = ((word, *MEANINGS[word]) for word in WORDS)
    parts = [HEAD, table(("verdict", "means", "does not mean"), meanings), KEY, COMMANDS]
    parts.append(_counts(claims, verdicts))
    for paper in sorted({claim.paper for claim in claims.values()}):
        parts.append(_paper(paper, claims, verdicts))
    parts += [_open(claims, verdicts), _before(claims, verdicts)]
    return "\n".join(part for part in parts if part)


def figure_name(paper: int) -> str:
    """Return the name of the file of a paper's forest plot."""
    return f"paper{paper}.svg"


def write(root: Path, claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> list[Path]:
    """Write the page, its figures and the numbers quoted elsewhere; return the files that changed.

    `root` is the folder of experiments. A file that would be the same is left alone.
    """
    from plateaus.evidence import best_rates, claim_files, forest, paper_pages, quotes

    folder = root / "results"
    written = claim_files.write(claims, verdicts, folder)
    for paper in sorted({claim.paper for claim in claims.values()}):
        path = folder / figure_name(paper)
        if forest.draw(claims, verdicts, paper, path):
            written.append(path)
    pages = {folder / "README.md": text(claims, verdicts)}
    if (folder / best_rates.FOLDER).is_dir():
        pages[folder / best_rates.FOLDER / "README.md"] = best_rates.page(claims.values(), folder)
    pages |= paper_pages.pages(root, claims, verdicts)
    for path in quotes.places(root):
        page = pages.get(path, path.read_text(encoding="utf-8"))
        pages[path] = quotes.refreshed(page, claims, verdicts)
    for path, new in pages.items():
        data = new.encode()
        if not path.exists() or path.read_bytes() != data:
            write_atomically(path, data)
            written.append(path)
    return written


def _counts(claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> str:
    """Return how many claims, parts not counted, have each verdict."""
    parts = {part for claim in claims.values() for part in claim.all}
    whole = [name for name in claims if name not in parts]
    papers = sorted({claims[name].paper for name in whole})
    count = Counter((verdicts[name].word, claims[name].paper) for name in whole)
    rows = []
    for word in WORDS:
        numbers = [count[word, paper] for paper in papers]
        if sum(numbers):
            rows.append([word, *(str(n or "") for n in numbers), str(sum(numbers))])
    columns = ("verdict", *(f"paper {paper}" for paper in papers), "all")
    return f"## {len(whole)} claims\n\nParts of claims are not counted.\n\n{table(columns, rows)}"


def _paper(paper: int, claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> str:
    chosen = {name: claim for name, claim in claims.items() if claim.paper == paper}
    lines = [f"## Paper {paper}", ""]
    if any(has_ratio(claim, verdicts[name]) for name, claim in chosen.items()):
        what = (
            f"Ratios of the claims of paper {paper} with their intervals; the table below has them"
        )
        lines += [f"![{what}]({figure_name(paper)})", ""]
    lines.append(table(COLUMNS, (_row(claim, verdicts) for claim in chosen.values())))
    command = f"`python experiments/reproduce.py --paper {paper}`"
    lines.append(f"All of them: {command}; one: `--claim ID`.{_folders(chosen, verdicts)}\n")
    return "\n".join(lines)


def _row(claim: Claim, verdicts: Mapping[str, Verdict]) -> list[str]:
    verdict = verdicts[claim.id]
    name = f"**{claim.id}**" if claim.role == "primary" else claim.id
    about = "; ".join(part for part in (claim.place, rule(claim)) if part)
    words = command(claim)
    sooner = "" if math.isnan(verdict.sooner) else short(verdict.sooner, ".2f")
    return [
        name,
        f"{cell(claim.sentence)}<br><sub>{cell(about)}" + f"<br>`{words}`" * bool(words) + "</sub>",
        verdict.word,
        _estimate(claim, verdicts),
        sooner,
        _pairs(verdict),
        claim.scale if claim.is_run else "",
        cell(verdict.device),
        cell(verdict.commit),
        minutes(verdict.minutes),
    ]


def _estimate(claim: Claim, verdicts: Mapping[str, Verdict]) -> str:
    """Return the estimate, linked to its figure; of a claim of parts, links to theirs."""
    links = [f"[{part}]({figure_page(part)})" for part in claim.all if verdicts[part].has_figure]
    if links:
        return ", ".join(links)
    value = cell(estimate(claim, verdicts[claim.id]))
    if value and compared(claim) == "share":
        value = f"share {value}"
    if not verdicts[claim.id].has_figure:
        return value
    return f"[{value or 'figure'}]({figure_page(claim.id)})"


def figure_page(name: str) -> str:
    """Return the page of a claim's figure, from the page of all claims."""
    return f"{FIGURES}/{name}.md"


def _pairs(verdict: Verdict) -> str:
    """Return the number of pairs, linked to their runs, and of those left out."""
    number = str(verdict.pairs) if verdict.pairs else "runs" if verdict.folders else ""
    if len(verdict.folders) == 1:
        number = f"[{number}]({verdict.folders[0]}/)"
    elif not verdict.pairs:
        number = ""  # the parts have their own
    return f"{number} + {verdict.censored} left out" if verdict.censored else number


def minutes(value: float) -> str:
    """Return minutes in two digits; "" for none.

    >>> minutes(0.0), minutes(0.51), minutes(12.3), minutes(1234.5)
    ('', '0.51', '12', '1,234')
    """
    if not value:
        return ""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _folders(claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> str:
    """Return the folders of runs, each with the claims that rest on it."""
    users: dict[str, list[str]] = {}
    for name, claim in claims.items():
        for folder in verdicts[name].folders if claim.kind != "all" else ():
            users.setdefault(folder, []).append(name)
    texts = [f"[{folder}]({folder}/) ({', '.join(names)})" for folder, names in users.items()]
    return f" Runs: {', '.join(texts)}." if texts else ""


def _open(claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> str:
    """Return what has no answer, and why."""
    lines = []
    for word in OPEN:
        names = [n for n in claims if verdicts[n].word == word and claims[n].kind != "all"]
        if names:
            lines += [f"### {word[0].upper()}{word[1:]}", ""]
            lines += [f"- {_reason(claims[name], verdicts[name])}" for name in names]
            lines.append("")
    return "\n".join(["## Open, and why", "", *lines]) if lines else ""


def _reason(claim: Claim, verdict: Verdict) -> str:
    reasons = [cell(verdict.why or claim.untested).rstrip(".")]
    if verdict.word == "inconclusive" and not math.isnan(verdict.detectable):
        what = compared(claim)
        sign = "+" if what == "difference" else ""
        seen = f"the smallest {what} that could have been seen is {verdict.detectable:{sign}.2g}"
        reasons.append(seen)
    why = "; ".join(reason for reason in reasons if reason)
    return f"**{claim.id}** {cell(claim.sentence)}" + (f" *Why:* {why}." if why else "")


def _before(claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> str:
    """Return what was said before there were rules, where no fresh seed has been run since."""
    rows = []
    for name, claim in claims.items():
        said = claim.before
        if said and verdicts[name].word in ("not yet rerun", "open") and not verdicts[name].folders:
            folder = str(said.get("folder", ""))
            link = f"[{cell(folder)}](before/{folder}/)" if folder else ""
            fields = [cell(str(said.get(key, ""))) for key in ("verdict", "seeds", "effect")]
            rows.append([claim.id, cell(claim.sentence), *fields, link])
    if not rows:
        return ""
    head = """\
## Not yet rerun

What the project said of these before there were rules, mostly from 5 seeds on which the regime was
chosen too, and by tests that were not made for pairs. No verdict rests on it.
"""
    return f"{head}\n{table(('id', 'claim', 'was called', 'n', 'effect', 'runs'), rows)}"
