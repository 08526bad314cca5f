"""What was kept: generations, and the witnesses that prove a server serves one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Generation:
    """One immutable adapter on disk."""

    number: int
    path: str
    digest: str
    base_digest: str


Scores = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Witness:
    """One reply of tonight's training and how likely each of three policies finds it.

    ``base``, ``incumbent`` and ``candidate`` are nats per token, one number for each of ``tokens``.
    """

    context: tuple[int, ...]
    tokens: tuple[int, ...]
    base: Scores
    incumbent: Scores
    candidate: Scores


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What a generation must score like wherever it is served, and a prompt long enough to show NaNs."""

    rows: tuple[Witness, ...]
    long_prompt: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ServedScores:
    """What a server said of the witnesses: the base before and after, and the adapter's name between."""

    base_before: tuple[Scores, ...]
    adapter: tuple[Scores, ...]
    base_after: tuple[Scores, ...]
    long_prompt: Scores


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a server serves the candidate, with what that was read from.

    ``share`` is the part of tonight's change that the served scores show, 1 for the candidate and 0 for
    the incumbent, ``share_of_all`` the same for the whole change since the base; each with a standard
    error. ``base_off`` is how far the served base is from the base that was trained on and
    ``base_leak`` the part of the adapter's change that reached the base: nats per token and a share.
    """

    passed: bool
    reason: str
    share: float
    share_error: float
    share_of_all: float
    share_of_all_error: float
    base_off: float
    base_leak: float
