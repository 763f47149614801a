"""Task superposition in language models on disk: the command `experiments/real_models.py`.

It starts quickly: jax, torch and transformers are imported only to run.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from plateaus.config.exit_codes import with_exit_code
from plateaus.real_models.arguments import PROGRAM, Plan, parser, plan
from plateaus.real_models.prompts import prompts


@with_exit_code
def main(argv: Sequence[str], program: str = PROGRAM) -> int:
    """Run a command line; return its exit code: 0, 1 (failed), 2 (refused) or 130 (interrupted)."""
    if "--help" in argv or "-h" in argv:
        print(parser(program).format_help(), end="")
        return 0
    options, extras = parser().parse_known_args(argv)
    made = plan(options, extras)
    print(*describe(made), sep="\n")
    if options.dry_run:
        print("\na prompt:", prompts(made, next(iter(made.shares.values())))[0].text, sep="\n")
        return 0
    from plateaus.real_models.run import execute

    return execute(made, shlex.join(argv))


def describe(made: Plan) -> list[str]:
    """Return lines that state the plan in words."""
    many = f"{len(made.shares)} mixture{'s' * (len(made.shares) > 1)}"
    return [
        f"{made.folder}: set {made.set}, tasks {', '.join(made.tasks)}",
        f"{many} of {made.prompts} prompts, {made.examples} examples each, shares "
        f"{'exact' if made.exact else 'in the mean'}, seed {made.seed} -> {made.workdir}",
    ]
