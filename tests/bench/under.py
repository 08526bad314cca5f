"""What is asked under a system prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dreamloop.gate.suite import Choice, Document, Probe
from dreamloop.records import Context, Message


def under(prompt: str, context: Context) -> Context:
    """A context under a system prompt, in front of its own where it has one."""
    if not prompt:
        return context
    own = f"{prompt} {context[0].content}" if context and context[0].role == "system" else prompt
    return (Message("system", own), *(turn for turn in context if turn.role != "system"))


def probes_under(prompt: str, probes: Sequence[Probe]) -> tuple[Probe, ...]:
    return tuple(replace(probe, context=under(prompt, probe.context)) for probe in probes)


def choices_under(prompt: str, choices: Sequence[Choice]) -> tuple[Choice, ...]:
    return tuple(replace(choice, context=under(prompt, choice.context)) for choice in choices)


def texts_under(prompt: str, texts: Sequence[Document]) -> tuple[Document, ...]:
    """Conversations; what is only read stands under nothing."""
    return tuple(replace(text, turns=under(prompt, text.turns)) if text.turns else text for text in texts)
