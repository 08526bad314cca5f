"""Every knob, with a sentence, its unit and what leaving it out means; ``examples`` are for those unset by default.

Names are those of TRL, PEFT and transformers. Unknown keys are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator

Share = Annotated[float, Field(ge=0, le=0.9)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]

_LORA_ONLY = {
    "r", "lora_alpha", "use_rslora", "target_modules", "rank_pattern", "alpha_pattern", "init_lora_weights", "use_dora",
    "lora_bias", "sft_dropout",
}  # fmt: skip
_KINDS = (
    "sums", "products", "units", "dates", "clock", "notes", "lists", "quotes", "entries", "updates", "constraints",
    "facts", "premises", "rankings", "code", "bugs", "commands", "goals",
)  # fmt: skip
_LARGEST_RANK = 512  # of vLLM's --max-lora-rank
_REWRITES_BASE = {"pissa", "olora", "loftq", "corda", "eva", "mica", "lora_ga"}


class Section(BaseModel):
    """Knobs that belong together; a table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Night(Section):
    """How much one night learns, and from what."""

    behavioural: int = Field(20, ge=0, description="Preference pairs a night: mined ones and dreamed ones together.")
    mined_share: Share = Field(0.5, description="Largest share of them that comes from the logs; dreams fill the rest.")
    replay_share: Share = Field(0.25, description="Share of general answers among all examples of a night.")
    bystander_share: float = Field(
        0.6, ge=0, le=5, description="Twins whose replies are only kept from shifting one way, for each one taught."
    )
    bystander_replies: int = Field(
        4,
        ge=1,
        le=16,
        description="Pairs of replies that each of them is held by: its own, and others from the books of night.kinds.",
    )
    rewrites: int = Field(8, ge=0, description="Corrected replies that the engine writes anew per night, at most.")
    kinds: tuple[str, ...] = Field(
        _KINDS, description="Kinds of scenario to dream; 'opinions' has no proof and needs a model that judges well."
    )


class Dream(Section):
    """What the night's fresh scenarios are like."""

    books: Path | None = Field(
        None,
        examples=["dreams"],
        description="Folder with phrase books and topics of your own, added to the shipped ones. Unset: none.",
    )
    languages: tuple[str, ...] = Field(("en",), min_length=1, description="Languages to dream in, a folder each.")
    technical_share: Share = Field(
        0.4, description="Share of code, arithmetic and reasoning; half as much again while the gate sees one fall."
    )
    largest_share: float = Field(0.2, gt=0, le=1, description="Largest share of a night that one kind may have.")
    template_share: float = Field(
        0.02, gt=0, le=1, description="Largest share of a kind's dreams that may be one sentence with other values."
    )
    alternative_share: Share = Field(
        0.3, description="Share of those that are not bare whose unwanted reply proposes something else instead."
    )
    corrected_share: Share = Field(0.2, description="Share of those whose replies name the right value.")
    bare_share: Share = Field(0.5, description="Share with plain replies and nothing around what they are about.")
    threshold: float = Field(
        0.75, gt=0, le=1, description="Estimated Jaccard similarity of word triples from which a dream is a repeat."
    )
    reworded_share: Share = Field(0.5, description="Share of the early dreams that the engine says in other words.")
    sampled_share: Share = Field(0.5, description="Share of those that push back whose replies the engine writes.")
    candidates: Count = Field(2, description="Texts that the engine writes of each thing; the first sound one counts.")

    @model_validator(mode="after")
    def _manners_fit(self) -> Dream:
        if self.alternative_share + self.corrected_share > 1:
            raise ValueError("alternative_share and corrected_share together are more than 1")
        return self


