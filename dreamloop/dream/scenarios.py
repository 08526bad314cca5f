"""The night's dreaming: seeds into twins, and only fresh, proven ones are kept.

A round draws a sketch for every twin that is still wanted, lets the engine say some of them in other words and write
some of the replies, and keeps what is proven, new and far from every gate item and replay prompt. What fails is counted
and drawn again with a new seed. Twins are two situations alike but for the claim, with the same two replies offered to
both.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dreamloop.config import Dream
from dreamloop.dream.axes import Coverage, Draw
from dreamloop.dream.books import Shelf
from dreamloop.dream.faithful import unproven
from dreamloop.dream.kinds import UNPROVEN
from dreamloop.dream.novelty import Novelty, mark_of
from dreamloop.dream.portions import instead, portions, technical_share
from dreamloop.dream.sketch import Sketch, sketch, twins_of
from dreamloop.errors import ConfigError
from dreamloop.records import Axis, Dreamed, Pair, Provenance, Scenario, Skip, Twins

ROUNDS = 24
ENGINE_ROUNDS = 3  # after which grammar alone fills what is left
_FEW = 2  # dreams of one sentence that are never too many
_REPEAT = "nearly dreamed before"
_SPENT = "an old sentence with new values"

HeldOut = Callable[[Sequence[str]], bool]


class Author(Protocol):
    """Who says a sketch better than grammar: `author.EngineAuthor`."""

    def __call__(self, sketches: Sequence[Sketch], seed: int, discards: Counter[str]) -> list[Sketch | None]:
        """Each sketch in the author's words as far as they are sound; None where nothing could label it."""
        ...


