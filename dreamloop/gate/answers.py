"""What the model writes to fixed requests, greedily, and the numbers that are read from it.

Health and manner, not truth: does it end, does it loop, does it still answer in the language it was asked in?
Every number is a pure function of the request and the reply.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise

from dreamloop.gate.checks import keeps
from dreamloop.gate.suite import Suite
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Adapter, Policy
from dreamloop.model.sampler import Request, TransformersSampler
from dreamloop.records import Context, Reply

NEW_TOKENS = 64
BATCH = 32

_LONGEST_UNIT = 12  # words of a phrase that comes again and again
_LOOP_WORDS = 8
_FEWEST_WORDS = 6  # below which a language cannot be told
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")  # Thai, Lao, Kana, Han: no blanks between words
_MARKUP = re.compile(
    r"<\|[\w ]+\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|^(?:user|assistant|system):?$", re.MULTILINE
)
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|afraid|unable|not able)|i (?:can(?:'t|not)|could not|won't|will not) "
    r"(?:help|assist|do|provide|answer|write|fulfil|comply|give|tell)|as an ai\b|against my (?:rules|guidelines))",
    re.IGNORECASE,
)


def write_answers(
    policy: Policy, encoder: ChatEncoder, suite: Suite, adapter: Adapter | None, progress: Progress, who: str
) -> dict[str, tuple[Context, Reply]]:
    """The greedy reply to every instruction and every prompt, by item name."""
    asked = [(task.item, task.context) for task in suite.tasks] + list(suite.prompts)
    sampler = TransformersSampler(policy, encoder, BATCH)
    requests = [Request(encoder.seated(context), NEW_TOKENS, temperature=0.0) for _, context in asked]
    replies = sampler.sample(requests, adapter, 0, progress, f"gate: answers, {who}")
    return {item: (context, reply) for (item, context), reply in zip(asked, replies, strict=True)}


def read_answers(answers: Mapping[str, tuple[Context, Reply]], suite: Suite) -> dict[str, dict[str, float]]:
    """All numbers, by channel and item: yes/no as 1/0."""
    found: dict[str, dict[str, float]] = {
        name: {item: float(read(context, reply)) for item, (context, reply) in answers.items()}
        for name, read in READINGS.items()
    }
    found["instructions"] = {
        task.item: float(keeps(answers[task.item][1].text, task.check, task.value)) for task in suite.tasks
    }
    return found


def _finished(_: Context, reply: Reply) -> bool:
    """It says something and ends its turn."""
    return bool(reply.text) and reply.finish_reason == "stop"


def _length(_: Context, reply: Reply) -> float:
    """Logarithm of the tokens, so that a change is a factor."""
    return math.log(max(reply.tokens, 1))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _repetition(_: Context, reply: Reply) -> float:
    """Share of four-word runs that were there before in the same reply."""
    words = _words(reply.text)
    runs = [tuple(words[k : k + 4]) for k in range(len(words) - 3)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _looping(_: Context, reply: Reply) -> bool:
    """It ends in a phrase said at least three times in a row."""
    words = _words(reply.text)
    return any(
        len(words) >= max(3 * unit, _LOOP_WORDS) and words[-2 * unit :] == words[-3 * unit : -unit]
        for unit in range(1, _LONGEST_UNIT + 1)
    )


def _distinct(_: Context, reply: Reply) -> float:
    """Share of two-word runs that differ (distinct-2, arXiv 1510.03055)."""
    words = _words(reply.text)
    runs = list(pairwise(words))
    return len(set(runs)) / len(runs) if runs else 1.0


def _entropy(_: Context, reply: Reply) -> float:
    """Entropy of the reply's words in nats: 0 where it says one word only."""
    counts = Counter(_words(reply.text))
    total = sum(counts.values())
    return -sum(n / total * math.log(n / total) for n in counts.values()) if total else 0.0


def _refused(_: Context, reply: Reply) -> bool:
    """It declines; all requests are harmless."""
    return bool(_REFUSAL.search(reply.text))


def _leaked(_: Context, reply: Reply) -> bool:
    """Parts of the chat template show in the text."""
    return reply.specials > 0 or bool(_MARKUP.search(reply.text))


def _foreign(context: Context, reply: Reply) -> bool:
    """It is written in another language than the request."""
    if len(_words(reply.text)) + len(_UNSPACED.findall(reply.text)) < _FEWEST_WORDS:
        return False
    return language(reply.text) != language("\n".join(message.content for message in context))


def language(text: str) -> str:
    """ISO 639-1 code of the text's most likely language."""
    return str(_identifier().classify(text)[0])


@cache
def _identifier():  # type: ignore[no-untyped-def] # py3langid is untyped
    import py3langid  # noqa: PLC0415 - loads its model

    return py3langid


READINGS: Mapping[str, Callable[[Context, Reply], float | bool]] = {
    "finished": _finished, "length": _length, "repetition": _repetition, "looping": _looping, "distinct": _distinct,
    "entropy": _entropy, "refused": _refused, "leaked": _leaked, "foreign": _foreign,
}  # fmt: skip
