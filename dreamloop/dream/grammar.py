"""Phrasings with choices: ``[I will|let me] note {claim}[, please|]`` is four sentences in one line.

Choices may stand inside each other. Slots in braces are filled after the choices are made, so nothing in a value is
ever read as a choice.
"""

from __future__ import annotations

import random
import re
from functools import cache

from dreamloop.errors import ConfigError

_INNERMOST = re.compile(r"\[([^\[\]]*)\]")


def expand(line: str, rng: random.Random) -> str:
    """One sentence of the line; every choice is drawn evenly.

    Raises:
        ConfigError: a bracket has no partner.
    """
    while choice := _INNERMOST.search(line):
        line = line[: choice.start()] + rng.choice(choice.group(1).split("|")) + line[choice.end() :]
    if "[" in line or "]" in line:
        raise ConfigError(f"A bracket has no partner in the phrasing {line!r}; choices look like [this|that].")
    return " ".join(line.split())


@cache
def sentences(line: str) -> frozenset[str]:
    """Every sentence of the line."""
    choice = _INNERMOST.search(line)
    if not choice:
        return frozenset({" ".join(line.split())})
    ends = (line[: choice.start()], line[choice.end() :])
    return frozenset().union(*(sentences(part.join(ends)) for part in choice.group(1).split("|")))
