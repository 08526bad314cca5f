"""What ends a night does so once, and is heard again when it got lost."""

from __future__ import annotations

import pytest

from dreamloop.interrupt import PATIENCE_S, Interrupt


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