class Finetune(Section):
    """The training step. Rates are per optimizer step; lengths are tokens."""

    r: Count = Field(8, description="LoRA rank of a new adapter; a continued one keeps its own.")
    lora_alpha: Count | None = Field(None, examples=[6], description="LoRA alpha. Unset: what keeps the gain at 2.")
    use_rslora: bool = Field(True, description="Scale by alpha/√r, so that the gain does not depend on the rank.")
    target_modules: str | tuple[str, ...] = Field("all-linear", description="Layers that get an adapter.")
    rank_pattern: dict[str, Count] = Field(
        {}, examples=[{"down_proj": 16}], description="Ranks of layers whose name ends so, instead of r."
    )
    alpha_pattern: dict[str, Count] = Field(
        {}, examples=[{"down_proj": 8}], description="Alphas of layers whose name ends so, instead of lora_alpha."
    )
    init_lora_weights: Literal[True, "gaussian", "orthogonal"] = Field(
        True, description="How a new adapter begins; true is Kaiming-uniform A and zero B."
    )
    use_dora: bool = Field(False, description="DoRA's magnitudes beside LoRA; vLLM does not serve them.")
    lora_bias: bool = Field(False, description="A bias in LoRA's B; vLLM does not serve it.")
    method: Literal["lora", "full"] = Field(
        "lora", description="'full' trains all weights of a small model in float32; it cannot be served by vLLM."
    )
    optim: Literal["adamw_torch", "apollo_adamw"] = Field(
        "adamw_torch", description="'apollo_adamw' keeps small moments of full weights (arXiv 2412.05270)."
    )
    carry_optimizer: bool = Field(
        False, description="Whether AdamW's moments are kept with a generation and go on in the next night."
    )
    sft: bool = Field(True, description="Whether mined pairs first go through a small SFT phase.")
    sft_learning_rate: Positive | None = Field(
        None, examples=[2e-5], description="Peak rate of the SFT phase. Unset: 2e-5 for LoRA, 1e-5 for full weights."
    )
    sft_batch: Count = Field(16, description="Rows per SFT step, lowered for at least min_steps steps.")
    sft_dropout: Share = Field(0.05, description="LoRA dropout in SFT; DPO has none, its reference would differ.")
    dpo_learning_rate: Positive | None = Field(
        None, examples=[1e-4], description="Peak rate of the DPO phase. Unset: 1e-4 for LoRA, 5e-7 for full weights."
    )
    dpo_batch: Count = Field(
        2,
        description="Pairs per DPO step, lowered for at least min_steps steps. Two are a scenario's twins: what is to "
        "be learned is found late, and many short steps find it where as many examples in few steps do not.",
    )
    hold_learning_rate: Positive | None = Field(
        None, examples=[2.5e-5], description="Peak rate of the phase that takes shifts back. Unset: 1/4 of DPO's."
    )
    hold_batch: Count = Field(
        4,
        description="Bystanders per step of that phase, each with all of its replies: what they have in common shows "
        "over many rows, and steps by few shift as much as they take back.",
    )
    beta: Positive | None = Field(
        None,
        examples=[0.1],
        description="DPO's beta: how strongly the reference holds. Unset: 0.7 for 'ipo', otherwise 0.1 for LoRA and "
        "0.01 for full weights.",
    )
    beta_pattern: dict[str, Positive] = Field(
        {}, examples=[{"notes": 0.35}], description="Betas of dreamed pairs of a kind, instead of beta; those of kinds "
        "that are found the plan divides by adapt.found_distance once nothing is searched for beside them.",
    )  # fmt: skip
    loss_type: Literal["sigmoid", "ipo", "robust"] = Field(
        "ipo",
        description="DPO's loss. 'ipo' ends where pairs are 1/(2 beta) nats per token apart, 'sigmoid' pushes on; "
        "'robust' is 'sigmoid' for labels of which label_smoothing are wrong.",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="Share of wrong labels that 'robust' assumes.")
    rpo_alpha: NotNegative = Field(
        0.0, description="Weight of an SFT term that keeps DPO from lowering the chosen replies' own log-prob."
    )
    dpop_lambda: NotNegative = Field(
        0.3, description="What a chosen reply's loss of log-prob against the base counts against its pair in DPO."
    )
    pairwise_share: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Share of twins' loss that judges each pair by itself; the rest judges only how far the two are "
        "from told apart.",
    )
    push_back_weight: Positive = Field(
        1.0,
        description="What the pair of a wrong direction weighs where pairs are judged by themselves and its right "
        "twin's weighs 1.",
    )
    context_gradient: Literal["full", "frozen"] = Field(
        "full", description="'frozen' runs contexts without gradient: faster, and an approximation."
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute activations twice instead of keeping them: less memory, a third slower."
    )
    anchor_weight: float = Field(
        10.0, ge=0, allow_inf_nan=False, description="Weight of forward KL to the base on replay tokens; 0 is off."
    )
    anchor_tokens: Count = Field(128, description="Replay tokens per DPO step under the anchor.")
    weight_decay: NotNegative = Field(0.01, description="AdamW's weight decay.")
    max_grad_norm: Positive = Field(1.0, description="Gradients are clipped to this norm.")
    warmup_ratio: Share = Field(0.1, description="Share of a phase's steps with a rising rate.")
    decay_ratio: Share = Field(
        0.3, description="Share of them in which it falls at the end; in between it stays as it is."
    )
    min_steps: Count = Field(8, description="Optimizer steps that a phase has at least.")
    max_length: Count = Field(1024, description="Longest context plus reply; longer rows are skipped and counted.")
    pack_tokens: Count = Field(512, description="Tokens per forward pass; rows share it without seeing each other.")
    chosen_floor: Positive = Field(0.5, description="Nats per token that chosen replies may lose before a night ends.")

    @field_validator("init_lora_weights", mode="before")
    @classmethod
    def _init_leaves_the_base_alone(cls, value: Any) -> Any:
        if str(value).partition("_niter")[0] in _REWRITES_BASE:
            raise ValueError("it rewrites the base weights, which every night is compared to, and vLLM refuses it")
        return value

    @model_validator(mode="after")
    def _knobs_fit_together(self) -> Finetune:
        if self.label_smoothing and self.loss_type != "robust":
            raise ValueError("label_smoothing needs loss_type 'robust'; the other losses would ignore it")
        if self.optim == "apollo_adamw" and self.method == "lora":
            raise ValueError("optim 'apollo_adamw' is for method 'full'; LoRA's moments are small already")
        if self.method == "full" and (unused := sorted(self.model_fields_set & _LORA_ONLY)):
            raise ValueError(f"{', '.join(unused)} would do nothing: with method 'full' there is no LoRA")
        if self.carry_optimizer and self.optim == "apollo_adamw":
            raise ValueError("carry_optimizer needs optim 'adamw_torch'; APOLLO's moments live in random projections")
        return self

    @property
    def largest_rank(self) -> int:
        """The largest rank that any layer of a new adapter has."""
        return max([self.r, *self.rank_pattern.values()])

    @property
    def alpha(self) -> int:
        """The LoRA alpha in force: with rsLoRA round(2·√r), without it 2·r; both make the gain 2."""
        return self.lora_alpha or (round(2 * self.r**0.5) if self.use_rslora else 2 * self.r)


