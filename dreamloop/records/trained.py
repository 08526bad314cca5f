"""What a step trains on, what decides it, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dreamloop.records.collected import Skip
from dreamloop.records.conversation import Context, digest_of, flatten


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
