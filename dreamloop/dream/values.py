"""Finding a value in a text as a whole, so that 4 is not found in 14 and tea not in steam."""

from __future__ import annotations

import re
from functools import lru_cache

_SHORTEST = 2


def count(text: str, value: str) -> int:
    """How often a value stands in a text as a whole, not inside another word or number."""
    return len(whole(value).findall(text))


def states(situation: str, stated: tuple[str, ...]) -> bool:
    """Whether a situation says all of it; phrasings differ in its order, each was written so that the proof holds."""
    return all(whole(value).search(situation) for value in stated)


@lru_cache(4096)
def whole(value: str) -> re.Pattern[str]:
    """Finds a value that stands for itself, not inside another word or number."""
    begin = r"(?<!\w)" if value[:1].isalnum() else ""
    end = r"(?!\w)" if value[-1:].isalnum() else ""
    # Helium is no pronoun: what is as short as "He" stands for itself in its own spelling only.
    return re.compile(begin + re.escape(value) + end, re.IGNORECASE if len(value) > _SHORTEST else 0)
