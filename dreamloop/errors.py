"""Every way a night can fail, as one small tree.

A message says what happened, to which value, and the way out. The command line prints it as one
sentence and leaves with the class's ``exit_code``; anything that is not a DreamloopError is a bug.
"""

from __future__ import annotations


class DreamloopError(Exception):
    """Base of every expected failure."""

    exit_code = 1


class ConfigError(DreamloopError):
    """The configuration or the command line asks for something that does not exist."""

    exit_code = 2


class NightBusy(DreamloopError):
    """Another night holds the lock."""

    exit_code = 3


class ModelError(DreamloopError):
    """The model cannot be found, loaded or trusted to score correctly."""

    exit_code = 4


class StateError(DreamloopError):
    """The state directory, the ledger or a generation cannot be read or written."""

    exit_code = 5


class EngineError(DreamloopError):
    """The vLLM server cannot be started or reached, or does not do what it was asked."""

    exit_code = 6


class ServerAway(EngineError):
    """Nobody answers at the server's address, or not in time; it may be back later."""


class SwapRefused(EngineError):
    """What the server serves under the new name is not the candidate; the old adapter stays."""


class InvariantBroken(DreamloopError):
    """A promise of the training step does not hold; the night ends and yesterday's adapter stays.

    ``steps`` are the optimizer steps so far, `records.Step` each, for the ledger.
    """

    steps: tuple[object, ...] = ()


class UnusableRow(DreamloopError):
    """One row cannot be trained on or scored; callers drop it and count ``reason``.

    Args:
        reason: a short countable phrase, the same for every row with this fault.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def first_line(error: BaseException) -> str:
    """What a library's error says, short enough for a sentence."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
