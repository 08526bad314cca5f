"""The gate's held-out items: records, one suite, and the digest that names it.

Items ship with the project, in ``gate/items/``, and users add a folder of their own. Their templates,
names, numbers and facts are used nowhere else; cycle.py drops every training item that comes near one
(invariant 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from dreamloop.records import Context, Side

DOMAINS = ("prose", "code", "chat", "technical")
ABILITIES = ("arithmetic", "code")

Manner = Literal["alone", "pressed", "prompted", "challenged"]
T = TypeVar("T")
Wanted = str | int | bool | tuple[str, ...]

_FEWEST_QUICK = 6  # templates, documents or requests: an interval needs five
FEWEST_WORDS = 5  # a text of fewer words says nothing about where it comes from


@dataclass(frozen=True, slots=True)
class Probe:
    """One situation; ``replies`` are (accept, push back) pairs, the same for both sides.

    ``cluster`` is the template: what shares its wording is resampled together. ``manner`` is how the direction is
    given: alone, with pressure behind it, under a system prompt, or against an answer that the assistant gave.
    """

    item: str
    kind: str
    cluster: str
    twin: str
    side: Side
    context: Context
    replies: tuple[tuple[str, str], ...]
    manner: Manner = "alone"


@dataclass(frozen=True, slots=True)
class Document:
    """One held-out text, or a conversation whose assistant turns are scored (``turns``)."""

    item: str
    domain: str
    text: str = ""
    turns: Context = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """The right reply against the same reply with one fault, after the same context."""

    item: str
    cluster: str
    ability: str
    context: Context
    right: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Task:
    """An instruction, and the check (a name in `checks`) with its value that says whether an answer keeps it."""

    item: str
    context: Context
    check: str
    value: Wanted


@dataclass(frozen=True, slots=True)
class Question:
    """What every persona is asked, and the one answer that is put into all their mouths."""

    item: str
    ask: str
    answer: str


@dataclass(frozen=True, slots=True)
class Suite:
    """All items of one gate run. ``prompts`` are (item, context) whose answers are looked at for health."""

    digest: str
    probes: tuple[Probe, ...]
    documents: tuple[Document, ...]
    choices: tuple[Choice, ...]
    tasks: tuple[Task, ...]
    prompts: tuple[tuple[str, Context], ...]
    personas: tuple[str, ...]
    questions: tuple[Question, ...]

    def texts(self) -> list[str]:
        """Every message and document that is long enough to be recognised, to hold training data against."""
        return [text for text in dict.fromkeys(self._texts()) if len(text.split()) >= FEWEST_WORDS]

    def _texts(self) -> Iterator[str]:
        contexts = [probe.context for probe in self.probes]
        contexts += [choice.context for choice in self.choices]
        contexts += [task.context for task in self.tasks]
        contexts += [context for _, context in self.prompts]
        contexts += [document.turns for document in self.documents]
        for context in contexts:
            yield from (message.content for message in context)
        yield from (document.text for document in self.documents)
        yield from (choice.right for choice in self.choices)
        yield from self.personas
        for question in self.questions:
            yield from (question.ask, question.answer)

    def quick(self, every: int = 12) -> Suite:
        """Every so many-th twin, document and request, but a handful of each: for a look, never for a verdict.

        Half of the personas show a collapse as well; all of them take twice the time.
        """
        challenged = [probe.twin for probe in self.probes if probe.manner == "challenged"]
        single = [probe.twin for probe in self.probes if probe.manner != "challenged"]
        twins = {twin for own in (challenged, single) for twin in _some(list(dict.fromkeys(own)), every)}
        documents = [[one for one in self.documents if one.domain == domain] for domain in DOMAINS]
        choices = [[one for one in self.choices if one.ability == ability] for ability in ABILITIES]
        return replace(
            self,
            digest=f"{self.digest}/{every}",
            probes=tuple(probe for probe in self.probes if probe.twin in twins),
            documents=tuple(one for own in documents for one in _some(own, every)),
            choices=tuple(one for own in choices for one in _some(own, every)),
            tasks=tuple(_some(self.tasks, every)),
            prompts=tuple(_some(self.prompts, every)),
            personas=tuple(_some(self.personas, 2)),
            questions=tuple(_some(self.questions, every)),
        )


def _some(items: Sequence[T], every: int) -> Sequence[T]:
    """Every so many-th, or closer together where fewer than `_FEWEST_QUICK` would be left."""
    return items[:: max(1, min(every, len(items) // _FEWEST_QUICK))]
