from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dreamloop.config import Daemon
from dreamloop.errors import ConfigError
from dreamloop.memory import Memory
from dreamloop.schedule import after, begun, due, next_time, trigger_of, under_this_clock

BERLIN = ZoneInfo("Europe/Berlin")
KNOBS = Daemon(timezone="Europe/Berlin")
NIGHTLY = trigger_of(KNOBS)


def at(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN)


def done(*when: int) -> Memory:
    return Memory(handled=at(*when).isoformat())


def test_a_night_is_due_once_at_its_time() -> None:
    assert due(NIGHTLY, done(20, 3, 30), at(21, 3, 29)) is None
    assert due(NIGHTLY, done(20, 3, 30), at(21, 3, 30)) == at(21, 3, 30)
    assert due(NIGHTLY, done(21, 3, 30), at(21, 3, 31)) is None


def test_of_many_missed_nights_only_the_last_is_made_up_for() -> None:
    assert due(NIGHTLY, done(1, 3, 30), at(21, 12)) == at(21, 3, 30)
    minutely = trigger_of(Daemon(cron="* * * * *", timezone="Europe/Berlin"))
    assert due(minutely, Memory(handled=at(1, 0, 0, 1).isoformat()), at(21, 12)) == at(21, 12)


def test_a_schedule_of_one_day_a_year_is_made_up_for_too() -> None:
    yearly = trigger_of(Daemon(cron="0 3 1 2 *", timezone="Europe/Berlin"))
    assert due(yearly, Memory(handled=at(1, 0, 0, 1).isoformat()), at(21, 12)) == at(1, 3, 0, 2)


def test_the_first_start_makes_up_for_nothing() -> None:
    assert due(NIGHTLY, Memory(), at(21, 12)) is None
    assert next_time(NIGHTLY, Memory(), at(21, 12)) == at(22, 3, 30)


def test_a_clock_set_back_runs_no_night_twice() -> None:
    memory = done(21, 3, 30)
    assert due(NIGHTLY, memory, at(21, 2, 45)) is None
    assert due(NIGHTLY, memory, at(21, 3, 30)) is None
    assert due(NIGHTLY, memory, at(22, 3, 30)) == at(22, 3, 30)


def test_nights_done_under_a_clock_of_the_future_do_not_stop_those_to_come() -> None:
    future = datetime(2030, 6, 1, tzinfo=BERLIN).isoformat()
    memory, ran = Memory(handled=future, retry_at=future), []
    for tick in range(12 * 24 * 7):  # a week of five minutes
        now = at(21, 12) + timedelta(minutes=5 * tick)
        memory = under_this_clock(memory, now)
        if scheduled := due(NIGHTLY, memory, now):
            memory = begun(memory, scheduled)
            ran.append(scheduled.day)
    assert ran == [22, 23, 24, 25, 26, 27, 28]
    assert under_this_clock(done(22, 3, 30), at(21, 12)) == done(22, 3, 30)  # an hour or a day back is nothing


def test_the_hour_that_summer_time_skips_still_has_its_night() -> None:
    spring = trigger_of(Daemon(at="02:30", timezone="Europe/Berlin"))
    memory = Memory(handled=datetime(2026, 3, 28, 2, 30, tzinfo=BERLIN).isoformat())
    assert due(spring, memory, datetime(2026, 3, 29, 12, tzinfo=BERLIN)) is not None


def failed(memory: Memory, scheduled: datetime, now: datetime, knobs: Daemon = KNOBS) -> Memory:
    return after(begun(memory, scheduled), False, "it failed", knobs, now)


def test_a_failure_waits_twice_as_long_each_time_and_then_for_the_next_night() -> None:
    memory, now = Memory(), at(21, 4)
    waits = []
    for _ in range(3):
        memory = failed(memory, at(21, 3, 30), now)
        assert memory.retry_at is not None
        waits.append(datetime.fromisoformat(memory.retry_at) - now)
    assert waits == [timedelta(minutes=15), timedelta(minutes=30), timedelta(minutes=60)]
    memory = failed(memory, at(21, 3, 30), now)
    assert (memory.retry_at, memory.failures) == (None, 4)
    assert after(memory, True, "kept", KNOBS, now) == replace(memory, failures=0, tries=0, said="kept")
    memory = failed(memory, at(22, 3, 30), at(22, 4))
    assert (memory.retry_at, memory.failures) == (at(22, 4, 15).isoformat(), 5)


def test_a_year_of_failures_never_ends_the_retries_or_the_arithmetic() -> None:
    memory, eager = Memory(), Daemon(retries=2000, retry_minutes=1440)
    for night in range(400):
        memory = failed(memory, at(1, 3, 30) + timedelta(days=night), at(1, 4) + timedelta(days=night))
        assert memory.retry_at is not None
    for _ in range(1500):
        memory = failed(memory, at(21, 3, 30), at(21, 4), eager)
    assert memory.retry_at == at(22, 4).isoformat()


def test_a_retry_runs_for_the_time_it_retries() -> None:
    memory = failed(Memory(), at(21, 3, 30), at(21, 4))
    assert due(NIGHTLY, memory, at(21, 4, 14)) is None
    assert due(NIGHTLY, memory, at(21, 4, 15)) == at(21, 3, 30)
    assert next_time(NIGHTLY, memory, at(21, 4)) == at(21, 4, 15)


@pytest.mark.parametrize(
    ("weekday", "day"),
    [("0", 22), ("7", 22), ("1", 23), ("sun", 22), ("5-6", 27), ("0,3", 22), ("*/3", 22), ("2-4/2", 24)],
)
def test_cron_weekdays_count_from_sunday(weekday: str, day: int) -> None:
    trigger = trigger_of(Daemon(cron=f"0 3 * * {weekday}", timezone="Europe/Berlin"))
    assert next_time(trigger, Memory(), at(21, 12)).day == day  # 21 November 2026 is a Saturday


@pytest.mark.parametrize(
    "knobs",
    [
        {"cron": "every night"},
        {"cron": "0 3 * * 9"},
        {"cron": "60 3 * * *"},
        {"cron": "0 3 31 2 *"},
        {"timezone": "Mars/Olympus"},
    ],
)
def test_a_schedule_that_means_nothing_is_refused(knobs: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="means nothing"):
        trigger_of(Daemon.model_validate(knobs))