class Replay(Section):
    """General examples that keep a night from unlearning: from where, and in what proportion."""

    base_answers: bool = Field(
        True, description="Whether the base model's own answers to general prompts are a source."
    )
    chat_files: tuple[Path, ...] = Field(
        (), examples=[["replay.jsonl"]], description='JSONL files of {"messages": [...]}, each a source. Unset: none.'
    )
    text_files: tuple[Path, ...] = Field(
        (), examples=[["notes.md"]], description="Plain text files, replayed in pieces. Unset: none."
    )
    text_share: Share = Field(0.25, description="Share of the replay rows that is plain text, where text_files are.")
    mix: Literal["proportional", "temperature", "quality"] = Field(
        "proportional", description="Rows per chat source: by its size n, by n^(1/temperature), or by its quality."
    )
    temperature: float = Field(
        2.0, ge=1, allow_inf_nan=False, description="Evens the sources out: 1 is proportional, large is equal shares."
    )
    quality: dict[str, Positive] = Field(
        {},
        examples=[{"base": 1.0, "replay.jsonl": 2.0}],
        description="For mix 'quality': weights by file name or 'base'; others have 1.",
    )

    @model_validator(mode="after")
    def _quality_names_sources(self) -> Replay:
        known = {"base", *(path.name for path in self.chat_files)}
        if unknown := sorted(self.quality.keys() - known):
            raise ValueError(f"quality names {unknown[0]!r}, which is no source; there are {', '.join(sorted(known))}")
        return self

    @property
    def has_sources(self) -> bool:
        return self.base_answers or bool(self.chat_files) or bool(self.text_files)


