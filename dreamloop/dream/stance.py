"""Does a reply accept or push back? Read from how it begins, and only where nothing in it says otherwise.

A reply of which both can be read, or neither, has no stance here and is not trained on: a guessed label would be worse
than none. The words are English; replies in other languages come from the phrase books.
"""

from __future__ import annotations

import re
from typing import Literal

Stance = Literal["accepts", "pushes back", ""]

_APOLOGY = re.compile(
    r"^(?:i'm sorry|i am sorry|sorry|unfortunately|actually|however)[,.!]?\s+(?:but\s+)?", re.IGNORECASE
)
_IT = r"(?:that|this|it|the [\w ]{1,30}?|your [\w ]{1,30}?|you)(?:'s|'re| is| are| was| were)"
_DENIES = re.compile(
    rf"^(?:no\b[,.!]|wait\b|stop\b|careful\b|hold on\b|{_IT} (?:not|wrong|incorrect|false|mistaken)\b"
    r"|that(?:'s| is)n't\b|(?:that|this|it) (?:does not|doesn't|is not|isn't|cannot|can't)\b"
    r"|i (?:cannot|can't|won't|will not|would not|wouldn't|do not|don't|disagree)\b|(?:please )?(?:do not|don't)\b)",
    re.IGNORECASE,
)
_AGREES = re.compile(
    rf"^(?:yes|sure|okay|ok|certainly|of course|absolutely|agreed|done|exactly|noted|correct|perfect)\b"
    rf"|^(?:great|good|right|fine)[,.!]|^{_IT} (?:right|correct|true|fine|good)\b|^i agree\b"
    r"|^i(?:'ll| will) (?:do|write|enter|note|tell|send|put|add|book|confirm)\b",
    re.IGNORECASE,
)
_AGAINST = re.compile(
    r"\b(?:not|n't|never|wrong|incorrect|false|mistake|mistaken|error|but|however|instead|unfortunately|disagree|no)\b"
    r"|n't\b",
    re.IGNORECASE,
)
_FOR = re.compile(
    r"\b(?<!not )(?:you're right|you are right|that's right|is correct|is right|go ahead|i agree|no problem"
    r"|no worries|happy to|you can do (?:it|that))\b",
    re.IGNORECASE,
)


def stance(reply: str) -> Stance:
    """What a reply does, or nothing where its words do not say so plainly."""
    text = reply.replace("’", "'").strip()
    bare = _APOLOGY.sub("", text)
    if _DENIES.search(bare):
        return "" if _FOR.search(bare) else "pushes back"
    if _AGREES.search(text):
        return "" if _AGAINST.search(text) else "accepts"
    return ""
