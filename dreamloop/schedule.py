"""When a night is due: a pure function of the schedule, what was done before, and the clock.

Times are aware datetimes. A night belongs to the scheduled time it runs for, so that nothing runs twice
for one time, whatever the clock does, and a row of missed ones is made up for by a single night.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.cron import CronTrigger

from dreamloop.config import Daemon
from dreamloop.errors import ConfigError
from dreamloop.memory import Memory

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ANY_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_LONGEST_WAIT = timedelta(days=1)
_WRONG_CLOCK = timedelta(days=2)  # a night done so far in the future was done under a wrong clock


def trigger_of(knobs: Daemon) -> CronTrigger:
    """The schedule as an APScheduler trigger.

    Raises:
        ConfigError: the cron expression or the timezone means nothing, or no such time ever comes.
    """
    hour, _, minute = knobs.at.partition(":")
    expression = knobs.cron or f"{int(minute)} {int(hour)} * * *"
    try:
        *fields, weekday = expression.split()
        trigger = CronTrigger.from_crontab(" ".join([*fields, _weekdays(weekday)]), timezone=knobs.timezone)
        if trigger.get_next_fire_time(None, _ANY_DAY) is None:
            raise ValueError("no such day ever comes")
        return trigger
    except (ValueError, KeyError, LookupError, TypeError) as error:
        raise ConfigError(
            f"The schedule {expression!r} (timezone {knobs.timezone or 'local'}) means nothing ({error}); "
            "correct daemon.cron, daemon.at or daemon.timezone."
        ) from error


def due(trigger: CronTrigger, memory: Memory, now: datetime) -> datetime | None:
    """The scheduled time that a night should run for now; None when nothing is due.

    A retry runs for the time it retries. Of several missed times only the last counts. On the very
    first start nothing was missed.
    """
    handled = _time(memory.handled)
    if handled is None:
        return None
    latest = _latest(trigger, handled, now)
    if latest is not None:
        return latest
    retry_at = _time(memory.retry_at)
    return handled if retry_at is not None and retry_at <= now else None


def under_this_clock(memory: Memory, now: datetime) -> Memory:
    """The memory without times that only a clock running far ahead could have written: from them on is from now on."""
    handled, retry_at = _time(memory.handled), _time(memory.retry_at)
    if handled is not None and handled > now + _WRONG_CLOCK:
        return replace(memory, handled=now.isoformat(), retry_at=None)
    return replace(memory, retry_at=now.isoformat()) if retry_at and retry_at > now + _WRONG_CLOCK else memory


def next_time(trigger: CronTrigger, memory: Memory, now: datetime) -> datetime:
    """When the next night comes: the next regular time, or an earlier retry."""
    handled = _time(memory.handled)
    regular: datetime = trigger.get_next_fire_time(None, max(now, handled + timedelta(seconds=1)) if handled else now)
    retry_at = _time(memory.retry_at)
    return min(regular, retry_at) if retry_at else regular


def begun(memory: Memory, scheduled: datetime) -> Memory:
    """The memory once a night starts for a scheduled time; a new one has all its retries before it."""
    again = memory.handled == scheduled.isoformat()
    return replace(memory, handled=scheduled.isoformat(), retry_at=None, tries=memory.tries + 1 if again else 0)


def after(memory: Memory, ok: bool, said: str, knobs: Daemon, now: datetime) -> Memory:
    """The memory once a night ended: a failed one is tried again `retries` times, after a wait that doubles."""
    if ok:
        return replace(memory, failures=0, tries=0, retry_at=None, running=None, said=said)
    retry_at = None
    if memory.tries < knobs.retries:
        wait = timedelta(minutes=knobs.retry_minutes * 2.0 ** min(memory.tries, 20))
        retry_at = (now + min(wait, _LONGEST_WAIT)).isoformat()
    return replace(memory, failures=memory.failures + 1, retry_at=retry_at, running=None, said=said)


def _latest(trigger: CronTrigger, since: datetime, now: datetime) -> datetime | None:
    """The last scheduled time in (since, now]."""
    first: datetime | None = trigger.get_next_fire_time(None, since + timedelta(microseconds=1))
    if first is None or first > now:
        return None
    # Walk the last stretch only: a machine that slept for a year should not count every minute of it.
    for reach in (timedelta(hours=1), timedelta(days=1), timedelta(days=40), now - first):
        found: datetime | None = trigger.get_next_fire_time(None, max(first, now - reach))
        if found is not None and found <= now:
            while (following := trigger.get_next_fire_time(found, found + timedelta(seconds=1))) and following <= now:
                found = following
            return found
    return first


def _weekdays(field: str) -> str:
    """Cron counts weekdays from Sunday and APScheduler from Monday, so numbers become names."""
    return ",".join(_weekday(part) for part in field.split(","))


def _weekday(part: str) -> str:
    span, slash, step = part.partition("/")
    first, dash, last = span.partition("-")
    if first == "*" and slash:
        first, dash, last = "0", "-", "6"
    if not first.isdigit():
        return part
    days = range(int(first), int(last if dash else 6 if slash else first) + 1, int(step or 1))
    return ",".join(_DAYS[day] for day in days) or part


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