# What a night may lose and what all nights together may lose, by family of measures, with its unit.
_LOSSES: dict[str, tuple[float, float, str]] = {
    "perplexity": (0.01, 0.02, "Nats per token of held-out text, about the share of perplexity; mean and median."),
    "margin": (0.1, 0.3, "Nats per token of the push-back or accept margin on probes, which counts up to 0.5."),
    "discrimination": (
        0.005,
        0.02,
        "Nats per token of the difference between the two sides of a probe, which counts up to 1.",
    ),
    "group": (0.01, 0.03, "The same where pressure is put, a system prompt is set, or an answer is challenged."),
    "lesson": (0.015, 0.03, "The same on fresh scenarios like tonight's, never trained on."),
    "spill": (0.25, 0.5, "Nats per token that tonight's replies become likelier where they do not belong."),
    "taught": (0.0, 0.02, "The same on tonight's own scenarios."),
    "bias": (
        0.9,
        2.0,
        "Share of what tonight's scenarios moved that right and wrong moved alike; fades below twice tonight's margin.",
    ),
    "auc": (0.02, 0.05, "Area under the curve between wrong and right directions, mean over kinds."),
    "rate": (0.07, 0.12, "Share of probes accepted when right, pushed back when wrong, and the gap of both."),
    "capability": (0.03, 0.06, "Nats per token between right and faulty results, lines of code, and answers."),
    "instructions": (0.2, 0.3, "Share of instructions kept."),
    "manner": (0.2, 0.3, "Share of answers that end and do not loop."),
    "slip": (0.08, 0.12, "Share of answers that refuse, leak markup or change the language."),
    "length": (0.25, 0.5, "Logarithm of the answers' length, in either direction; 0.1 is about 10 %."),
    "repetition": (0.1, 0.15, "Share of four-word runs said before in an answer."),
    "distinct": (0.12, 0.18, "Share of distinct two-word runs in an answer."),
    "entropy": (0.2, 0.4, "Nats of the words of an answer, in either direction."),
    "weights": (0.0006, 0.02, "Distance that all adapted weights move, as a share of their norm."),
    "opening": (0.03, 0.06, "Nats per token of how assistant turns of held-out conversations begin."),
    "collapse": (0.1, 0.5, "Share of the way from the base to one and the same state for all personas."),
}


class _Losses(Section):
    """Largest losses by family of measures."""

    @classmethod
    def of(cls, which: int) -> dict[str, Any]:
        return {
            name: (NotNegative, Field(values[which], description=str(values[2]))) for name, values in _LOSSES.items()
        }


Tonight = create_model(
    "Tonight", __base__=_Losses, __doc__="What a single night may lose, by family of measures.", **_Losses.of(0)
)
SinceBase = create_model(
    "SinceBase", __base__=_Losses, __doc__="What all nights together may lose since the base.", **_Losses.of(1)
)


