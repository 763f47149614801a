"""Numbers in words, against a library that was asked once about every number below 200."""

import hashlib

import pytest

from plateaus.real_models import number_words

# SHA-256 of num2words 0.5's words for 0 .. 199, one a line
TOLD = {
    "english": "d983510f66e2a16f",
    "french": "12b5e11b342b7e67",
    "spanish": "91877fc71ddbd7d0",
}


@pytest.mark.parametrize("language", TOLD)
def test_every_number(language):
    words = [getattr(number_words, language)(number) for number in range(200)]
    assert hashlib.sha256("\n".join(words).encode()).hexdigest()[:16] == TOLD[language]
    assert len(set(words)) == 200


@pytest.mark.parametrize("number", (-1, 200))
@pytest.mark.parametrize("language", TOLD)
def test_beyond(language, number):
    with pytest.raises(ValueError, match=rf"number {number}: must be in \[0, 200\)"):
        getattr(number_words, language)(number)
