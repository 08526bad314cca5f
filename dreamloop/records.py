"""The words of the house: frozen records that cross a stage line. No dict and no bare tuple does.

Every record is plain data that SQLite and JSON can hold; none imports anything heavy.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]
Strength = Literal["strong", "medium", "weak"]
Side = Literal["right", "wrong"]
Outcome = Literal["keep", "revert", "inconclusive"]
Act = Literal["train", "rebase", "skip", "stop"]  # what a night does
Use = Literal["training", "lesson", "bystander"]  # what a scenario is dreamed for
Hand = Literal["grammar", "engine"]


def digest_of(*parts: str) -> str:
    """SHA-256 over the parts with unambiguous borders; 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


Context = tuple[Message, ...]


def flatten(context: Context) -> str:
    """The context as one text, for digests and near-duplicate search; never fed to a model."""
    return "\n".join(f"{message.role}: {message.content}" for message in context)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an engine wrote: the text, why it stopped, and how many tokens it took.

    ``specials`` counts special tokens before the end of the turn, which the text leaves out; 0 from an engine that
    does not tell.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    tokens: int
    specials: int = 0


# --- collect -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """One assistant reply in a log.

    ``rank`` is its place among siblings where people ranked them (0 best), ``original`` what the model
    wrote where a person edited the reply and the log kept both.
    """

    text: str
    rank: int | None = None
    original: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A context that ends with a user turn, every reply it got, and the user turn that followed.

    ``followed`` is what the user said to the first answer; None where the conversation ends there.
    """

    conversation: str
    turn: int
    context: Context
    answers: tuple[Answer, ...]
    followed: str | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a pair comes from: enough to find the line in the log again."""

    source: str
    conversation: str
    turn: int
    signal: str
    strength: Strength


@dataclass(frozen=True, slots=True)
class Pair:
    """A context, the reply the model should give, and the one it should not.

    ``twin`` names the other side: pairs that share a twin always travel into one optimizer step.
    """

    context: Context
    chosen: str
    rejected: str
    provenance: Provenance
    twin: str | None = None

    @property
    def digest(self) -> str:
        return digest_of(flatten(self.context), self.chosen, self.rejected)

    def texts(self) -> tuple[str, ...]:
        """Every message and both replies."""
        return (*(message.content for message in self.context), self.chosen, self.rejected)


@dataclass(frozen=True, slots=True)
class Correction:
    """A reply that its user corrected in words; the chosen side is still to be written."""

    context: Context
    rejected: str
    correction: str
    provenance: Provenance

    @property
    def digest(self) -> str:
        return digest_of(flatten(self.context), self.rejected, self.correction)


@dataclass(frozen=True, slots=True)
class Skip:
    """Something left out, why, and how often. Nothing is dropped without one of these."""

    stage: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a log was read: the byte to go on from and a digest of the bytes just before it.

    A file whose bytes before ``offset`` no longer have this digest was rewritten and is read anew.
    """

    path: str
    offset: int
    tail_digest: str


@dataclass(frozen=True, slots=True)
class SourceRead:
    """One log file read tonight. ``cursor`` is None where the file could not be read at all."""

    path: str
    format: str
    start: int
    conversations: int
    exchanges: int
    cursor: Cursor | None


