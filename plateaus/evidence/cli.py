"""The command line of claims: `python experiments/reproduce.py --list | --claim ID | --paper N`."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from plateaus import files, paths
from plateaus.config.exit_codes import with_exit_code
from plateaus.config.lives import duration
from plateaus.config.schema import ConfigError
from plateaus.evidence import best_rates, engine, page, queue, told, verdicts
from plateaus.evidence.claim import Claim, read, read_all, wrong_parts
from plateaus.evidence.verdict import FIGURES, Verdict
from plateaus.names import hint

PROGRAM = "python experiments/reproduce.py"


def parser(program: str = PROGRAM) -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = argparse.ArgumentParser(
        prog=program,
        description="Decide claims: runs are made, kept and judged by rules fixed beforehand.",
        allow_abbrev=False,
        exit_on_error=False,
    )
    what = made.add_argument_group("what to decide")
    what.add_argument("--claim", action="append", metavar="ID", help="an id, or a file of a claim")
    what.add_argument("--paper", type=int, metavar="N", help="the claims of a paper")
    what.add_argument("--all", action="store_true", help="all claims")
    what.add_argument("--scale", choices=("small", "medium", "paper"), help="of this scale alone")
    made.add_argument("--runs", type=Path, metavar="CSV", help="runs made elsewhere, of one claim")
    made.add_argument("--budget", metavar="TIME", help="end within TIME, as 20m")
    made.add_argument("--pilot", action="store_true", help="run pilots only, seeds 0 to 7")
    made.add_argument("--list", action="store_true", help="list claims and verdicts; run nothing")
    made.add_argument("--dry-run", action="store_true", help="say what would run, and its price")
    made.add_argument("--page", action="store_true", help="write the page of results anew")
    made.add_argument("--rates", type=Path, metavar="RUNS", help="keep a folder's best rates")
    made.add_argument("--report", type=Path, metavar="FILE", help="write them as one HTML file")
    return made


@with_exit_code
def main(argv: Sequence[str], root: Path, program: str = PROGRAM) -> int:
    """Run a command line; `root` is the folder of experiments. Return its exit code."""
    try:
        options, unknown = parser(program).parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from None
    if unknown:
        names = [name for action in parser()._actions for name in action.option_strings]
        raise ConfigError(*(f"{word}: no such option{hint(word, names)}" for word in unknown))
    seconds = _seconds(options.budget)
    ways = {"--claim": options.claim, "--paper": options.paper, "--all": options.all or None}
    if len(given := [way for way, value in ways.items() if value is not None]) > 1:
        raise ConfigError(f"{given[1]}: not together with {given[0]}")
    claim_files = [Path(name) for name in options.claim or () if name.endswith(".toml")]
    if options.runs is not None:
        return _elsewhere(options, claim_files)
    if claim_files:
        claims, places = _own(options.claim)
        results = Path("runs") / "claims" / "kept"
    else:
        reads_only = options.list or options.dry_run
        root = writable(root, make=not reads_only)
        claims, results, places = read_all(root / "claims"), root / "results", {}
    if options.rates is not None:
        path = best_rates.keep(options.rates, results / best_rates.FOLDER)
        print(f"written: {path}")
        return 0
    chosen = _chosen(options, claims, bool(claim_files))
    if options.list or options.dry_run or options.page or options.report:
        judged = verdicts.judge(claims, results)
        if options.page:
            _write_page(root, claims, judged)
        if options.list:
            print(told.listing({name: claims[name] for name in chosen}, judged))
        if options.report:
            shown = {name: claims[name] for name in chosen}
            _write_report(options.report, shown, judged, results, places)
        if options.dry_run:
            for job in queue.jobs([claims[name] for name in chosen], judged, options.pilot):
                print(told.plan(job))
                if claim_files and (said := engine.refusal(job)):
                    raise ConfigError(f"{job.name}: {said.removeprefix('error: ')}")
        return 0
    if not claim_files:
        places = {read(path).id: path for path in sorted((root / "claims").glob("*/*.toml"))}
    runs = Path("runs") / "claims"
    before = verdicts.judge(claims, results)
    judged, failed = engine.work(
        places,
        claims,
        chosen,
        results=results,
        runs=runs,
        seconds=seconds,
        pilots_only=options.pilot,
        tell=lambda line: print(line, flush=True),
    )
    claims = {name: read(places[name]) for name in claims}  # with new pilots, in their order
    for name in chosen:
        if repr(judged[name]) != repr(before[name]) or options.claim:  # NaN is not NaN
            print(told.verdict(claims[name], judged[name]))
    if not claim_files:
        _write_page(root, claims, judged)
    if failed:
        raise ConfigError(*failed)
    return 0


def writable(root: Path, make: bool) -> Path:
    """Return the folder whose claims and results are read and, where they change, written.

    That is `root` but for an installed package, whose files are not a user's to change: there it is
    a copy below the current folder, if there is one, or if it is to be made.
    """
    if root != paths.package() / "experiments":
        return root
    copy = Path("runs") / "claims" / "experiments"
    if make and not copy.is_dir():
        with files.new_folder(copy) as draft:
            for name in ("claims", "results"):
                shutil.copytree(root / name, draft / name)
        print(f"claims and kept runs were copied: {copy}")
    return copy if copy.is_dir() else root


def _own(names: Sequence[str]) -> tuple[dict[str, Claim], dict[str, Path]]:
    """Return the claims in files of one's own, and the files, by their ids."""
    claims: dict[str, Claim] = {}
    places: dict[str, Path] = {}
    for name in dict.fromkeys(names):
        if not name.endswith(".toml"):
            raise ConfigError(
                f"--claim {name}: ids and files of claims go in commands of their own"
            )
        claim = read(Path(name))
        if claim.id in claims:
            raise ConfigError(f"{name}: id = {claim.id!r} is that of {places[claim.id]}, too")
        claims[claim.id], places[claim.id] = claim, Path(name)
    problems = wrong_parts(claims)
    for name, claim in claims.items():
        if claim.is_run and not claim.config:
            problems.append(f"claim {name}: has no config; give its runs, --runs CSV")
    if problems:
        raise ConfigError(*problems)
    return claims, places


