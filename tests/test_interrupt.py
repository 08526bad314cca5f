"""What ends a night does so once, and is heard again when it got lost."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from dreamloop.interrupt import PATIENCE_S, STOPS, Interrupt


def test_the_first_signal_interrupts_and_those_that_follow_at_once_do_not() -> None:
    now = 100.0
    stop = Interrupt(lambda: now)
    with pytest.raises(KeyboardInterrupt):
        stop()
    now += PATIENCE_S - 1
    stop()


def test_a_signal_is_heard_again_after_a_while_in_case_the_first_was_lost() -> None:
    now = 100.0
    stop = Interrupt(lambda: now)
    with pytest.raises(KeyboardInterrupt):
        stop()
    now += PATIENCE_S
    with pytest.raises(KeyboardInterrupt):
        stop()
    now += 1
    stop()


def test_an_interrupt_that_falls_into_a_finalizer_is_raised_again_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)
            for _ in range(100):  # here the signal is heard, and Python drops what it raises
                pass

    before = [signal.getsignal(stop) for stop in STOPS]
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back afterwards
    Interrupt().install()
    try:
        finalized = Finalized()
        del finalized
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)
    finally:
        for stop, handler in zip(STOPS, before, strict=True):
            signal.signal(stop, handler)
