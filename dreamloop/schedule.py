"""When a night is due: a pure function of the schedule, what was done before, and the clock.

Times are aware datetimes. A night belongs to the scheduled time it runs for, so that nothing runs twice
for one time, whatever the clock does, and a row of missed ones is made up for by a single night.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from apscheduler.triggers.cron import CronTrigger

from dreamloop.config import Daemon
from dreamloop.errors import ConfigError
from dreamloop.memory import Memory

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WRONG_CLOCK = timedelta(days=2)  # a night done so far in the future was done under a wrong clock


def trigger_of(knobs: Daemon) -> CronTrigger:
    """The schedule as an APScheduler trigger.

    Raises:
        ConfigError: the cron expression or the timezone means nothing.
    """
    hour, _, minute = knobs.at.partition(":")
    expression = knobs.cron or f"{int(minute)} {int(hour)} * * *"
    try:
        *fields, weekday = expression.split()
        return CronTrigger.from_crontab(" ".join([*fields, _weekdays(weekday)]), timezone=knobs.timezone)
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
    handled = last_handled(memory, now)
    if handled is None:
        return None
    latest = _latest(trigger, handled, now)
    if latest is not None:
        return latest
    retry_at = _time(memory.retry_at)
    return handled if retry_at is not None and retry_at <= now else None


def last_handled(memory: Memory, now: datetime) -> datetime | None:
    """The scheduled time done last; now, where the note comes from a clock that ran far ahead."""
    handled = _time(memory.handled)
    return now if handled is not None and handled > now + _WRONG_CLOCK else handled


def next_time(trigger: CronTrigger, memory: Memory, now: datetime) -> datetime:
    """When the next night comes: the next regular time, or an earlier retry."""
    handled = last_handled(memory, now)
    regular: datetime = trigger.get_next_fire_time(None, max(now, handled + timedelta(seconds=1)) if handled else now)
    retry_at = _time(memory.retry_at)
    return min(regular, retry_at) if retry_at else regular


def after(memory: Memory, ok: bool, said: str, knobs: Daemon, now: datetime) -> Memory:
    """The memory once a night ended: a failure waits, twice as long each time, at most `retries` times."""
    if ok:
        return replace(memory, failures=0, retry_at=None, running=None, said=said)
    failures = memory.failures + 1
    wait = timedelta(minutes=knobs.retry_minutes * 2 ** (failures - 1))
    retry_at = (now + wait).isoformat() if failures <= knobs.retries else None
    return replace(memory, failures=failures, retry_at=retry_at, running=None, said=said)


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