def _seconds(budget: str | None) -> float | None:
    """Return the seconds of a budget."""
    try:
        return None if budget is None else duration(budget)
    except ValueError as error:
        raise ConfigError(f"--budget {budget}: {error}") from None


def _elsewhere(options: argparse.Namespace, claim_files: Sequence[Path]) -> int:
    """Judge one claim on runs that were made elsewhere."""
    if len(claim_files) != 1 or len(options.claim) != 1:
        raise ConfigError("--runs: name one claim file with it, --claim my.toml --runs my.csv")
    claim = read(claim_files[0])
    print(told.verdict(claim, verdicts.of_file(claim, options.runs)))
    return 0


def _chosen(options: argparse.Namespace, claims: Mapping[str, Claim], own: bool) -> list[str]:
    """Return the ids that are asked for, the parts of compound claims with them."""
    if own or options.all:
        names = [*claims]
    elif options.claim:
        names = options.claim
        if wrong := [name for name in names if name not in claims]:
            raise ConfigError(*(f"--claim {n}: no such claim{hint(n, claims)}" for n in wrong))
    elif options.paper is not None:
        names = [name for name, claim in claims.items() if claim.paper == options.paper]
        if not names:
            raise ConfigError(f"--paper {options.paper}: there are claims of papers 1 to 5")
    elif options.list or options.page or options.report:
        names = [*claims]
    else:
        raise ConfigError("nothing to do: give --list, --claim ID, --paper N or --all; see --help")
    names = [*dict.fromkeys(part for name in names for part in (name, *claims[name].all))]
    if options.scale:
        names = [name for name in names if claims[name].scale == options.scale]
    return names


def _write_page(root: Path, claims: Mapping[str, Claim], judged: Mapping[str, Verdict]) -> None:
    written = page.write(root, claims, judged)
    figures = [path for path in written if path.parent == root / "results" / FIGURES]
    names = [str(path) for path in written if path not in figures]
    names += [f"{len(figures)} files of figures"] * bool(figures)
    print(f"written: {', '.join(names)}" if names else "the page is as it was")


def _write_report(
    path: Path,
    claims: Mapping[str, Claim],
    judged: Mapping[str, Verdict],
    results: Path,
    places: Mapping[str, Path],
) -> None:
    from plateaus.evidence import report  # slow to import

    if path.is_dir():
        raise ConfigError(f"--report {path}: a folder; it names a file")
    report.write(path, claims, judged, results, places)
    print(f"written: {path}")
