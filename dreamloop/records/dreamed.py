"""What was dreamed: scenarios with two sides and how varied they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dreamloop.records.collected import Skip, Strength
from dreamloop.records.conversation import Context, digest_of, flatten

Side = Literal["right", "wrong"]
Use = Literal["training", "lesson", "bystander"]  # what a scenario is dreamed for
Hand = Literal["grammar", "engine"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One choice that a scenario was made by: the way in which scenarios differ, and what it is here."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a value of an axis was dreamed."""

    axis: str
    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """A dreamed situation whose direction is right or wrong, with the two replies offered to it.

    ``template`` is the wording of the situation, which other scenarios may share. ``claim`` is what this side asserts
    and ``truth`` what proves the label, so that a person or a script can check it again; where nothing can, a judge did
    and ``strength`` is weak. ``axes`` are the choices it was made by. ``worded_by`` says who wrote situation and
    direction, ``replies_by`` whether an engine wrote one of the replies.
    """

    kind: str
    template: str
    side: Side
    twin: str
    context: Context
    accept: str
    push_back: str
    truth: str
    claim: str = ""
    axes: tuple[Axis, ...] = ()
    strength: Strength = "strong"
    worded_by: Hand = "grammar"
    replies_by: Hand = "grammar"

    @property
    def digest(self) -> str:
        return digest_of(flatten(self.context))


@dataclass(frozen=True, slots=True)
class Twins:
    """Two scenarios alike but for what makes the direction right or wrong."""

    right: Scenario
    wrong: Scenario

    def text(self) -> str:
        """Both situations as one text, under which twins are remembered."""
        return f"{flatten(self.right.context)} {flatten(self.wrong.context)}"

    def turns(self) -> tuple[str, ...]:
        """Everything that is said on either side, turn by turn."""
        return tuple(message.content for side in (self.right, self.wrong) for message in side.context)


@dataclass(frozen=True, slots=True)
class Diversity:
    """How varied a night's dreams were; shares, but for the entropy.

    ``distinct_1`` to ``distinct_3`` are the distinct runs of so many words among all (arXiv 1510.03055), over the first
    ``words`` words so that nights of different size compare. ``entropy`` is that of the two-word runs, in bits.
    ``covered`` is the share of all known values of all axes that were ever used, ``refused`` that of the dreams that
    were refused as repeats.
    """

    twins: int
    words: int
    distinct_1: float
    distinct_2: float
    distinct_3: float
    entropy: float
    covered: float
    refused: float


@dataclass(frozen=True, slots=True)
class Dreamed:
    """The night's fresh scenarios and what was left out on the way."""

    twins: tuple[Twins, ...]
    skips: tuple[Skip, ...]
