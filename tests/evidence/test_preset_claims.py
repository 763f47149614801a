"""What a preset says of itself is no more than what its claims hold."""

from pathlib import Path

from plateaus.config import presets
from plateaus.evidence import claim, quotes
from plateaus.evidence.verdict import Verdict

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def unquoted(config, doc, claims, judged):
    """The claims of a preset that have runs, and are not quoted in its docstring."""
    decided = {name for name, one in claims.items() if one.config == config and judged[name].pairs}
    return sorted(decided - {*quotes.quoted(doc)})


def promises(doc, judged):
    """Whether a first line states, instead of asking, what not all claims of a preset support."""
    words = {judged[name].word for name in quotes.quoted(doc)}
    held = bool(words) and all(word.startswith("supported") for word in words)
    return not held and not presets.title(doc).endswith("?")


def test_presets_quote_their_claims_and_state_what_they_hold(judged):
    claims, verdict_of = judged
    for path in sorted((EXPERIMENTS / "configs").glob("*.py")):
        for line in presets.listing([path])[1:]:
            preset = line.split()[0].removeprefix(":")
            doc = presets.load(path, preset, "small", False).doc
            assert not unquoted(f"configs/{path.name}:{preset}", doc, claims, verdict_of)
            assert not promises(doc, verdict_of), f"{path.stem}:{preset} has to ask"


def test_a_statement_that_a_claim_does_not_hold_is_found():
    judged = {"1.1": Verdict(word="supported, small", pairs=9), "1.2": Verdict(word="open")}
    held, both = "A does.\n\nClaim 1.1: x", "A does.\n\nClaim 1.1: x\nClaim 1.2: y"
    found = [promises(doc, judged) for doc in (held, both, both.replace(".", "?", 1), "A does.")]
    assert found == [False, True, False, True]
    one = claim.Claim(id="1.1", paper=1, place="", sentence="", config="configs/a.py:b")
    assert unquoted("configs/a.py:b", "A does.", {"1.1": one}, judged) == ["1.1"]
    assert not unquoted("configs/a.py:b", held, {"1.1": one}, judged)
