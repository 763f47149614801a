"""The files of the claims' figures: written where what they are drawn from has changed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from plateaus.evidence import svg
from plateaus.evidence.claim import Claim
from plateaus.evidence.claim_caption import description, page, title
from plateaus.evidence.verdict import FIGURES, Verdict
from plateaus.files import write_atomically
from plateaus.report import kept_curves, kept_runs

DRAWN = 1  # one more where the drawing of what is the same changes: all figures are drawn anew


def drawn(
    claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict], results: Path
) -> Iterator[tuple[Claim, Verdict, Path]]:
    """Yield the claims that have a figure, each with its verdict and its folder of runs."""
    for name, claim in claims.items():
        verdict = verdicts[name]
        if verdict.has_figure and (results / verdict.folders[0] / kept_curves.FILE).exists():
            yield claim, verdict, results / verdict.folders[0]


def digest(claim: Claim, verdict: Verdict, folder: Path) -> str:
    """Return the digest of all that a figure is drawn from: claim, verdict and runs.

    Numbers of the verdict enter as they are printed: the last digits differ between machines.
    """
    assert verdict.used is not None
    texts = [title(claim, verdict), description(claim, verdict), page(claim, verdict)]
    files = [(folder / name).read_bytes() for name in (kept_runs.FILE, kept_curves.FILE)]
    content = [DRAWN, dataclasses.asdict(claim), texts, verdict.used.seeds.tolist(), verdict.series]
    content += [hashlib.sha256(data).hexdigest() for data in files]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def draw(claim: Claim, verdict: Verdict, folder: Path) -> bytes:
    """Return the figure of a claim as an SVG; the same claim, verdict and runs: the same bytes."""
    from plateaus.evidence import claim_figure, claim_runs

    assert verdict.used is not None
    results, rows = claim_runs.of_folder(claim, verdict.used, folder)
    figure = claim_figure.figure(claim, verdict, results, rows)
    words = title(claim, verdict), description(claim, verdict).replace("`", "")
    return svg.content(figure, *words, digest(claim, verdict, folder))


def write(
    claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict], results: Path
) -> list[Path]:
    """Write the figures and their pages where they changed; return the files that were written."""
    written = []
    for claim, verdict, folder in drawn(claims, verdicts, results):
        place = results / FIGURES
        place.mkdir(exist_ok=True)
        path = place / f"{claim.id}.svg"
        if svg.digest_of(path) != digest(claim, verdict, folder):
            write_atomically(path, draw(claim, verdict, folder))
            written.append(path)
        path, data = path.with_suffix(".md"), page(claim, verdict).encode()
        if not path.exists() or path.read_bytes() != data:
            write_atomically(path, data)
            written.append(path)
    return written
