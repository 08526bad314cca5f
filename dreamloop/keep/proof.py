"""Does a server serve the candidate? Invariant 7 as arithmetic on scores.

An adapter whose tensors are misnamed is served as the base model without an error, and a cache can serve
yesterday's. So the change from the base is compared, token by token: with d what the server shows, d_c
what the candidate must show and d_i what the incumbent did, the share of tonight's change that arrived
is the least-squares slope of (d - d_i) on (d_c - d_i). Working on changes takes out what the server's
own number format does to the base, and a slope averages the rest of its rounding over all tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from dreamloop.records import Proof, Scores, ServedScores, Witnesses

_HALF = 0.5  # nearer to the candidate than to the incumbent, and not as far beyond it
_ERRORS = 3.0  # standard errors that a share must be clear of that border


def judge_swap(witnesses: Witnesses, served: ServedScores, base_tolerance: float) -> Proof:
    """The proof, passed or not, with a sentence that says why.

    Args:
        witnesses: what the trainer scored. served: what the server scored.
        base_tolerance: nats per token that the served base may be off, root mean square.
    """
    base = _flat(row.base for row in witnesses.rows)
    before, after = _flat(served.base_before), _flat(served.base_after)
    shown = _minus(_flat(served.adapter), before)
    must = _minus(_flat(row.candidate for row in witnesses.rows), base)
    was = _minus(_flat(row.incumbent for row in witnesses.rows), base)
    share, error = slope(_minus(shown, was), _minus(must, was))
    share_of_all, error_of_all = slope(shown, must)
    leak, leak_error = slope(_minus(after, before), must)
    off = math.sqrt(sum(value**2 for value in _minus(before, base)) / max(len(base), 1))
    numbers = (share, error, share_of_all, error_of_all, off, leak)
    reason = _fault(numbers, leak_error, served.long_prompt, base_tolerance)
    passed = reason is None
    if reason is None:
        reason = f"The server shows {share:.0%} of tonight's change and its base is as before."
    return Proof(passed, reason, *numbers)


def refused(reason: str) -> Proof:
    """The proof of a swap that never came to scores."""
    nothing = math.nan
    return Proof(False, reason, nothing, nothing, nothing, nothing, nothing, nothing)


def slope(seen: Sequence[float], expected: Sequence[float]) -> tuple[float, float]:
    """Least-squares slope of ``seen`` on ``expected`` through the origin, and its standard error.

    NaN for both where nothing is expected or a number is not finite.
    """
    power = sum(x * x for x in expected)
    if power == 0 or not all(map(math.isfinite, (*seen, *expected))) or len(seen) < 2:
        return math.nan, math.nan
    value = sum(y * x for y, x in zip(seen, expected, strict=True)) / power
    left = sum((y - value * x) ** 2 for y, x in zip(seen, expected, strict=True))
    return value, math.sqrt(left / (len(seen) - 1) / power)


def _fault(numbers: tuple[float, ...], leak_error: float, long_prompt: Scores, base_tolerance: float) -> str | None:
    share, error, share_of_all, error_of_all, off, leak = numbers
    if not all(map(math.isfinite, (*numbers, leak_error))):
        return "A score of the server is not finite, or tonight changed nothing that could be proven."
    if off > base_tolerance:
        return (
            f"The base model that the server serves is not the one that was trained on: {off:.3f} nats per token off, "
            f"allowed are {base_tolerance:g} (vllm.base_tolerance; raise it for a quantised server)."
        )
    if abs(leak) + _ERRORS * leak_error > _HALF:
        return f"The server's base model changed with the swap: it shows {leak:.0%} of the adapter's change."
    for value, wrong, to in (
        (share, error, "tonight's change, so it answers like the incumbent"),
        (share_of_all, error_of_all, "the adapter's change, so it answers like the base or like another adapter"),
    ):
        if abs(value - 1) + _ERRORS * wrong > _HALF:
            return f"The server shows {value:.0%} ± {wrong:.0%} of {to}."
    if not long_prompt or not all(map(math.isfinite, long_prompt)):
        return f"The server's scores of a prompt of {len(long_prompt) + 1} tokens are not finite."
    return None


def _flat(rows: Iterable[Scores]) -> list[float]:
    return [value for row in rows for value in row]


def _minus(left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(left, right, strict=True)]
