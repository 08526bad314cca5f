"""The engine's part of dreaming: judge what only it can judge, then other words, then replies, each in one full batch.

Full batches keep a server busy: everything of a round is asked at once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dreamloop.config import Dream
from dreamloop.dream import judge, replies, surface
from dreamloop.dream.faithful import Synonyms
from dreamloop.dream.sketch import Sketch
from dreamloop.log import Progress
from dreamloop.model.policy import Adapter
from dreamloop.model.sampler import Request, Sampler
from dreamloop.prompts import Phrases, Prompt, load_phrases, load_prompt
from dreamloop.records import Axis, Context, Reply


@dataclass(frozen=True, slots=True)
class Prompts:
    """How the engine is asked."""

    reword: Phrases
    synonyms: Synonyms
    guide: Phrases
    judge: Prompt


def load_prompts(folder: Path) -> Prompts:
    """Read the prompts, and the English synonyms that tell what of the answers means the same."""
    synonyms = Synonyms.read(load_phrases(folder / "dream" / "en", "synonyms"))
    return Prompts(
        load_phrases(folder, "reword"), synonyms, load_phrases(folder, "guide"), load_prompt(folder, "judge")
    )


@dataclass(frozen=True, slots=True)
class EngineAuthor:
    """Says sketches through a sampler.

    Args:
        sampler, adapter: who writes; the model that serves.
        prompts: how it is asked. knobs: how much of it is asked for.
        progress: where to show it.
        takes: whether the model's chat template takes a conversation; what it refuses is not asked.
    """

    sampler: Sampler
    adapter: Adapter | None
    prompts: Prompts
    knobs: Dream
    progress: Progress
    takes: Callable[[Context], bool] = lambda _: True

    def __call__(self, sketches: Sequence[Sketch], seed: int, discards: Counter[str]) -> list[Sketch | None]:
        """Each sketch in the engine's words as far as they are sound, its own otherwise; None where no judge agrees.

        Raises:
            EngineError: the engine failed for good; what earlier rounds accepted was kept.
        """
        rng = random.Random(seed)
        known = self._judged(sketches, seed, discards)
        worded = self._reworded(known, rng, seed + 1, discards)
        return self._replied(worded, rng, seed + 2, discards)

    def _judged(self, sketches: Sequence[Sketch], seed: int, discards: Counter[str]) -> list[Sketch | None]:
        asked = [judge.requests(one.seed, self.prompts.judge) if one.seed.judged else [] for one in sketches]
        answers = self._answers(asked, seed, "dream: judging opinions")
        found: list[Sketch | None] = []
        for one, own in zip(sketches, answers, strict=True):
            verdict = one.seed if not one.seed.judged else judge.judged(one.seed, own) if own else None
            if verdict is None:
                why = "the judge disagrees with itself" if own else "the template takes no such question"
                discards[f"{one.kind}: {why}"] += 1
            found.append(replace(one, seed=verdict) if verdict else None)
        return found

    def _reworded(
        self, sketches: Sequence[Sketch | None], rng: random.Random, seed: int, discards: Counter[str]
    ) -> list[Sketch | None]:
        chosen = [_english(one) and rng.random() < self.knobs.reworded_share for one in sketches]
        count = self.knobs.candidates
        asked = [
            [r for r in surface.requests(one, self.prompts.reword) for _ in range(count)] if one and wanted else []
            for one, wanted in zip(sketches, chosen, strict=True)
        ]
        answers = self._answers(asked, seed, "dream: other words")
        return [
            surface.reworded(one, own, self.prompts.synonyms, discards) if one and own else one
            for one, own in zip(sketches, answers, strict=True)
        ]

    def _replied(
        self, sketches: Sequence[Sketch | None], rng: random.Random, seed: int, discards: Counter[str]
    ) -> list[Sketch | None]:
        chosen = [_english(one) and _pushes(one) and rng.random() < self.knobs.sampled_share for one in sketches]
        count = self.knobs.candidates
        asked = [
            replies.requests(one, self.prompts.guide, count) if one and wanted else []
            for one, wanted in zip(sketches, chosen, strict=True)
        ]
        answers = self._answers(asked, seed, "dream: replies")
        return [
            replies.replied(one, replies.gathered(own, count), discards) if one and own else one
            for one, own in zip(sketches, answers, strict=True)
        ]

    def _answers(self, asked: Sequence[Sequence[Request]], seed: int, what: str) -> list[list[Reply]]:
        """The answers to every sketch's own requests, all asked in one batch."""
        asked = [own if all(self.takes(request.context) for request in own) else [] for own in asked]
        flat = [request for own in asked for request in own]
        answers: Iterator[Reply] = iter(
            self.sampler.sample(flat, self.adapter, seed, self.progress, what) if flat else ()
        )
        return [[next(answers) for _ in own] for own in asked]


def _english(drawn: Sketch | None) -> bool:
    """The prompts are English, and so are the checks of what comes back."""
    return drawn is not None and Axis("language", "en") in drawn.axes


def _pushes(drawn: Sketch | None) -> bool:
    """Only a reply that accepts and one that pushes back can be told from their words."""
    return drawn is not None and Axis("manner", "push back") in drawn.axes
