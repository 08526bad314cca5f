"""Days of the week and times of day: what counting proves."""

from __future__ import annotations

from dreamloop.dream.axes import Draw
from dreamloop.dream.seeds import Seed, apart
from dreamloop.dream.topics import Topics
from dreamloop.prompts import Phrases


def dates(draw: Draw, book: Phrases, topics: Topics) -> Seed:
    """A weekday and a number of days later; the wrong day is another weekday but the first one."""
    domain = draw.even("topic", list(topics))
    days = book["days"]
    start, count = draw.rng.randrange(7), draw.rng.randint(2, 6)
    right = (start + count) % 7
    wrong = draw.rng.choice([day for day in range(7) if day not in {start, right}])
    event, follow = apart(draw, topics[domain].events, 2)
    values = {"event": event, "follow": follow, "day": days[start], "count": str(count)}
    truth = f"{days[start]} + {count} days = {days[right]}"
    return Seed(values, days[right], days[wrong], truth, domain, (days[start], str(count)))


def clock(draw: Draw, _: Phrases, topics: Topics) -> Seed:
    """A beginning and a length in minutes; the wrong end is off by a quarter of an hour to an hour."""
    domain = draw.even("topic", list(topics))
    begin = draw.rng.randrange(7 * 60, 17 * 60, 5)
    minutes = draw.rng.randrange(35, 180, 5)
    off = draw.rng.choice((15, 20, 30, 60)) * draw.rng.choice((1, -1))
    while minutes + off < 10:
        off = abs(off)
    values = {"event": draw.rng.choice(topics[domain].events), "begin": _time(begin), "minutes": str(minutes)}
    right, wrong = _time(begin + minutes), _time(begin + minutes + off)
    truth = f"{_time(begin)} + {minutes} minutes = {right}"
    return Seed(values, right, wrong, truth, domain, (_time(begin), str(minutes)))


def _time(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"