@dataclass
class Dreamer:
    """What dreaming needs of the past and of the night.

    Args:
        shelves: the phrase books, a shelf per language.
        knobs: how dreams are to be.
        novelty: everything ever dreamed; what is accepted is added.
        coverage: how often each choice was made before.
        held_out: whether any of some texts comes near a gate item or a replay prompt, which nothing may.
        author: the engine; None leaves all words to the grammar.
        falling: abilities that the gate saw falling. bare: kinds whose dreams all have nothing around them.
        keep: called with what a round accepted, before the next one begins.
    """

    shelves: Sequence[Shelf]
    knobs: Dream
    novelty: Novelty
    coverage: Coverage
    held_out: HeldOut
    author: Author | None = None
    falling: Collection[str] = ()
    bare: Collection[str] = ()
    keep: Callable[[Dreamed], None] = field(default=lambda _: None)
    _accepted: Counter[str] = field(default_factory=Counter)

    def dream(self, count: int, seed: int, before: Sequence[Twins] = ()) -> Dreamed:
        """Dream ``count`` fresh twins beside those of ``before``; fewer where novelty ran out, as the discards tell.

        The same seed, past and engine give the same dreams as far as the engine allows.
        """
        rng = random.Random(seed)
        kinds = sorted({kind for shelf in self.shelves for kind in shelf.books})
        self._accepted = Counter({kind: self.coverage.count("kind", kind) for kind in kinds})
        if not kinds and count:
            raise ConfigError("No kind of scenario was loaded; name some in night.kinds.")
        knobs = self.knobs
        share = technical_share(knobs.technical_share, self.falling)
        had = Counter(twins.right.kind for twins in before)
        open_ones = portions(count, kinds, share, knobs.largest_share, self.falling, self.coverage, rng, had)
        dreamed: list[Twins] = []
        total: Counter[str] = Counter()
        for number in range(ROUNDS):
            if not open_ones:
                break
            discards: Counter[str] = Counter()
            if self.author is None or number >= ENGINE_ROUNDS:
                night = had + Counter(twins.right.kind for twins in dreamed)
                open_ones = self._provable(open_ones, kinds, night, rng)
            found, open_ones = self._round(open_ones, rng, number, seed, discards)
            dreamed += found
            total += discards
            self.keep(Dreamed(tuple(found), _skips(discards)))
        gave_up = Counter(f"{kind}: gave up after {ROUNDS} rounds" for kind in open_ones)
        if gave_up:
            self.keep(Dreamed((), _skips(gave_up)))
        return Dreamed(tuple(dreamed), _skips(total + gave_up))

    def _provable(
        self, open_ones: Sequence[str], kinds: Sequence[str], night: Counter[str], rng: random.Random
    ) -> list[str]:
        """The same kinds, but with nobody there to judge other kinds take the place of those that need it."""
        provable = [kind for kind in kinds if kind not in UNPROVEN]
        kept = [kind for kind in open_ones if kind in provable or not provable]
        missing = len(open_ones) - len(kept)
        return kept + instead(missing, provable, self.knobs.largest_share, night + Counter(kept), self.coverage, rng)

    def _round(
        self, kinds: Sequence[str], rng: random.Random, number: int, seed: int, discards: Counter[str]
    ) -> tuple[list[Twins], list[str]]:
        """What a round accepted, and the kinds of what it did not."""
        author = self.author if number < ENGINE_ROUNDS else None
        drawn = [self._drawn(kind, rng) for kind in kinds]
        worded = author(drawn, seed + number, discards) if author else [_by_grammar(one, discards) for one in drawn]
        found, again = [], []
        for plain, one in zip(drawn, worded, strict=True):
            twins = self._fresh(one, discards) if one else None
            if twins is None and one is not None and one is not plain and not one.seed.judged:
                twins = self._fresh(plain, discards)  # grammar's own words may be new where the engine's were not
            if twins:
                found.append(twins)
            else:
                again.append(plain.kind)
        return found, again

    def _drawn(self, kind: str, rng: random.Random) -> Sketch:
        draw = Draw(rng, self.coverage)
        shelves = {shelf.language: shelf for shelf in self.shelves if kind in shelf.books}
        shelf = shelves[draw.even("language", list(shelves))]
        bare = kind in self.bare
        knobs = self.knobs.model_copy(update={"bare_share": 1.0}) if bare else self.knobs
        drawn = sketch(shelf.books[kind], shelf, draw, knobs)
        # What has to be bare is no reason for other kinds to make up for it.
        self.coverage.add([axis for axis in drawn.axes if not (bare and axis.name == "frame")])
        return drawn

    def _fresh(self, drawn: Sketch, discards: Counter[str]) -> Twins | None:
        """The twins, remembered, if nothing speaks against them."""
        twins = twins_of(drawn)
        mark, digests = mark_of(twins.text()), (twins.right.digest, twins.wrong.digest, twins.right.twin)
        if fault := unproven(drawn):
            discards[f"{drawn.kind}: {fault}"] += 1
        elif self._spent(drawn):
            discards[f"{drawn.kind}: {_SPENT}"] += 1
        elif self.novelty.holds(mark, digests):
            discards[f"{drawn.kind}: {_REPEAT}"] += 1
        elif self.held_out(twins.turns()):
            discards[f"{drawn.kind}: too close to a gate item or replay prompt"] += 1
        else:
            self.novelty.insert(mark, digests)
            self.coverage.add([Axis("sentence", drawn.sentence)])
            self._accepted[drawn.kind] += 1
            return twins
        return None

    def _spent(self, drawn: Sketch) -> bool:
        """Whether the sentence has had its share of the kind's dreams; a book of few sentences may use each of them."""
        known = max(shelf.books[drawn.kind].sentences for shelf in self.shelves if drawn.kind in shelf.books)
        share = max(self.knobs.template_share, _FEW / known)
        return self.coverage.count("sentence", drawn.sentence) >= max(_FEW, share * self._accepted[drawn.kind])


def pairs_of(twins: Twins) -> tuple[Pair, Pair]:
    """Two preference pairs with the same replies, chosen and rejected exchanged."""
    right, wrong = twins.right, twins.wrong
    return (
        Pair(right.context, right.accept, right.push_back, _provenance(right), right.twin),
        Pair(wrong.context, wrong.push_back, wrong.accept, _provenance(wrong), wrong.twin),
    )


def repeats_refused(dreamed: Dreamed) -> float:
    """The share of finished dreams that were refused as repeats."""
    refused = sum(skip.count for skip in dreamed.skips if skip.reason.endswith((_REPEAT, _SPENT)))
    return refused / max(1, refused + len(dreamed.twins))


def _provenance(scenario: Scenario) -> Provenance:
    return Provenance("dream", scenario.kind, 0, scenario.side, scenario.strength)


def _by_grammar(drawn: Sketch, discards: Counter[str]) -> Sketch | None:
    """Grammar's own words, but no opinion: there is nobody to judge it."""
    if not drawn.seed.judged:
        return drawn
    discards[f"{drawn.kind}: nobody there to judge"] += 1
    return None


def _skips(discards: Counter[str]) -> tuple[Skip, ...]:
    return tuple(Skip("dream", reason, n) for reason, n in sorted(discards.items()))
