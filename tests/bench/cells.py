"""The recipes whose step is compared: doses, learning rates, and the recipe without one of its parts each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dreamloop.config import Config
from dreamloop.course.state import rate_of

KINDS = ("notes", "lists")  # what the plan begins with on the bundled model
RISEN = Config().adapt.larger[-1]  # pairs, at the factor on the learning rates that the plan gives them: what the
RATE = rate_of(len(Config().adapt.larger), Config().adapt)  # parts are worth shows only where something is learned


@dataclass(frozen=True)
class Cell:
    """One recipe: so many pairs, at a factor on the learning rates, with other knobs or another way of training."""

    name: str
    pairs: int = RISEN
    rate: float = RATE
    knobs: dict[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = KINDS
    way: str = ""


CELLS = (  # a run goes from the top: doses and rates, then the parts, then other ways
    *(Cell(f"{n} pairs", n) for n in (10, 20, 50, 100, RISEN)),
    *(Cell(f"{RISEN} pairs, rate x {rate:g}", rate=rate) for rate in (0.1, 0.3, 1.0, 2.0, 10.0)),
    Cell("no replay and no anchor", knobs={"anchor_weight": 0.0}),
    Cell("no push-back scenarios", way="right sides only"),
    Cell("SFT only", way="SFT only"),
    Cell("SFT, then DPO", way="SFT, then DPO"),
    Cell("SFT, then DPO without its anchor", way="SFT, then DPO", knobs={"anchor_weight": 0.0}),
    Cell("rank 4", knobs={"r": 4}),
    Cell("rank 32", knobs={"r": 32}),
    Cell("one kind", kinds=KINDS[:1]),
    Cell("twins apart", way="twins apart"),
    Cell("no bystanders", way="nothing held"),
    Cell("no hold on chosen replies", knobs={"dpop_lambda": 0.0}),
    *(Cell(f"{RISEN} pairs, {n} a step", knobs={"dpo_batch": n}) for n in (4, 8)),
    Cell(f"{RISEN} pairs, 8 a step, rate x 10", rate=10.0, knobs={"dpo_batch": 8}),
    Cell("anchor weight 3", knobs={"anchor_weight": 3.0}),
    Cell("rate falls from the beginning", knobs={"decay_ratio": 0.9}),
    Cell("sigmoid loss", knobs={"loss_type": "sigmoid"}),
    Cell("attention alone", knobs={"target_modules": ("q_proj", "k_proj", "v_proj", "o_proj")}),
    Cell("all kinds", kinds=Config().night.kinds),
    Cell("twins judged pair by pair", knobs={"pairwise_share": 1.0}),
)
