"""All scores of one policy, by channel and item, measured one channel after the other.

A channel that raises is a fault with a sentence, and a fault reverts the night: what was not measured is no
evidence. Scores are plain numbers, so they can be kept and looked up again by what they depend on.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from dreamloop.errors import first_line
from dreamloop.gate.answers import read_answers, write_answers
from dreamloop.gate.capability import coherence, score_choices
from dreamloop.gate.gauges import Items
from dreamloop.gate.geometry import score_geometry
from dreamloop.gate.perplexity import score_documents
from dreamloop.gate.probes import score_probes
from dreamloop.gate.shift import score_attention
from dreamloop.gate.spill import score_spill
from dreamloop.gate.suite import Probe, Suite
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Adapter, Policy

Scores = Mapping[str, float]
Channels = dict[str, dict[str, float]]

_INFORMATIVE = ("attention",)


@dataclass(frozen=True, slots=True)
class Scored:
    """One policy's numbers: channel, item, number. ``faults`` are channels that could not be measured, with why."""

    channels: Mapping[str, Scores]
    faults: Mapping[str, str] = field(default_factory=dict)

    def joined(self, other: Scored) -> Scored:
        """Both, whose channels differ."""
        return Scored({**self.channels, **other.channels}, {**self.faults, **other.faults})

    def whole(self) -> bool:
        """Whether everything was measured and is a number, so that it may be looked up another night."""
        return not self.faults and all(math.isfinite(n) for own in self.channels.values() for n in own.values())

    def to_json(self) -> str:
        return json.dumps(self.channels)

    @staticmethod
    def from_json(text: str) -> Scored:
        return Scored(json.loads(text))


def score_suite(policy: Policy, encoder: ChatEncoder, suite: Suite, who: Adapter | None, progress: Progress) -> Scored:
    """Everything that is asked every night, of one adapter, or of the base model for None."""
    name = who or "base"

    def answers() -> Channels:
        return read_answers(write_answers(policy, encoder, suite, who, progress, name), suite)

    def capability() -> Channels:
        choices = [*suite.choices, *coherence(suite.documents)]
        return {"capability": score_choices(policy, encoder, choices, progress, name)}

    def geometry() -> Channels:
        if not suite.questions:
            return {}
        return score_geometry(policy, encoder, suite.personas, suite.questions, progress, name)

    def attention() -> Channels:
        return {"attention": score_attention(policy, encoder, suite.probes)} if policy.packable else {}

    with policy.using(who):
        return _measured({
            "perplexity": lambda: score_documents(policy, encoder, suite.documents, progress, name),
            "probes": lambda: {"probes": score_probes(policy, encoder, suite.probes, progress, name)},
            "capability": capability,
            "geometry": geometry,
            "attention": attention,
            "answers": answers,
        })  # fmt: skip


def score_fresh(policy: Policy, encoder: ChatEncoder, items: Items, who: Adapter | None, progress: Progress) -> Scored:
    """Tonight's own scenarios and replies."""
    name = who or "base"

    def probes(channel: str, own: Sequence[Probe]) -> Callable[[], Channels]:
        return lambda: {channel: score_probes(policy, encoder, own, progress, f"{name}, {channel}")}

    scorers = {
        "lessons": (items.lessons, probes("lessons", items.lessons)),
        "taught": (items.taught, probes("taught", items.taught)),
        "spill": (items.misplaced, lambda: {"spill": score_spill(policy, encoder, items.misplaced, progress, name)}),
    }
    with policy.using(who):
        return _measured({channel: scorer for channel, (asked, scorer) in scorers.items() if asked})


def _measured(scorers: Mapping[str, Callable[[], Channels]]) -> Scored:
    channels: Channels = {}
    faults: dict[str, str] = {}
    for name, scorer in scorers.items():
        try:
            channels.update(scorer())
        except Exception as error:  # noqa: BLE001 - whatever it is, it reverts the night and is told
            if name in _INFORMATIVE:
                continue  # decides nothing, so its absence does not either
            faults[name] = f"{name} could not be measured ({type(error).__name__}: {first_line(error)})."
    return Scored(channels, faults)


def cache_key(suite: Suite, base_digest: str, weights_digest: str, dtype: str, versions: Mapping[str, str]) -> str:
    """What a policy's scores of a suite depend on, as one SHA-256; the code that measures is part of it.

    Args:
        suite: its digest counts.
        base_digest: of the base model.
        weights_digest: of the adapter; empty for the base itself.
        dtype: of the base weights.
        versions: of the packages that compute.
    """
    parts = [_code_digest(), suite.digest, base_digest, weights_digest, dtype, json.dumps(versions, sort_keys=True)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def _code_digest() -> str:
    """SHA-256 over what computes scores: this package and the model's."""
    total = hashlib.sha256()
    here = Path(__file__).parent
    for path in (*sorted(here.glob("*.py")), *sorted((here.parent / "model").glob("*.py"))):
        total.update(path.read_bytes())
    return total.hexdigest()
