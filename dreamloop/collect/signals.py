"""What a log says about the quality of a reply: ranked siblings and corrections in words.

A pattern over opening words alone is right about two times in three ("No, that covers everything" is
thanks), so a correction needs a second sign: what the user had wished, or what was wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from dreamloop.records import Answer, Exchange

_OPENING = re.compile(
    r"^\W*(?:no\b|nope\b|wrong\b|incorrect\b|not (?:quite|what|right|correct)|actually\b|stop\b|wait\b|but\b|hmm+\b"
    r"|that(?:'s| is|’s) (?:not|wrong|incorrect|n't)|that isn't|this is (?:not|wrong)"
    r"|you (?:forgot|missed|ignored|did not|didn't|misunderstood|got)|i (?:asked|said|meant|wanted|told)"
    r"|i did(?:n't| not)|please (?:don't|do not))",
    re.IGNORECASE,
)
_WISH = re.compile(
    r"\bi (?:asked|said|meant|wanted|told you|need(?:ed)?|did(?:n't| not))\b|\bnot what\b|\binstead\b"
    r"|\byou (?:forgot|missed|ignored|did not|didn't|misunderstood|left out|wrote|gave|used)\b"
    r"|\bthat(?:'s|’s| is) not (?:an?|the)\b|\bthat isn't (?:an?|the)\b|\bwithout\b|\bonly\b|\brather\b"
    r"|\bplease (?:don't|do not|use|make|keep|write|answer|give)\b",
    re.IGNORECASE,
)
_FACT = re.compile(
    r"\b(?:wrong|incorrect|mistaken?|false|error|not (?:right|true|correct)|should (?:be|have))\b", re.IGNORECASE
)
_CONTENT = re.compile(
    r"^\W*(?:no thanks?|no problem|no worries|no need|no (?:further|more|other)|no,? nothing|wrong number"
    r"|no,? (?:that|this|it)(?:'s|’s| is)? (?:all|fine|great|good|perfect|enough|covers?|helps?|works?|answers?)\b"
    r"|no(?:pe)?,? (?:i'm|i am|we're) (?:good|fine|all set)"
    r"|(?:but|wait|actually),? (?:thanks?|thank you|great|that(?:'s|’s| is) (?:great|perfect|right)))",
    re.IGNORECASE,
)
_QUESTIONING = re.compile(r"^\W*(?:are you (?:sure|certain)|really)\b[^.!]{0,40}\?*\W*$", re.IGNORECASE)
_LOOKED_AT = 300  # characters; what follows is often pasted text


def correction_kind(followed: str) -> Literal["wish", "fact"] | None:
    """Whether a user turn says in words that the reply before it was wrong, and about what.

    About their own wish ("I asked for one sentence") the user is the authority. About a fact ("it should
    be 90 degrees") the user may be the one who is wrong, and an assistant that gives in proves nothing, so
    a fact is told apart and never becomes a pair unchecked. "Are you sure?" is neither.
    """
    head = followed.strip()[:_LOOKED_AT]
    if not _OPENING.search(head) or _CONTENT.search(head) or _QUESTIONING.search(head):
        return None
    if _WISH.search(head):
        return "wish"
    return "fact" if _FACT.search(head) else None


def ranked_pairs(exchange: Exchange) -> Iterator[tuple[Answer, Answer]]:
    """(better, worse) for every two siblings that people ranked differently, widest gap first."""
    ranked = sorted(
        (answer for answer in exchange.answers if answer.rank is not None), key=lambda answer: answer.rank or 0
    )
    couples = [(a, b) for i, a in enumerate(ranked) for b in ranked[i + 1 :] if a.rank != b.rank]
    yield from sorted(couples, key=lambda couple: (couple[0].rank or 0) - (couple[1].rank or 0))
