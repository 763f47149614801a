"""What the head of the page of claims says: how verdicts are reached, and what they mean."""

HEAD = """\
<!-- Written by `python experiments/reproduce.py --page`; what is changed here by hand is lost. -->
# What the papers claim, and what the runs say

A **claim** is one sentence of a paper with one rule: two settings that differ in what the sentence
is about, a statistic, a horizon, and the smallest effect that counts. All of it is in a file of
[`experiments/claims/`](../claims), fixed before the runs that decide it: these start at seed 1000,
while a regime was chosen on lower ones, and a pilot on seeds 0 to 7 has to show that the claim can
be decided there at all. (A few claims are decided by a test, or by a share of runs, with exact
binomial intervals at the same looks; a few were given their regime when runs of it were there for
another claim, as their files say.)

A **verdict** compares the two settings seed by seed: d = log(min(T, H) / min(T', H)), with T and T'
the steps of the treated setting and of its baseline, H the horizon. (Losses and other values are
compared likewise, or by their difference.) The signs of all d are flipped, since under no effect
each is a fair coin. The data are looked at after 16, 24, 32, 48 and 64 seeds, unless a claim says
otherwise; every look spends a part of the level, and intervals hold for all looks together. The
primary claims of a paper, their ids in **bold**, are corrected together by Holm; the others are
exploratory.
"""

# verdict -> what it means, what it does not mean
MEANINGS = {
    "supported": (
        "no effect, or one the other way, is rejected, and the estimate reaches the smallest "
        "effect that counts",
        "that it holds in another regime, size or task",
    ),
    "supported, small": (
        "the same, with an estimate short of the smallest effect that counts",
        "that it matters",
    ),
    "not supported": (
        "the smallest effect that counts is rejected",
        "that there is no effect at all",
    ),
    "contradicted": (
        "the same, and the interval lies on the other side of no effect",
        "that the paper's own runs are wrong",
    ),
    "inconclusive": (
        "after the last look neither is rejected",
        "that there is no effect",
    ),
    "not evaluable": (
        "the regime cannot decide it: a baseline that does not train, a plateau too short to "
        "measure, nothing to compare",
        "anything of the claim",
    ),
    "open": ("no look has decided it yet, and more are to come", ""),
    "not yet rerun": (
        "no fresh seed was run; what was said before there were rules is at the foot of the page",
        "",
    ),
    "not tested": ("nothing here can run it yet", ""),
}

KEY = """\
*ratio*: geometric mean over the seeds of treated to baseline; "> 2.1" is a bound, since the runs
of one setting never got there; a number with a sign is a difference. *P(sooner)*: share of the
pairs in which the treated setting comes first, or has the lower number. *n*: pairs, linked to their
runs, and those left out, since neither run of them got there. *minutes*: of all runs that the
verdict rests on; of a claim of several parts the sum, in which runs that they share count more than
once. The estimate leads to its figure: curves, times and pairs. Under each claim: its place in the
paper, the effect that counts, and the command that makes its runs. A claim of several parts has the
verdict of the weakest of them, and leads to their figures. Where each setting has its own best
learning rate, [pilots at several rates](rates/README.md) show which.
"""

COMMANDS = """\
To run a claim, or go on with one from what is kept here:

```bash
python experiments/reproduce.py --claim 1.17              # one claim, until it is decided
python experiments/reproduce.py --paper 1 --budget 20m    # the most telling runs first
python experiments/reproduce.py --list                    # all claims and their verdicts
```
"""
