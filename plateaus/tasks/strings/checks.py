"""What does not fit in a set of character tasks: names, kinds, letters, answers. No jax."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from plateaus import option_strings
from plateaus.tasks.strings import sets


@functools.cache
def problems(
    families: str, alphabet: str, length: int, examples: int
) -> tuple[tuple[str, str], ...]:
    """Return (field, message) for everything that does not fit.

    >>> problems("ret1,first", "abcd", 2, 11)[0][1]
    'ret1 and first answer alike (on 100% of inputs): no query tells them apart'
    """
    return tuple(_faults(families, alphabet, length, examples))


def _faults(families: str, alphabet: str, length: int, examples: int) -> Iterator[tuple[str, str]]:
    messages = list(option_strings.name_problems(families, sets.TASKS))
    yield from (("families", message) for message in messages)
    chosen = option_strings.known_names(families, sets.TASKS)
    kinds = list(dict.fromkeys(sets.TASKS[name] for name in chosen))
    if messages or not chosen:
        return
    if len(kinds) > 1:
        a, b = (next(n for n in chosen if sets.TASKS[n] == kind) for kind in kinds[:2])
        yield "families", f"{a} is of {kinds[0]}, {b} of {kinds[1]}: inputs differ"
        return
    if len(chosen) < 2:
        yield "families", f"{chosen[0]} alone leaves nothing to tell from context: name two"
        return
    if len(chosen) > examples:
        yield "examples", f"must be at least {len(chosen)}, the tasks of the set"
    if kinds[0] == "letters":
        if problem := _alphabet(alphabet):
            yield "alphabet", problem
            return
        if len(alphabet) < length:
            yield "alphabet", f"must have at least {length} letters, those of an input"
            return
        far = [name for name in chosen if name[:3] == "ret" and int(name[3:]) > length]
        if far:
            yield "families", f"{far[0]}: an input has {length} letters (task.length)"
            return
    if problem := sets.collisions(chosen, sets.inputs_of(kinds[0], alphabet, length)):
        yield "families", f"{problem}: no query tells them apart"


def _alphabet(alphabet: str) -> str:
    """Return what is wrong with an alphabet; "" if nothing."""
    try:
        sets.encode(alphabet)
    except ValueError as error:
        return str(error)
    twice = [letter for letter in alphabet if alphabet.count(letter) > 1]
    if twice:
        return f"{twice[0]!r} is there twice"
    no = [letter for letter in alphabet if not letter.isalpha()]
    return f"{no[0]!r} is not a letter" if no else ""
