"""Where the nights so far have led: each night moves the course a little, from the first to the last.

A continuous measure is judged, because it moves before choices flip: how much better fresh scenarios are told apart,
with its interval. Larger doses only where several nights together changed too little; smaller ones where a step
was too large or the two sides drift apart; more replay while an ability falls; back to the base where what may be lost
on the way from it is spent.
"""

from __future__ import annotations

from dataclasses import replace

from dreamloop.config import Config
from dreamloop.course.budget import drifted, rebased
from dreamloop.course.forgetting import replayed
from dreamloop.course.kinds import practising
from dreamloop.course.sides import sided, tipped
from dreamloop.course.size import calm, proven, reverted, smaller, turned_to
from dreamloop.course.state import Course
from dreamloop.records import PastNight

_JUDGED = {"kept", "reverted", "inconclusive"}


def after(course: Course, night: PastNight, config: Config) -> Course:
    """The course after one more night. One that came to no judgement changes nothing.

    A rebase that did not either is not tried again at once: it may have been too long for its deadline.
    """
    if night.rebased:
        told = course if night.outcome == "taken back" else replayed(course, night, config)
        course = rebased(told, night, config.adapt)
    elif night.outcome in _JUDGED:
        course = _judged(course, night, config)
    return replace(course, reverted=()) if night.looked_at else course


def _judged(course: Course, night: PastNight, config: Config) -> Course:
    begun = _begun(course, night)
    course = drifted(replayed(course, night, config), night, config.adapt)
    course = turned_to(course, begun, config)
    if night.outcome != "kept":
        return reverted(tipped(course, night, config), night, config)
    course = proven(replace(course, reverted=(), since=course.since + 1), night, config)
    leaning = sided(course, night, config)
    if leaning.setbacks > course.setbacks:
        return leaning
    if night.scale < 1 and night.shown_worse:  # of what was only left open the gate has taken a part, and that is all
        why = f"Night {night.number}'s step was kept at {night.scale:g} of its size, so the next is half as large."
        return smaller(leaning, why, config)
    return calm(leaning, night, config)


def _begun(course: Course, night: PastNight) -> list[str]:
    """The kinds that the night taught, without those that came beside them to practise what had fallen before it."""
    practised = frozenset[str]().union(*practising(course.fell)).difference(course.kinds)
    return [kind for kind in night.taught() if kind not in practised] or list(night.taught())