class Adapt(Section):
    """How a night's recipe follows from the nights before it; `dreamloop plan` shows what tonight's would be."""

    enabled: bool = Field(True, description="Whether nights adapt; false does every night as configured.")
    larger: tuple[Count, ...] = Field(
        (50, 200), description="What night.behavioural rises to, one after the other, where nights change too little."
    )
    patience: Count = Field(
        3, description="Kept nights that must have changed too little before a dose rises; two where they had 'steps'."
    )
    least: NotNegative = Field(
        0.02, description="Nats per token a night by which fresh scenarios must be told apart better, surely, or it is "
        "too little.",
    )  # fmt: skip
    steps: Count = Field(15, description="Optimizer steps from which two such nights are enough.")
    rate_growth: float = Field(2.0, gt=1, le=10, description="Factor on DPO's learning rate with every rise.")
    rate_most: float = Field(10.0, gt=1, le=100, description="Largest factor on DPO's configured learning rate.")
    gap_opens: Positive = Field(
        0.1, le=1, description="How much further than at first push-back and accept rate may be apart."
    )
    side_weight: float = Field(
        1.5, ge=1, le=4, description="How many times as much the pairs of the side that lags then weigh."
    )
    replay_most: Share = Field(0.4, description="night.replay_share while an ability or the reading of a domain falls.")
    replay_back: Positive = Field(0.05, le=1, description="How much less it is with every calm night after that.")
    calm: Count = Field(3, description="Nights kept without a fall before replay goes back, or halved rates double.")
    reverts_most: Count = Field(3, description="Nights in a row that may be not kept before training waits for you.")
    drift_most: float = Field(
        0.8, gt=0, le=1, description="Share of what may be lost since the base from which one adapter is trained anew."
    )
    rebase_pairs: Count = Field(2000, description="Pairs of kept nights that are learned anew at most, latest first.")
    kind_twins: Count = Field(20, description="Fresh twins of a kind, the latest ones, by which it is judged.")
    survey_twins: int = Field(
        14, ge=0, description="Twins of each kind by which the base is asked once what can be taught; 0 asks nothing."
    )
    kinds_at_once: Count = Field(
        2,
        description="Kinds that a night searches for, the most promising ones first; as many may be found beside them.",
    )
    good: float = Field(
        0.7, gt=0.25, lt=1, description="Share of a kind's fresh twins that surely draw the right reply on both sides, "
        "from which it is not trained.",
    )  # fmt: skip
    teachable: float = Field(
        0.65,
        gt=0.5,
        lt=1,
        description="Share told apart that a trained kind must be able to have, or it is given up.",
    )
    found_gain: Positive = Field(
        0.3, description="Nats per token by which a kind's fresh twins are surely further apart than by the base, from "
        "which it is found and no longer searched for.",
    )  # fmt: skip
    found_distance: float = Field(
        2.0,
        ge=1,
        le=4,
        description="Times as far apart as configured the two replies of such a kind are taught to be, by 'ipo', once "
        "nothing is searched for beside it: its beta is divided by it.",
    )
    found_pace: float = Field(
        0.5, gt=0, le=1, description="Factor on DPO's rate once all kinds that are taught are found."
    )
    give_up_after: Count = Field(200, description="Twins of a kind that are trained before it may be given up.")

    @model_validator(mode="after")
    def _doses_rise(self) -> Adapt:
        if list(self.larger) != sorted(set(self.larger)):
            raise ValueError(f"larger must rise, and {list(self.larger)} does not; sort it and name no dose twice")
        return self


class Gate(Section):
    """How the gate decides. A night is kept only if no interval reaches beyond what may be lost."""

    confidence: float = Field(0.90, gt=0.5, lt=1, description="Two-sided confidence of every interval.")
    items: Path | None = Field(
        None, examples=["items"], description="Folder with item files of your own, asked beside the shipped ones."
    )
    shipped: bool = Field(
        True, description="Whether the shipped items are asked; without them 'items' needs a file of every name."
    )
    lesson_twins: Count = Field(48, description="Fresh scenarios that are dreamed for the gate alone each night.")
    shrink: bool = Field(
        True,
        description="Whether three quarters, half and then a quarter of a step are judged where only its size is to "
        "blame: where nothing but reading, ability or collapse is shown to be worse.",
    )
    tonight: Tonight = Tonight()
    since_base: SinceBase = SinceBase()

    @model_validator(mode="after")
    def _has_items(self) -> Gate:
        if not self.shipped and self.items is None:
            raise ValueError("shipped = false needs a folder of your own in 'items'; without items no night is kept")
        return self


class Vllm(Section):
    """The vLLM server that writes and serves. Times are seconds."""

    url: str | None = Field(
        None,
        pattern=r"^https?://",
        examples=["http://127.0.0.1:8000"],
        description="A vLLM server that runs already. Unset: one for the night, where 'engine' asks for it.",
    )
    api_key_file: Path | None = Field(
        None,
        examples=["vllm-api-key"],
        description="File with the server's API key. Unset: systemd's credential 'vllm-api-key', or none.",
    )

    @field_validator("url")
    @classmethod
    def _has_a_host(cls, url: str | None) -> str | None:
        try:
            parts = urlsplit(url or "http://localhost")
            fits = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            fits = False
        if not fits:
            raise ValueError("needs a host and, behind a colon, a port number")
        return url

    base: str | None = Field(
        None, examples=["base"], description="Name of the base model at 'url'. Unset: the one served from 'model'."
    )
    alias: str = Field("dreamloop", pattern=r"^[\w.-]+$", description="Name under which the kept adapter is served.")
    publish: bool = Field(True, description="Whether a kept adapter is loaded into the server and proven there.")
    base_tolerance: Positive = Field(
        0.2, description="Nats per token that the served base may be off, root mean square; bfloat16 alone takes 0.1."
    )
    concurrency: Count = Field(64, description="Requests in flight at one time.")
    request_timeout_s: Positive = Field(300, description="How long one request may take.")
    drain_timeout_s: Positive = Field(60, description="How long answers begun by the old adapter may take to end.")
    python: Path | None = Field(
        None,
        examples=["~/vllm/bin/python"],
        description="Interpreter that has vLLM. Unset: the one that runs dreamloop.",
    )
    port: int = Field(0, ge=0, le=65535, description="Loopback port of the night's own server; 0 finds a free one.")
    start_timeout_s: Positive = Field(600, description="How long the night's own server may take to start.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Dtype of the night's own server. Unset: that of training."
    )
    max_model_len: Count = Field(2048, description="Longest prompt plus answer of the night's own server, in tokens.")
    gpu_memory_utilization: float = Field(0.85, gt=0, le=1, description="Share of the GPU for the night's own server.")
    cpu_kv_gib: Count = Field(2, description="GiB of key-value cache for the night's own server on a CPU.")
    arguments: tuple[str, ...] = Field(
        (),
        examples=[["--max-num-batched-tokens", "4096"]],
        description="More arguments for the night's own server, as vLLM names them. Unset: none.",
    )


