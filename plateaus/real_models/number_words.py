"""Whole numbers below 200 in words, in English, French and Spanish.

Source: the reference grammars, in the spelling that text generators of numbers share: "one hundred
and five" with its "and", French of France with the hyphens of before 1990 ("cent vingt et un").
"""

from __future__ import annotations

BELOW = 200

_ENGLISH_BELOW_20 = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_ENGLISH_TENS_FROM_20 = "twenty thirty forty fifty sixty seventy eighty ninety"
_FRENCH_BELOW_20 = (
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize "
    "dix-sept dix-huit dix-neuf"
)
_FRENCH_TENS_FROM_20 = "vingt trente quarante cinquante soixante"
_SPANISH_BELOW_30 = (
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
    "dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro "
    "veinticinco veintiséis veintisiete veintiocho veintinueve"
)
_SPANISH_TENS_FROM_30 = "treinta cuarenta cincuenta sesenta setenta ochenta noventa"

_ENGLISH, _ENGLISH_TENS = _ENGLISH_BELOW_20.split(), _ENGLISH_TENS_FROM_20.split()
_FRENCH, _FRENCH_TENS = _FRENCH_BELOW_20.split(), _FRENCH_TENS_FROM_20.split()
_SPANISH, _SPANISH_TENS = _SPANISH_BELOW_30.split(), _SPANISH_TENS_FROM_30.split()


def english(number: int) -> str:
    """Return a number in English words.

    >>> english(45), english(100), english(121)
    ('forty-five', 'one hundred', 'one hundred and twenty-one')
    """
    if _within(number) >= 100:
        return f"one hundred and {english(number - 100)}" if number > 100 else "one hundred"
    if number < 20:
        return _ENGLISH[number]
    tens = _ENGLISH_TENS[number // 10 - 2]
    return f"{tens}-{_ENGLISH[number % 10]}" if number % 10 else tens


def french(number: int) -> str:
    """Return a number in French words.

    >>> french(71), french(80), french(81), french(197)
    ('soixante et onze', 'quatre-vingts', 'quatre-vingt-un', 'cent quatre-vingt-dix-sept')
    """
    if _within(number) >= 100:
        return f"cent {french(number - 100)}" if number > 100 else "cent"
    if number < 20:
        return _FRENCH[number]
    if number >= 80:
        return f"quatre-vingt-{_FRENCH[number - 80]}" if number > 80 else "quatre-vingts"
    ten = min(number // 10, 6)
    rest = number - 10 * ten
    if rest in (1, 11):
        return f"{_FRENCH_TENS[ten - 2]} et {_FRENCH[rest]}"
    return f"{_FRENCH_TENS[ten - 2]}-{_FRENCH[rest]}" if rest else _FRENCH_TENS[ten - 2]


def spanish(number: int) -> str:
    """Return a number in Spanish words.

    >>> spanish(22), spanish(45), spanish(100), spanish(101)
    ('veintidós', 'cuarenta y cinco', 'cien', 'ciento uno')
    """
    if _within(number) >= 100:
        return f"ciento {spanish(number - 100)}" if number > 100 else "cien"
    if number < 30:
        return _SPANISH[number]
    tens = _SPANISH_TENS[number // 10 - 3]
    return f"{tens} y {_SPANISH[number % 10]}" if number % 10 else tens


def _within(number: int) -> int:
    if not 0 <= number < BELOW:
        raise ValueError(f"number {number}: must be in [0, {BELOW})")
    return number