@dataclass(frozen=True, slots=True)
class Collected:
    """What the day's logs gave."""

    pairs: tuple[Pair, ...]
    corrections: tuple[Correction, ...]
    reads: tuple[SourceRead, ...]
    skips: tuple[Skip, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """The attempt to write the chosen side of one correction; ``pair`` is None where it failed."""

    correction: str
    outcome: str
    pair: Pair | None


# --- dream ---------------------------------------------------------------------------------


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


# --- finetune ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChatRow:
    """A conversation that ends with the reply to learn, or plain text where there is no context: general replay."""

    context: Context
    reply: str
    source: str

    @property
    def digest(self) -> str:
        return digest_of(flatten(self.context), self.reply)

    def texts(self) -> tuple[str, ...]:
        """Every message and the reply."""
        return (*(message.content for message in self.context), self.reply)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a training step, under the names TRL, PEFT and transformers use.

    Rates are per optimizer step; ``anchor_weight`` scales forward KL per token to the base
    model on ``anchor_tokens`` replay tokens a step; ``chosen_floor`` is how many nats per token
    the chosen replies may lose before the step counts as broken.
    """

    seed: int
    r: int
    lora_alpha: int
    use_rslora: bool
    target_modules: tuple[str, ...] | str
    rank_pattern: tuple[tuple[str, int], ...]
    alpha_pattern: tuple[tuple[str, int], ...]
    init_lora_weights: bool | str
    use_dora: bool
    lora_bias: bool
    method: Literal["lora", "full"]
    optim: Literal["adamw_torch", "apollo_adamw"]
    carry_optimizer: bool
    sft: bool
    sft_learning_rate: float
    sft_batch: int
    sft_dropout: float
    dpo_learning_rate: float
    dpo_batch: int
    hold_learning_rate: float
    hold_batch: int
    beta: float
    beta_pattern: tuple[tuple[str, float], ...]
    loss_type: Literal["sigmoid", "ipo", "robust"]
    label_smoothing: float
    rpo_alpha: float
    dpop_lambda: float
    pairwise_share: float
    push_back_weight: float
    context_gradient: Literal["full", "frozen"]
    gradient_checkpointing: bool
    anchor_weight: float
    anchor_tokens: int
    weight_decay: float
    max_grad_norm: float
    warmup_ratio: float
    decay_ratio: float
    min_steps: int
    max_length: int
    pack_tokens: int
    chosen_floor: float

    @property
    def gain(self) -> float | None:
        """The factor on B·A: alpha/√r with rsLoRA (arXiv 2312.03732), alpha/r without; None with full weights."""
        if self.method == "full":
            return None
        return self.lora_alpha / (self.r**0.5 if self.use_rslora else self.r)


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step.

    Losses are nats and None where the step has no such part: ``sft`` on chosen replies of mined pairs, ``replay``
    on general answers, ``dpo`` on pairs, ``guard`` the SFT term on their chosen side, ``anchor`` KL to the base;
    ``loss`` is their weighted sum. ``shift`` is by how many nats per token one reply of bystanders gained on the other
    on both sides against the base, root mean square, before a step that holds them. Gradient norms are those before
    clipping: of all, of the behavioural part and of the replay part. ``chosen``, ``rejected`` and ``margin`` are mean
    log-probs per token of the step's pairs before the step, ``chosen_change`` is against the start of the phase,
    ``entropy`` that of the next-token distribution at reply tokens. ``update_norm`` is how far the step moved the
    model, ``drift`` how far it now is from the night's start (Frobenius, over all weights). ``packing`` is the filled
    share of the forward passes.
    """

    phase: Literal["sft", "dpo", "hold"]
    index: int
    rows: int
    replay_rows: int
    tokens: int
    replay_tokens: int
    loss: float
    sft: float | None
    replay: float | None
    dpo: float | None
    guard: float | None
    anchor: float | None
    accuracy: float | None
    chosen: float | None
    rejected: float | None
    margin: float | None
    chosen_change: float | None
    shift: float | None
    entropy: float | None
    grad_norm: float
    behaviour_grad_norm: float
    replay_grad_norm: float
    clipped: bool
    learning_rate: float
    update_norm: float
    drift: float
    packing: float
    seconds: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class ReplayShare:
    """What part of a training was general replay.

    ``rows`` of its examples, each counted once, which is what night.replay_share asks for; ``tokens`` of the scored
    tokens of all steps, in which the anchor meets its rows again and again; ``grad_norm`` of the sums of both parts'
    gradient norms.
    """

    rows: float
    tokens: float
    grad_norm: float


@dataclass(frozen=True, slots=True)
class StepReport:
    """How the training went. Log-probs are nats per token, packing is the filled share of the forward passes.

    ``ranks`` and ``gains`` are the distinct ranks and factors on B·A that LoRA's layers really have, none with full
    weights; ``suggested_rank`` is what the number of examples asks for. ``replayed`` are the general rows that a step
    has used, ``held`` bystanders' pairs, several of each, ``bystanders`` how many these were and ``shift_before`` and
    ``shift_after`` by how much one of two replies had gained on the other on both sides, and ``hold_share`` how much of
    the pass that takes it back was taken; None without any. ``resumed`` are the phases that went on with carried
    moments. ``tokens_per_s`` is that of the steps.
    """

    steps: tuple[Step, ...]
    symptoms: tuple[str, ...]
    trained: tuple[str, ...]
    replayed: tuple[str, ...]
    held: tuple[str, ...]
    bystanders: int
    skips: tuple[Skip, ...]
    replay_share: ReplayShare
    trainable_parameters: int
    ranks: tuple[int, ...]
    gains: tuple[float, ...]
    suggested_rank: int
    resumed: tuple[str, ...]
    packing: float
    pack_tokens: int
    dpo_start_loss: float
    chosen_before: float
    chosen_after: float
    margin_before: float
    margin_after: float
    shift_before: float | None
    shift_after: float | None
    hold_share: float | None
    update_norm: float
    seconds: float
    tokens_per_s: float
    peak_memory_mb: int


# --- gate ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Evidence:
    """One item's numbers for each policy.

    ``channel`` says what was asked of it, ``cluster`` is what is resampled together: a document or a template.
    """

    channel: str
    item: str
    cluster: str
    base: float
    incumbent: float
    candidate: float


@dataclass(frozen=True, slots=True)
class Change:
    """A difference with its interval, in the good direction (positive = better); at most ``margin`` may be lost."""

    change: float
    low: float
    high: float
    margin: float

    @staticmethod
    def known(change: float, margin: float) -> Change:
        """One that is not estimated, whose interval is a point."""
        return Change(change, change, change, margin)

    @property
    def holds(self) -> bool:
        """The whole interval lies within the margin."""
        return self.low >= -self.margin

    @property
    def worse(self) -> bool:
        """The whole interval lies beyond the margin."""
        return self.high < -self.margin


@dataclass(frozen=True, slots=True)
class Measure:
    """A number for base, incumbent and candidate, and what the candidate changes against each of the others.

    ``tonight`` is against the incumbent, ``since_base`` what all nights together have changed. A ``census`` asks all
    items there are, so its change is known and not estimated, and its interval is a point. What is ``informative``
    is for people to read; it neither keeps nor reverts.
    """

    name: str
    unit: str
    base: float
    incumbent: float
    candidate: float
    tonight: Change
    since_base: Change
    items: int
    clusters: int
    census: bool = False
    informative: bool = False

    @property
    def holds(self) -> bool:
        """Tonight's change and that since the base lie within their margins."""
        return self.tonight.holds and self.since_base.holds


@dataclass(frozen=True, slots=True)
class Verdict:
    """Keep, revert, or inconclusive (which also reverts), with reasons a person can act on."""

    outcome: Outcome
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One judgement of tonight's candidate. ``scale`` is the share of the step it was judged with, 1 at first."""

    attempt: int
    scale: float
    suite: str
    measures: tuple[Measure, ...]
    evidence: tuple[Evidence, ...]
    verdict: Verdict


# --- adapt ---------------------------------------------------------------------------------


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


# --- keep ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Generation:
    """One immutable adapter on disk."""

    number: int
    path: str
    digest: str
    base_digest: str


Scores = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Witness:
    """One reply of tonight's training and how likely each of three policies finds it.

    ``base``, ``incumbent`` and ``candidate`` are nats per token, one number for each of ``tokens``.
    """

    context: tuple[int, ...]
    tokens: tuple[int, ...]
    base: Scores
    incumbent: Scores
    candidate: Scores


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What a generation must score like wherever it is served, and a prompt long enough to show NaNs."""

    rows: tuple[Witness, ...]
    long_prompt: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ServedScores:
    """What a server said of the witnesses: the base before and after, and the adapter's name between."""

    base_before: tuple[Scores, ...]
    adapter: tuple[Scores, ...]
    base_after: tuple[Scores, ...]
    long_prompt: Scores


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a server serves the candidate, with what that was read from.

    ``share`` is the part of tonight's change that the served scores show, 1 for the candidate and 0 for
    the incumbent, ``share_of_all`` the same for the whole change since the base; each with a standard
    error. ``base_off`` is how far the served base is from the base that was trained on and
    ``base_leak`` the part of the adapter's change that reached the base: nats per token and a share.
    """

    passed: bool
    reason: str
    share: float
    share_error: float
    share_of_all: float
    share_of_all_error: float
    base_off: float
    base_leak: float
