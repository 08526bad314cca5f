"""The night's dreams between the ledger and the dream stage: what the past is, what is kept, what is still needed.

The engine writes before the model is loaded for training, when it is not known yet how many of the mined pairs can be
used; so most dreams are written early, and the grammar alone fills what is missing later. Whatever is accepted is in
the ledger at once; a night that breaks off leaves its twins to the next one.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from dreamloop import paths
from dreamloop.config import Config
from dreamloop.dream.author import EngineAuthor, load_prompts
from dreamloop.dream.axes import Coverage
from dreamloop.dream.books import Shelf, book_folders, load_shelves
from dreamloop.dream.borrowed import held_pairs
from dreamloop.dream.diversity import diversity, falling, known_values
from dreamloop.dream.kinds import SEEDERS, UNPROVEN
from dreamloop.dream.novelty import Novelty
from dreamloop.dream.scenarios import Author, Dreamer, HeldOut, repeats_refused
from dreamloop.errors import UnusableRow
from dreamloop.ledger.store import Ledger
from dreamloop.log import Progress
from dreamloop.model.engine import Writer
from dreamloop.records import Context, Dreamed, Pair, Skip, Twins, Use

_OTHERS = 1 / 3  # of the lessons are of kinds that are not trained tonight
_PROVABLE = tuple(kind for kind in SEEDERS if kind not in UNPROVEN)


def provable_kinds(config: Config) -> tuple[str, ...]:
    """The configured kinds that need no judge, or all there are where none is configured."""
    return tuple(kind for kind in config.night.kinds if kind not in UNPROVEN) or _PROVABLE


@dataclass
class Dreaming:
    """One night's dreams.

    Args:
        number, seed: of the night. config, ledger: the night's.
        kinds: those to train on. bare: those of them with nothing around what they are about.
        technical_share: of code, arithmetic and reasoning in dreams of these kinds; others have the configured one.
        practised: abilities that fell, whose kinds come first among the technical ones.
        index: the file of the novelty index.
        held_out: whether any of some texts comes near a gate item or a replay prompt.
        serving: whether an adapter serves, and therefore writes. progress: where to show long steps.
    """

    number: int
    seed: int
    config: Config
    kinds: Sequence[str]
    bare: Collection[str]
    technical_share: float
    practised: Collection[str]
    ledger: Ledger
    index: Path
    held_out: HeldOut
    serving: bool
    progress: Progress
    ready: list[Twins] = field(default_factory=list)
    _dreamed: list[Dreamed] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read the books now: a damaged one should not cost a night's work.

        Raises:
            ConfigError: a phrase book or the topics are damaged, or a kind does not exist.
        """
        self._shelves(self.config.night.kinds or _PROVABLE)

    def write(self, writer: Writer, count: int) -> None:
        """Let the engine have its part in the first ``count`` twins; those that a broken night left come first."""
        self.ready = self._left_over(count)
        adapter: Literal["incumbent"] | None = "incumbent" if self.serving else None
        prompts = load_prompts(paths.prompts_folder())

        def takes(context: Context) -> bool:
            try:
                writer.encoder.chat(context, generation_prompt=True)
            except UnusableRow:
                return False
            return True

        author = EngineAuthor(writer.sampler, adapter, prompts, self.config.dream, self.progress, takes)
        self._dream(count - len(self.ready), self.kinds, "training", self.seed, author)

    def finish(self, count: int) -> tuple[list[Twins], list[Twins]]:
        """``count`` twins to train on, the missing ones by grammar, and fresh ones for the gate's eyes only."""
        self._dream(count - len(self.ready), self.kinds, "training", self.seed + 1, None)
        lessons = self._lessons()
        self._note_diversity(self._shelves(self.config.night.kinds or _PROVABLE))
        return self.ready[:count], lessons

    def bystanders(self, count: int, taught: Collection[str]) -> list[Pair]:
        """Fresh twins of kinds that are not ``taught``, or of all where all are, so many; comes after `finish`.

        Each has ``night.bystander_replies`` pairs of replies, and two pairs for each of them.
        """
        kinds = provable_kinds(self.config)
        others = [kind for kind in kinds if kind not in taught] or kinds
        twins = self._dream(count, others, "bystander", self.seed + 5, None).twins
        rng = random.Random(self.seed + 6)
        return held_pairs(twins, self._shelves(kinds), self.config.night.bystander_replies, self.held_out, rng)

    def _lessons(self) -> list[Twins]:
        """Most are of tonight's kinds, so that a few nights show what these learn; some ask what became of the others.

        Where tonight has no kinds of its own, all that are configured share them, or all there are.
        """
        kinds = provable_kinds(self.config)
        own = [kind for kind in kinds if kind in self.kinds]
        others = [kind for kind in kinds if kind not in own]
        count = self.config.gate.lesson_twins
        rest = count if not own else round(count * _OTHERS) if others else 0
        drawn = [
            self._dream(count - rest, own, "lesson", self.seed + 2, None),
            self._dream(rest, others, "lesson", self.seed + 4, None),
        ]
        return [twins for part in drawn for twins in part.twins]

    def survey(self, kinds: Sequence[str], each: int) -> dict[str, Sequence[Twins]]:
        """So many fresh bare twins of each kind, for the gate alone."""
        bare = replace(self, kinds=kinds, bare=kinds)
        return {kind: bare._dream(each, [kind], "lesson", self.seed + 3, None).twins for kind in kinds}

    def _dream(self, count: int, kinds: Sequence[str], use: Use, seed: int, author: Author | None) -> Dreamed:
        """Dream, and put every round into the ledger and then into the index."""
        if count <= 0 or not kinds:
            return Dreamed((), ())
        shelves = self._shelves(kinds)
        novelty = Novelty(self.index, self.config.dream.threshold)
        try:
            if novelty.reached > self.ledger.last_dream():  # an index of another ledger, or of one that was put back
                novelty.begin_anew()
            novelty.catch_up(self.ledger.dreams_after(novelty.reached))

            def keep(part: Dreamed) -> None:
                self.ledger.record_dream(self.number, part, use)
                novelty.keep(self.ledger.last_dream())
                if use == "training":
                    self.ready += part.twins

            # How many shall be bare differs from night to night: what others had is no reason to make up for it now.
            coverage = Coverage(tally for tally in self.ledger.coverage() if tally.axis != "frame")
            knobs = self.config.dream
            if set(kinds) <= set(self.kinds):
                knobs = knobs.model_copy(update={"technical_share": self.technical_share})
            dreamer = Dreamer(
                shelves, knobs, novelty, coverage, self.held_out, author, self.practised, self._bare(kinds), keep
            )
            dreamed = dreamer.dream(count, seed, self.ready if use == "training" else ())
        finally:
            novelty.close()
        self._dreamed.append(dreamed)
        return dreamed

    def _bare(self, kinds: Sequence[str]) -> set[str]:
        """Those of the kinds that are bare: where all that is trained on is, what is held or asked beside it, too."""
        others = kinds if self.bare and set(self.kinds) <= set(self.bare) else ()
        return {kind for kind in kinds if kind in (self.bare if kind in self.kinds else others)}

    def _shelves(self, kinds: Sequence[str]) -> tuple[Shelf, ...]:
        return load_shelves(book_folders(self.config.dream.books), self.config.dream.languages, kinds)

    def _left_over(self, count: int) -> list[Twins]:
        """Twins of a night that broke off, of kinds that are still wished for and not near what the gate asks now."""
        taken = [twins for twins in self.ledger.pending_twins() if twins.right.kind in self.kinds][:count]
        near = [twins for twins in taken if self.held_out(twins.turns())]
        self.ledger.take_up(self.number, taken)
        if near:
            self.ledger.record_skips(self.number, [Skip("dream", "too close to a gate item", len(near))])
        return [twins for twins in taken if twins not in near]

    def _note_diversity(self, shelves: Sequence[Shelf]) -> None:
        everything = Dreamed(
            tuple(twins for part in self._dreamed for twins in part.twins),
            tuple(skip for part in self._dreamed for skip in part.skips),
        )
        used = {(tally.axis, tally.value) for tally in self.ledger.coverage()}
        known = known_values(shelves)
        covered = len(known & used) / max(1, len(known))
        tonight = diversity(everything, covered, repeats_refused(everything))
        if tonight:
            past = self.ledger.diversity()
            told = falling([*past, {name: getattr(tonight, name) for name in past[0]}]) if past else ()
            self.ledger.record_diversity(self.number, tonight, told)
