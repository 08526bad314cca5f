"""Items that could measure nothing, found when they are read and not in the middle of a night."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dreamloop.gate.checks import usable
from dreamloop.gate.suite import Choice, Probe, Suite, Task

_FEWEST_TEMPLATES = 2


def unsound(suite: Suite) -> str:
    """What is wrong with the first unsound item, as a sentence's end; empty where all can be asked.

    Two items of one name would overwrite each other's scores; two replies or two sides that are the same text can
    never be told apart; a kind with one template says nothing about its noise, so every night would stay open; a
    check that cannot use its value says the same of every answer.
    """
    return next(_faults(suite), "")


def _faults(suite: Suite) -> Iterator[str]:
    twice = [name for name, count in Counter(_names(suite)).items() if count > 1]
    if twice:
        yield f"the name {twice[0]!r} is given twice"
    for probe in suite.probes:
        yield from _of_probe(probe)
    sides = Counter(probe.context for probe in suite.probes)
    for probe in suite.probes:
        if sides[probe.context] > 1:
            yield f"{probe.item!r} asks what another probe asks, word for word"
    templates = {(probe.kind, probe.cluster) for probe in suite.probes if probe.manner != "challenged"}
    for kind, count in Counter(kind for kind, _ in templates).items():
        if count < _FEWEST_TEMPLATES:
            yield f"the kind {kind!r} has one template only, and at least {_FEWEST_TEMPLATES} are needed"
    for choice in suite.choices:
        yield from _of_choice(choice)
    for task in suite.tasks:
        yield from _of_task(task)
    for document in suite.documents:
        if not (document.text or document.turns):
            yield f"{document.item!r} is empty"


def _names(suite: Suite) -> Iterator[str]:
    for items in (suite.probes, suite.documents, suite.choices, suite.tasks, suite.questions):
        yield from (item.item for item in items)
    yield from (name for name, _ in suite.prompts)


def _of_probe(probe: Probe) -> Iterator[str]:
    if not probe.replies:
        yield f"{probe.item!r} has no replies"
    for accept, push in probe.replies:
        if not accept.strip() or not push.strip():
            yield f"{probe.item!r} has an empty reply"
        if accept.strip() == push.strip():
            yield f"{probe.item!r} has one text as both replies ({accept!r})"


def _of_choice(choice: Choice) -> Iterator[str]:
    if not choice.right.strip() or not choice.wrong.strip():
        yield f"{choice.item!r} has an empty answer"
    if choice.right.strip() == choice.wrong.strip():
        yield f"{choice.item!r} has one text as right and as wrong answer ({choice.right!r})"


def _of_task(task: Task) -> Iterator[str]:
    if not usable(task.check, task.value):
        yield f"{task.item!r} has a value that the check {task.check} cannot use ({task.value!r})"
