"""Numbers of claims that texts quote."""

import pytest

from plateaus.config.schema import ConfigError
from plateaus.evidence import quotes
from plateaus.evidence.claim import Claim
from plateaus.evidence.verdict import Verdict
from plateaus.report.survival import Interval


def cases():
    """Three claims with their verdicts: a ratio, a bound, none yet."""
    names = ("1.1", "1.2b", "2.1")
    claims = {n: Claim(id=n, paper=1, place="", sentence="", statistic="escape") for n in names}
    ratio = Verdict(word="supported", estimate=Interval(0.481, 0.392, 0.649), pairs=64)
    bound = Verdict(word="contradicted", estimate=Interval(2.19, 2, 9), bound=">", pairs=64)
    return claims, {"1.1": ratio, "1.2b": bound, "2.1": Verdict(word="not yet rerun")}


def test_quotes_are_written_anew_and_twice_is_as_once():
    claims, verdicts = cases()
    text = "It takes <!--claim 1.1-->9 [8,\n 9]<!--/--> and is <!--claim 2.1 verdict-->x<!--/-->.\n"
    text += '    """A preset.\n\n    Claim 1.2b: whatever (it said).\n    Reached (5 seeds): 3.\n'
    new = quotes.refreshed(text, claims, verdicts)
    assert "takes <!--claim 1.1-->0.48 [0.39, 0.65]<!--/--> and is" in new
    assert "<!--claim 2.1 verdict-->not yet rerun<!--/-->." in new
    assert "\n    Claim 1.2b: contradicted, > 2.1, 64 pairs.\n    Reached (5 seeds): 3.\n" in new
    assert quotes.refreshed(new, claims, verdicts) == new
    assert quotes.quoted(text) == ["1.1", "2.1", "1.2b"]
    parts = "Claim 1.28a1: open.\n<!--claim 1.28c2-->x<!--/-->"
    assert quotes.quoted(parts) == ["1.28a1", "1.28c2"]
    assert quotes.refreshed("no claim here, 1.1", claims, verdicts) == "no claim here, 1.1"


def test_what_is_no_pair_is_called_a_run():
    level = Claim(id="1.1", paper=1, place="", sentence="", kind="descriptive", statistic="level")
    quoted = quotes.sentence(level, Verdict(word="supported", pairs=16))
    assert quoted == "Claim 1.1: supported, 16 runs."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!--claim 1.1z-->3<!--/-->", "claim 1.1z is quoted: no such claim; did you mean 1.1?"),
        ("Claim 7.99: supported.", "claim 7.99 is quoted: no such claim"),
        ("<!--claim 1.1-->3", "is not <!--claim ID-->, closed by <!--/-->"),
        ("<!--claim 1.1-->3 <!--claim 2.1-->4<!--/-->", "<!--claim 1.1--> is not closed"),
        ("<!-- claim one -->3<!--/-->", "is not <!--claim ID-->, closed by <!--/-->"),
    ],
)
def test_a_quote_that_cannot_be_filled_in_is_named(text, message):
    with pytest.raises(ConfigError) as error:
        quotes.refreshed(text, *cases())
    assert message in str(error.value) and len(error.value.problems) == 1
