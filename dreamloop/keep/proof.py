"""Does a server serve the candidate? Invariant 7 as arithmetic on scores.

An adapter whose tensors are misnamed is served as the base model without an error, or as a part of itself,
and a cache can serve yesterday's. So the change from the base is compared, token by token: with d what the
server shows, d_c what the candidate must show and d_i what the incumbent did, the share of tonight's change
that arrived is the least-squares slope of (d - d_i) on (d_c - d_i), and what is left of d - d_c may be no
more than noise. Working on changes takes out what the server's own number format does to the base; how far
the served base is from the trainer's says how noisy that format is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from dreamloop.records import Proof, Scores, ServedScores, Witnesses

_LOST = 0.05  # share of a change that may be missing or too much, beyond noise
_COARSE = 0.25  # a share that is less certain than this proves nothing
_SAME_NUMBERS = 0.005  # nats per token; float32 servers are within 1e-4, bfloat16 ones about 0.05 off
_ERRORS = 3.0  # standard errors that count as noise


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
    off = _rms(_minus(before, base))
    noise = math.sqrt(2) * off  # of a difference of two scores
    tonight = slope(_minus(shown, was), _minus(must, was), noise)
    whole, leak = slope(shown, must, noise), slope(_minus(after, before), must, noise)
    reason = (
        _not_finite((*tonight, *whole, *leak, off), served.long_prompt)
        or _other_base(off, leak, base_tolerance)
        or _other_adapter(tonight, whole, off)
        or _remainder(_rms(_minus(shown, must)), _rms(must), noise)
    )
    passed = reason is None
    if reason is None:
        reason = f"The server shows {tonight[0]:.0%} of tonight's change and its base is as before."
    return Proof(passed, reason, *tonight, *whole, off, leak[0])


def refused(reason: str) -> Proof:
    """The proof of a swap that never came to scores."""
    nothing = math.nan
    return Proof(False, reason, nothing, nothing, nothing, nothing, nothing, nothing)


def slope(seen: Sequence[float], expected: Sequence[float], noise: float) -> tuple[float, float]:
    """Least-squares slope of ``seen`` on ``expected`` through the origin, and its standard error.

    Args:
        noise: standard deviation of one value of ``seen``.

    Returns:
        (Σ y·x / Σ x², noise / √Σ x²); NaN for both where nothing is expected.
    """
    power = sum(x * x for x in expected)
    if power == 0:
        return math.nan, math.nan
    return sum(y * x for y, x in zip(seen, expected, strict=True)) / power, noise / math.sqrt(power)


def _not_finite(numbers: Sequence[float], long_prompt: Scores) -> str | None:
    if not all(map(math.isfinite, numbers)):
        return "A score of the server is not finite, or tonight changed nothing that could be proven."
    if not long_prompt or not all(map(math.isfinite, long_prompt)):
        return f"The server's scores of a prompt of {len(long_prompt) + 1} tokens are not finite."
    return None


def _other_base(off: float, leak: tuple[float, float], tolerance: float) -> str | None:
    if off > tolerance:
        return (
            f"The base model that the server serves is not the one that was trained on: {off:.3f} nats per token off, "
            f"allowed are {tolerance:g} (vllm.base_tolerance; raise it for a quantised server)."
        )
    if abs(leak[0]) > _LOST + _ERRORS * leak[1]:
        return f"The server's base model changed with the swap: it shows {leak[0]:.0%} of the adapter's change."
    return None


def _other_adapter(tonight: tuple[float, float], whole: tuple[float, float], off: float) -> str | None:
    # Added to activations in bfloat16, a change below half a step of the format is rounded away, so a server
    # in coarser numbers than training really serves a part of a small change.
    coarse = (
        f" It computes in other numbers than training did ({off:.3f} nats per token off on the base), in which small "
        "changes get lost; set 'dtype' to the server's."
    ) * (off > _SAME_NUMBERS)
    for (share, error), of in (
        (tonight, "tonight's change, so it answers like the incumbent or like a part of the adapter"),
        (whole, "the adapter's change, so it answers like the base or like another adapter"),
    ):
        if _ERRORS * error > _COARSE:
            return f"The server's numbers are too coarse to prove anything: a share is known to ± {error:.0%}.{coarse}"
        if abs(share - 1) > _LOST + _ERRORS * error:
            return f"The server shows {share:.0%} ± {error:.0%} of {of}.{coarse}"
    return None


def _remainder(left: float, change: float, noise: float) -> str | None:
    """A part that is missing here and too much there can leave the slope alone."""
    if left > _ERRORS * noise + _LOST * change:
        return (
            f"The server's scores differ from the candidate's by {left:.3f} nats per token, where its change is "
            f"{change:.3f} and its noise {noise:.3f}: it serves a part of the adapter, or another."
        )
    return None


def _flat(rows: Iterable[Scores]) -> list[float]:
    return [value for row in rows for value in row]


def _minus(left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(left, right, strict=True)]


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(sum(value * value for value in values) / max(len(values), 1))
