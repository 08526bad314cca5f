from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamloop.finetune.recipe import batch_size, rate_factor, replay_count


def test_the_schedule_of_an_eight_step_night_by_hand() -> None:
    # warm-up ceil(0.1·8) = 1 step at 1/2, decay ceil(0.3·8) = 3 steps at 3/4, 2/4 and 1/4
    factors = [rate_factor(step, 8, 0.1, 0.3) for step in range(8)]
    assert factors == pytest.approx([0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25])


def test_a_single_step_has_the_whole_rate() -> None:
    assert rate_factor(0, 1, 0.1, 0.3) == 1.0


@given(st.integers(1, 200), st.floats(0, 0.9), st.floats(0, 0.9))
def test_no_step_is_wasted_at_rate_zero(steps: int, warmup: float, decay: float) -> None:
    assert all(0 < rate_factor(step, steps, warmup, decay) <= 1 for step in range(steps))


def test_twenty_examples_at_a_quarter_replay_take_seven_general_ones() -> None:
    assert replay_count(20, 0.25) == 7


def test_the_batch_shrinks_until_a_night_has_enough_steps() -> None:
    assert batch_size(20, 8, 4) == 5
    assert batch_size(200, 8, 4) == 8
    assert batch_size(2, 8, 4) == 1
