"""Values that nobody has said before: codes and names, made up on the spot.

Where the values of a kind come from a short list, a model can learn the list; where every value is new, all that tells
a right claim from a wrong one is whether it was said.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "dr", "gr", "kr", "st", "tr")
_VOWELS = ("a", "e", "i", "o", "u")
_ENDINGS = ("", "", "n", "r", "l", "s", "k", "m")
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"  # without those that look like digits
_SHAPES = ("0000", "00000", "AA000", "000A")  # of codes: long enough that none comes again by chance
_NEAR = 0.5  # of the wrong codes differ from the right one in a single digit


def code(rng: random.Random, shape: str | None = None) -> str:
    """Digits and capital letters, such as 4471 or KB482."""
    picked = shape or rng.choice(_SHAPES)
    return "".join(rng.choice("0123456789" if place == "0" else _LETTERS) for place in picked)


def name(rng: random.Random) -> str:
    """Two or three syllables that are no word, such as Mobrin."""
    syllables = (rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.choice((2, 3))))
    return ("".join(syllables) + rng.choice(_ENDINGS)).capitalize()


def two_codes(rng: random.Random) -> tuple[str, str]:
    """Two different ones of the same shape, half of the time alike but for one digit."""
    shape = rng.choice(_SHAPES)
    first = second = code(rng, shape)
    while second == first:
        second = _changed(rng, first) if rng.random() < _NEAR else code(rng, shape)
    return first, second


def _changed(rng: random.Random, text: str) -> str:
    place = rng.choice([place for place, letter in enumerate(text) if letter.isdigit()])
    return text[:place] + rng.choice("0123456789") + text[place + 1 :]


def two_names(rng: random.Random) -> tuple[str, str]:
    """Two different ones."""
    first = second = name(rng)
    while second == first:
        second = name(rng)
    return first, second


VALUES = "values: "  # begins the sections of a book's own sorts, in words
PAIRS: Mapping[str, Callable[[random.Random], tuple[str, str]]] = {"code": two_codes, "name": two_names}
ONE: Mapping[str, Callable[[random.Random], str]] = {"code": code, "name": name}
