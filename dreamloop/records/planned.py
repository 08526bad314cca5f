"""What the nights so far tell, and what tonight does about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dreamloop.records.judged import Measure

Act = Literal["train", "rebase", "skip", "stop"]  # what a night does


@dataclass(frozen=True, slots=True)
class KindShown:
    """What a night's fresh scenarios of one kind showed, and how much the night taught of it.

    Of ``twins``, ``base`` and ``candidate`` are those in which the wrong side drew more push-back than the right one,
    half of them by chance. Of these, ``decided`` are those in which the candidate finds the right reply the likelier
    one on both sides: that is what a person sees. ``taught`` are the twins of the kind that were trained on. ``gained``
    is the sum over the fresh twins of how much further apart their two margins are than the base's, in nats per token,
    ``squared`` that of its squares: it moves before choices flip.
    """

    kind: str
    twins: int
    base: int
    candidate: int
    decided: int
    taught: int
    gained: float = 0.0
    squared: float = 0.0


@dataclass(frozen=True, slots=True)
class Potential:
    """Whether the base has anything in a kind that a step could route to its replies.

    Of ``twins``, ``plain`` are those in which the wrong side drew more push-back when asked plainly, ``shown`` when
    asked after solved examples, and ``known`` those whose right side it finds likelier to be said than the wrong one;
    half of them by chance.
    """

    kind: str
    twins: int
    plain: int
    shown: int
    known: int


@dataclass(frozen=True, slots=True)
class Dose:
    """How much a night trained: preference pairs, how many its plan had asked for, the plan's factors on the learning
    rates, and which kinds it asked to be how many times as far apart, as in `Plan`."""

    pairs: int
    planned: int
    rate: float
    caution: float
    pace: float = 1.0
    further: tuple[str, ...] = ()
    distance: float = 1.0


@dataclass(frozen=True, slots=True)
class PastNight:
    """What an earlier night tells tonight's plan.

    ``outcome`` is the ledger's word, but "failed" where nothing was trained or the server refused what the gate had
    kept, which says nothing of the training, and "taken back" where a person has gone back behind a night that was
    kept, or behind the one that another stood on. ``scale`` is the share of its step that was judged last,
    ``measures`` what that trial measured: nothing where a step broke off. ``steps`` are its optimizer steps.
    ``looked_at`` says that somebody has looked since and let the nights go on, ``rebased`` that it began at the base
    once more, ``shown_worse`` that its whole step was shown to be worse, and not only left open, ``too_large`` that a
    larger part of its step than ``scale`` went beyond one of tonight's bounds. ``dose`` is None in a ledger from before
    there were plans.
    """

    number: int
    outcome: str
    steps: int
    scale: float
    measures: tuple[Measure, ...]
    shown: tuple[KindShown, ...]
    looked_at: bool = False
    rebased: bool = False
    shown_worse: bool = False
    too_large: bool = False
    dose: Dose | None = None

    def measure(self, name: str) -> Measure | None:
        """The measure of that name, where it was taken."""
        return next((measure for measure in self.measures if measure.name == name), None)

    def beyond(self) -> tuple[Measure, ...]:
        """The measures that decide and went beyond a bound, tonight's or that since the base."""
        return tuple(measure for measure in self.measures if not measure.informative and not measure.holds)

    def taught(self) -> tuple[str, ...]:
        """The kinds of scenario that it trained on."""
        return tuple(shown.kind for shown in self.shown if shown.taught)


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is tonight beside the nights so far.

    ``potentials`` say what the base could be taught, as far as it was asked, ``waiting`` counts mined pairs that no
    night has trained on, ``serving`` says that an adapter serves, and not the base.
    """

    potentials: tuple[Potential, ...] = ()
    waiting: int = 0
    serving: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One knob of tonight's recipe: what it is set to, and why, in a sentence."""

    knob: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What tonight does: a ``rebase`` learns the nights that were kept once more, from the base.

    ``behavioural`` are preference pairs, ``rate`` the factor on DPO's learning rate, ``caution`` that on SFT's as well,
    ``pace`` one on DPO's alone. ``further`` are kinds that are found by now, and their replies are to be ``distance``
    times as far apart as configured: DPO's beta is divided by it. ``replay_share`` is the share of general
    examples, ``push_back_weight`` what a wrong direction's pair weighs where a right one's weighs 1, ``kinds`` those
    that are dreamed for training, ``bare`` those of them whose dreams have nothing around what they are about, and
    ``technical_share`` of the dreams are code, arithmetic and reasoning. ``practised`` are the abilities that fell,
    whose own examples come among the general ones. ``choices`` explain each of them.
    """

    act: Act
    behavioural: int
    rate: float
    caution: float
    pace: float
    further: tuple[str, ...]
    distance: float
    replay_share: float
    push_back_weight: float
    technical_share: float
    kinds: tuple[str, ...]
    bare: tuple[str, ...]
    practised: tuple[str, ...]
    choices: tuple[Choice, ...]

    @property
    def reason(self) -> str:
        """Why tonight trains, or does not."""
        return self.choices[0].why