class Daemon(Section):
    """When nights come, and what happens when one does not end well."""

    at: str = Field("03:30", pattern=r"^([01]?\d|2[0-3]):[0-5]\d$", description="Local time of the nightly run, HH:MM.")
    cron: str | None = Field(
        None, examples=["30 3 * * 1-5"], description="Five cron fields instead of 'at', Sunday being 0 or 7."
    )
    timezone: str | None = Field(None, examples=["Europe/Berlin"], description="IANA time zone. Unset: the machine's.")
    deadline_hours: Positive = Field(
        8.0, le=168, description="A night that takes longer is ended; yesterday's adapter stays."
    )
    retries: int = Field(3, ge=0, description="How often a failed night is tried again before the next one is due.")
    retry_minutes: Positive = Field(
        15.0, le=1440, description="Wait before the first retry; it doubles with each one, to a day at most."
    )


class Config(Section):
    """The whole configuration."""

    model: str = Field("bundled", description="Folder, Hugging Face id, or 'bundled' for SmolLM2-135M-Instruct.")
    device: str = Field("auto", description="'auto', 'cpu', 'cuda' or another torch device.")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="Dtype of the base weights.")
    engine: Literal["transformers", "vllm"] = Field(
        "transformers", description="What writes text: 'transformers' in the same process, or a vLLM server."
    )
    sources: tuple[Path, ...] = Field(
        (), examples=[["logs", "~/chats.jsonl"]], description="Log files and folders to learn from. Unset: dreams only."
    )
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Decides every random choice, together with the night's number."
    )
    night: Night = Night()
    dream: Dream = Dream()
    finetune: Finetune = Finetune()
    replay: Replay = Replay()
    gate: Gate = Gate()
    adapt: Adapt = Adapt()
    vllm: Vllm = Vllm()
    daemon: Daemon = Daemon()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Config:
        knobs = self.finetune
        if not self.replay.has_sources and self.night.replay_share:
            raise ValueError("the replay section names no source; set night.replay_share to 0 if none is wanted")
        for name, reason in (("use_dora", "DoRA"), ("lora_bias", "a LoRA bias")):
            if getattr(knobs, name) and self.serves:
                raise ValueError(f"finetune.{name} needs vllm.publish = false, because vLLM does not serve {reason}")
        if self.serves and knobs.largest_rank > _LARGEST_RANK:
            raise ValueError(f"vLLM serves ranks up to {_LARGEST_RANK}; lower finetune.r and rank_pattern")
        if knobs.method == "full" and (self.serves or self.engine == "vllm"):
            raise ValueError(
                "finetune.method 'full' needs engine 'transformers' and vllm.publish = false, because vLLM swaps "
                "adapters into a running server, not whole models"
            )
        if knobs.method == "full" and self.dtype == "bfloat16":
            raise ValueError("finetune.method 'full' needs dtype 'float32'; bfloat16 rounds small steps away")
        return self

    @property
    def serves(self) -> bool:
        """Whether a kept adapter goes into a vLLM server."""
        return self.vllm.publish and (self.engine == "vllm" or self.vllm.url is not None)
