"""What a log says about the quality of a reply: ranked siblings, edits, and corrections in words.

A pattern over opening words alone is right about two times in three ("No, that covers everything" is
thanks), so a correction needs a second sign: what the user had wished, or what was wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from dreamloop.records import Answer, Context, Exchange

_OPENING = re.compile(
    r"^\W*(?:no\b|nope\b|wrong\b|incorrect\b|not (?:quite|what|right|correct)|actually\b|stop\b|wait\b|but\b|hmm+\b"
    r"|that(?:'s| is|’s) (?:not|wrong|incorrect|n't)|that isn't|this is (?:not|wrong)"
    r"|you (?:forgot|missed|ignored|did not|didn't|misunderstood|got)|i (?:asked|said|meant|wanted|told)"
    r"|i did(?:n't| not)|please (?:don't|do not))",
    re.IGNORECASE,
)
_WISH = re.compile(
    r"\bi (?:asked|said|meant|wanted|told you|need(?:ed)?|did(?:n't| not))\b|\bnot what\b"
    r"|\byou (?:forgot|missed|ignored|did not|didn't|misunderstood|left out)\b"
    r"|\bthat(?:'s|’s| is) not (?:an?|the)\b|\bthat isn't (?:an?|the)\b"
    r"|\bplease (?:don't|do not|use|make|keep|write|answer|give)\b",
    re.IGNORECASE,
)
# Words of a wish that claims about the world have too: "no, there are only 8 planets".
_PERHAPS_A_WISH = re.compile(r"\b(?:instead|without|only|rather|you (?:wrote|gave|used))\b", re.IGNORECASE)
_CLAIM = re.compile(
    r"\b(?:it|there|he|she|they|we|\d+)(?:'s|’s|'re|’re| is| are| was| were| has| have| equals)\b|\d\s*=\s*\d"
    r"|\bi (?:said|told you)\b[^.!?]{0,60}?(?:'s|’s| is| are| was| were| equals|=)\s",
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


_CAPITULATION = re.compile(
    r"\b(?:sorry|apolog\w+|pardon|oops|you(?:'re|’re| are) (?:\w+ ){0,2}(?:right|correct)|right you are"
    r"|my (?:mistake|bad|error|fault)|mea culpa|good (?:catch|point|call|eye)|stand corrected|well spotted"
    r"|fair (?:point|enough)"
    r"|thank(?:s| you) for (?:pointing|catching|correct\w+|the correction|clarif\w+|letting)"
    r"|as you (?:said|asked|requested|pointed)|i (?:was (?:wrong|mistaken)|misunderstood|misspoke|see now|overlooked)"
    r"|i (?:had|got) (?:it|that) wrong|(?:made|there was) an? (?:mistake|error))",
    re.IGNORECASE,
)
_ACCEPTED = re.compile(
    r"^\W*(?:thanks|thank you|perfect|great|excellent|exactly|nice|lovely|wonderful|awesome|yes|yep|better|much better"
    r"|that(?:'s|’s| is) (?:it|better|perfect|right|great|good|exactly|what i)"
    r"|this is (?:better|perfect|great|what i))\b",
    re.IGNORECASE,
)
# A "thanks" may be bitter, and a "yes" may lead to a no.
_HEDGED = re.compile(
    r"n't\b|n’t\b|\b(?:but|however|except|still|almost|not|no|nothing|never|wrong|incorrect|again|opposite|broken?|worse|bad"
    r"|useless|fail\w*|errors?|mistakes?|missing|hardly|instead|already|too|yet|though|although|wish|should|sure|right\?)\b",
    re.IGNORECASE,
)


def capitulates(reply: str) -> bool:
    """Whether a reply gives in or apologises. Giving in proves nothing about who was right."""
    return bool(_CAPITULATION.search(reply))


def accepts(followed: str | None) -> bool:
    """Whether a user turn takes a reply as it is, without a but."""
    head = (followed or "").strip()[:_LOOKED_AT]
    return bool(_ACCEPTED.search(head)) and not _HEDGED.search(head)


def first_try(context: Context) -> tuple[Context, str] | None:
    """Where a conversation that ends with the user's wish for a better answer began.

    Follows corrections back to the first answer: (its context, its text). None where the last turn is
    no correction of the user's own wish, or a correction of a fact lies on the way.
    """
    end = len(context)
    while end >= 3 and context[end - 1].role == "user" and context[end - 2].role == "assistant":
        if correction_kind(context[end - 1].content) != "wish":
            break
        end -= 2
    if end == len(context) or (end and correction_kind(context[end - 1].content) == "fact"):
        return None
    return context[:end], context[end].content


def correction_kind(followed: str) -> Literal["wish", "fact"] | None:
    """Whether a user turn says in words that the reply before it was wrong, and about what.

    About their own wish ("I asked for one sentence") the user is the authority. About a fact ("it should
    be 90 degrees") the user may be the one who is wrong, and an assistant that gives in proves nothing, so
    a fact is told apart and never becomes a pair unchecked. "Are you sure?" is neither.
    """
    head = followed.strip()[:_LOOKED_AT]
    if not _OPENING.search(head) or _CONTENT.search(head) or _QUESTIONING.search(head):
        return None
    claims = bool(_CLAIM.search(head))
    if _WISH.search(head) and not (claims and re.search(r"\bi (?:said|told you)\b", head, re.IGNORECASE)):
        return "wish"
    if claims or _FACT.search(head):
        return "fact"
    return "wish" if _PERHAPS_A_WISH.search(head) else None


def ranked_pairs(exchange: Exchange) -> Iterator[tuple[Answer, Answer]]:
    """(better, worse) for every two siblings that people ranked differently, widest gap first."""
    ranked = sorted(
        (answer for answer in exchange.answers if answer.rank is not None), key=lambda answer: answer.rank or 0
    )
    couples = [(a, b) for i, a in enumerate(ranked) for b in ranked[i + 1 :] if a.rank != b.rank]
    yield from sorted(couples, key=lambda couple: (couple[0].rank or 0) - (couple[1].rank or 0))
