"""Exact checks of whether an answer keeps an instruction: pure functions of the text and the wanted value.

They judge the letter of the instruction and nothing else, so that no model has to be asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from dreamloop.gate.suite import Wanted

Check = Callable[[str, Wanted], bool]


def _all(value: Wanted) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def contains(text: str, value: Wanted) -> bool:
    """All of the wanted texts, whatever their case."""
    return all(part.lower() in text.lower() for part in _all(value))


def without(text: str, value: Wanted) -> bool:
    """None of the texts, whatever their case."""
    return not any(part.lower() in text.lower() for part in _all(value))


def starts_with(text: str, value: Wanted) -> bool:
    """The wanted text comes first."""
    return text.startswith(str(value))


def ends_with(text: str, value: Wanted) -> bool:
    """One of the wanted texts comes last."""
    return text.endswith(_all(value))


def equals(text: str, value: Wanted) -> bool:
    """The wanted text and nothing else."""
    return text == value


def one_of(text: str, value: Wanted) -> bool:
    """One of the wanted answers alone, whatever its case and with or without a full stop."""
    return text.lower().rstrip(".!") in {part.lower() for part in _all(value)}


def all_upper(text: str, _: Wanted) -> bool:
    """There are letters, and all are capitals."""
    return text.isupper()


def all_lower(text: str, _: Wanted) -> bool:
    """There are letters, and none is a capital."""
    return text.islower()


def only_digits(text: str, _: Wanted) -> bool:
    """Digits and nothing else but a full stop."""
    return text.rstrip(".").isdecimal()


def no_digits(text: str, _: Wanted) -> bool:
    """Not one digit."""
    return not any(character.isdigit() for character in text)


def quoted(text: str, _: Wanted) -> bool:
    """The whole stands in double quotation marks."""
    return len(text) > 2 and text[0] in '"“' and text[-1] in '"”'


def most_words(text: str, value: Wanted) -> bool:
    """Words, and no more of them than the value."""
    return 0 < len(_words(text)) <= int(str(value))


def sentences(text: str, value: Wanted) -> bool:
    """Exactly so many sentences: runs of text that end with ., ! or ? before a blank or the end."""
    return len(re.findall(r"[^.!?\s][^.!?]*(?:[.!?](?=\S)[^.!?]*)*[.!?]+(?=\s|$)", text)) == value


def dash_lines(text: str, value: Wanted) -> bool:
    """Exactly so many lines, each with a dash in front."""
    lines = _lines(text)
    return len(lines) == value and all(line.startswith("-") for line in lines)


def numbered_lines(text: str, value: Wanted) -> bool:
    """Lines numbered from 1 to the value, and no other lines."""
    lines = _lines(text)
    return len(lines) == value and all(re.match(rf"{k}[.)]\s", line) for k, line in enumerate(lines, 1))


def json_key(text: str, value: Wanted) -> bool:
    """A JSON object that has the wanted key, and no other text."""
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and value in found


CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        contains, without, starts_with, ends_with, equals, one_of, all_upper, all_lower, only_digits, no_digits,
        quoted, most_words, sentences, dash_lines, numbered_lines, json_key,
    )
}  # fmt: skip


_NUMBER = (most_words, sentences, dash_lines, numbered_lines)
_ONE_TEXT = (starts_with, equals, json_key)
_TEXTS = (contains, without, ends_with, one_of)


def usable(check: str, value: Wanted) -> bool:
    """Whether a check can do something with its value: a number, a text, one or more texts, or nothing to say."""
    one = CHECKS[check]
    if one in _NUMBER:
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    if one in _TEXTS and isinstance(value, tuple):
        return bool(value) and all(isinstance(part, str) and part for part in value)
    return isinstance(value, str) and bool(value) if one in (*_ONE_TEXT, *_TEXTS) else True


def keeps(text: str, check: str, value: Wanted) -> bool:
    """Whether an answer keeps an instruction; an empty one keeps none.

    Args:
        text: the answer, without blanks around it.
        check: a name in `CHECKS`.
        value: what the check wants.
    """
    return bool(text) and CHECKS[check](text, value)
