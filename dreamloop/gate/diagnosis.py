"""Forgetting or alignment tax? Why a capability fell, in words, with the advice that follows.

Two different things look alike in a margin. What is forgotten does not come back when the model is shown how; what
is merely no longer done unasked does: a few solved examples, or a plain instruction, bring it back, and the text
the ability is made of reads as before. The first asks for more replay and smaller steps, the second for
other lessons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dreamloop.gate.suite import Choice
from dreamloop.records import Context, Message

SHOTS = 3
INSTRUCTION = {
    "arithmetic": "You calculate with care. Answer with the exact result.",
    "code": "You are an experienced programmer. Write correct code.",
}
READS = {"arithmetic": "technical", "code": "code"}  # the domain whose text is nearest


@dataclass(frozen=True, slots=True)
class Fall:
    """How an ability changed in nats per token (positive is better): as asked, shown solved examples, and instructed.

    ``reading`` is the change of the perplexity nearest to it, ``margin`` what the ability may lose and
    ``reading_margin`` what the perplexity may.
    """

    ability: str
    plain: float
    shown: float
    instructed: float
    reading: float
    margin: float
    reading_margin: float


def shown(choices: Sequence[Choice]) -> list[Choice]:
    """The same questions after a few solved ones of their ability, taken from other templates."""
    return [replace(choice, context=(*_examples(choice, choices), *choice.context)) for choice in choices]


def instructed(choices: Sequence[Choice]) -> list[Choice]:
    """The same questions under an instruction to do the ability well."""
    return [
        replace(choice, context=(Message("system", INSTRUCTION[choice.ability]), *choice.context)) for choice in choices
    ]


def _examples(choice: Choice, choices: Sequence[Choice]) -> Context:
    """Solved questions, spread over what else there is, the same for every policy."""
    others = [other for other in choices if other.ability == choice.ability and other.cluster != choice.cluster]
    step = max(1, len(others) // SHOTS)
    picked = others[::step][:SHOTS]
    return tuple(turn for other in picked for turn in (*other.context, Message("assistant", other.right)))


def explain(fall: Fall) -> str:
    """Which of the two it is, and what to do about it.

    A fall counts as recovered where a test loses less than the margin although the plain question loses more.
    """
    back = [name for name, change in (("solved examples", fall.shown), ("an instruction", fall.instructed))
            if change >= -fall.margin]  # fmt: skip
    reads = fall.reading >= -fall.reading_margin
    said = (
        f"{fall.ability} fell by {-fall.plain:.3f} nats/token as asked, {-fall.shown:.3f} after solved examples and "
        f"{-fall.instructed:.3f} with an instruction, and reading {READS[fall.ability]} changed by {fall.reading:+.4f}"
    )
    if back and reads:
        return (
            f"Alignment tax: {said}. {' and '.join(back).capitalize()} bring it back, so it is still there and no "
            "longer done unasked; add chat rows of it to replay.chat_files, or lower finetune.dpo_learning_rate."
        )
    if not back:
        return (
            f"Forgetting: {said}. Nothing brings it back; raise night.replay_share towards 0.4, raise "
            "finetune.anchor_weight, or lower both learning rates."
        )
    return (
        f"Partly forgotten: {said}. {' and '.join(back).capitalize()} bring it back, but the text it is made of reads "
        "worse too; lower both learning rates first."
    )
