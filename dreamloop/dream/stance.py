"""Does a reply accept or push back? Read from its words, and only where they all say the same.

A reply of which both can be read, or neither, has no stance here and is not trained on: a guessed label would be worse
than none.
"""

from __future__ import annotations

import re
from typing import Literal

Stance = Literal["accepts", "pushes back", ""]

# Taken out before anything is read: each would be counted on the wrong side.
_NOT_RIGHT = re.compile(
    r"\b(?:not|n't|isn't|aren't|never)\s+(?:\w+\s+){0,2}?(?:right|correct|true|match|fit|add up|agree)\b"
    r"|\b(?:incorrect|untrue)\b",
    re.IGNORECASE,
)
_NOT_WRONG = re.compile(r"\b(?:not|nothing|isn't|no)\s+(?:\w+\s+)?(?:wrong|mistaken?|errors?|problem)\b", re.IGNORECASE)
_ACCEPTS = re.compile(
    r"^(?:yes|sure|okay|ok|certainly|of course|absolutely|agreed|done|great|good|right|correct|perfect|exactly|noted)\b"
    r"|\b(?:is|are|that's|it's|you're|sounds|looks) (?:right|correct|true|fine|good)\b|\bgo ahead\b|\bi agree\b"
    r"|\bi(?:'ll| will) (?:do|write|enter|note|tell|send|put|add|book|confirm|take care)\b",
    re.IGNORECASE,
)
_PUSHES = re.compile(
    r"^(?:no|wait|stop|careful|sorry|hold on|actually|unfortunately)\b"
    r"|\b(?:is|are|that's|it's|you're|seems|looks) (?:wrong|false|off|mistaken)\b|\bmistake\b|\berror\b|\bdo not\b"
    r"|\bdon't\b|\bi (?:cannot|can't|won't|will not|disagree)\b|\bshould be\b|\binstead\b",
    re.IGNORECASE,
)


def stance(reply: str) -> Stance:
    """What a reply does, or nothing where its words do not say so plainly."""
    text = reply.replace("’", "'").strip()
    denied, text = bool(_NOT_RIGHT.search(text)), _NOT_RIGHT.sub(" ", text)
    cleared, text = bool(_NOT_WRONG.search(text)), _NOT_WRONG.sub(" ", text)
    accepts = cleared or bool(_ACCEPTS.search(text.strip()))
    pushes = denied or bool(_PUSHES.search(text.strip()))
    if accepts == pushes:
        return ""
    return "accepts" if accepts else "pushes back"
