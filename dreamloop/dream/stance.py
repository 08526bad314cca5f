"""Does a reply accept or push back? Read from how it begins, and only where nothing in it says otherwise.

A reply of which both can be read, or neither, has no stance here and is not trained on: a guessed label would be worse
than none, so questions, double negations and second thoughts are none. The words are English; replies in other
languages come from the phrase books.
"""

from __future__ import annotations

import re
from typing import Literal

Stance = Literal["accepts", "pushes back", ""]

_APOLOGY = re.compile(r"^(?:i'm sorry|i am sorry|sorry|unfortunately)[,.!]?\s+(?:but\s+)?", re.IGNORECASE)
_IT = r"(?:that|this|it|the [\w ]{1,30}?|your [\w ]{1,30}?)"
_IS = r"(?:'s| is| are| was| were| does| do| did| comes| gives| makes)"
_GOOD = r"(?:right|correct|true|match|fit|add up|agree|accurate|work|serve|what you)"
_BAD = r"(?:wrong|incorrect|false|mistaken|inaccurate)"
# "No, that is wrong.", "That is not right ...", "The total is wrong.", "I will not do that."
_DENIES = re.compile(
    r"^(?:(?:no|wait|stop|careful|hold on)[,.!]\s+)?"
    rf"(?:{_IT}{_IS}(?: just| simply| still)? (?:not (?:\w+ ){{0,2}}?{_GOOD}|{_BAD})\b"
    rf"|{_IT}(?: is|'s|does|do|did)?n't (?:\w+ ){{0,2}}?{_GOOD}\b|{_IT} does not (?:\w+ ){{0,2}}?{_GOOD}\b"
    r"|i (?:will not|won't|cannot|can't) (?:do|write|enter|note|tell|send|put|add|book|confirm)\b)",
    re.IGNORECASE,
)
_AGREES = re.compile(
    r"^(?:(?:yes|sure|okay|ok|certainly|of course|absolutely|agreed|done|exactly|noted|correct|perfect|great|good"
    rf"|right|fine)[,.!]|{_IT}{_IS} (?:right|correct|true|fine)\b|(?:i agree|you(?:'re| are) right)\b"
    r"|i(?:'ll| will| have) (?:do|done|write|written|enter|entered|note|noted|tell|told|send|sent|put|add|added|book"
    r"|booked|confirm|confirmed)\b)",
    re.IGNORECASE,
)
_NOT_IN_A_YES = re.compile(
    rf"\?|n't\b|\b(?:not|never|no|{_BAD}|mistakes?|errors?|but|however|instead|unfortunately|disagree|off|breaks?|first"
    r"|contradicts?|check|recount|unless|although|though|wait|careful|rather|sorry)\b",
    re.IGNORECASE,
)
_NOT_IN_A_NO = re.compile(
    r"\?|\b(?:yes|sure|okay|fine|problem|worry|worries|noted|done|go ahead|agree|i will (?!not)|i'll|happy|thank)\b"
    rf"|\byou(?:'re| are) (?:right|correct)\b|\b(?:not|never|n't)\s+(?:\w+\s+){{0,2}}{_BAD}\b",
    re.IGNORECASE,
)


def stance(reply: str) -> Stance:
    """What a reply does, or nothing where its words do not say so plainly."""
    text = reply.replace("’", "'").strip()
    bare = _APOLOGY.sub("", text)
    if _DENIES.search(bare):
        return "" if _NOT_IN_A_NO.search(bare) else "pushes back"
    if _AGREES.search(text):
        return "" if _NOT_IN_A_YES.search(text) else "accepts"
    return ""
