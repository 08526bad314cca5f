"""One recipe's step from the base model, and what it changed: trained on twins, measured against the base."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from cells import KINDS, Cell
from scoring import by_kind, scored

from dreamloop import paths
from dreamloop.config import Config, Gate
from dreamloop.dream.axes import Coverage
from dreamloop.dream.books import load_shelves
from dreamloop.dream.borrowed import held_pairs
from dreamloop.dream.novelty import Novelty
from dreamloop.dream.scenarios import Dreamer, pairs_of
from dreamloop.finetune.phases import sft_phase
from dreamloop.finetune.recipe import batch_size, recipe_of, replay_count
from dreamloop.finetune.replay import chat_rows
from dreamloop.finetune.rows import chosen_only, encode_pairs, encode_replay
from dreamloop.finetune.step import Trainer
from dreamloop.finetune.train import train
from dreamloop.gate.bias import taught_bias
from dreamloop.gate.gauges import Items, gauges_of_the_night
from dreamloop.gate.leaks import GateTexts
from dreamloop.gate.measures import Margins, Trio, compare
from dreamloop.gate.probes import probes_of, score_probes
from dreamloop.gate.reading import load_suite
from dreamloop.gate.scores import Scored
from dreamloop.gate.suite import Probe
from dreamloop.gate.verdict import decide
from dreamloop.log import Silent
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Adapter, Policy
from dreamloop.model.wake import new_adapter
from dreamloop.paths import Home, default_home
from dreamloop.records import Pair, Recipe, Twins

FRESH = 64  # twins that nothing trains on
SHOWN = 32  # twins of those that were trained on, by which the gate tells a bias
BARE = Config().dream.model_copy(update={"bare_share": 1.0})  # how the plan dreams until a kind is found
PACK = 2048
ONE_SIDE = "right sides only"
TOLD = (
    "probes.auc", "probes.discrimination", "probes.push_back_rate", "probes.accept_rate", "probes.gap",
    "perplexity.prose", "perplexity.code", "perplexity.chat", "perplexity.technical", "capability.arithmetic",
    "capability.code", "capability.coherence", "geometry.collapse", "lessons.discrimination", "lessons.push_back",
    "lessons.accept",
)  # fmt: skip


def dreamed(count: int, kinds: Sequence[str], seed: int, held_out: GateTexts, novelty: Novelty) -> list[Twins]:
    """Fresh twins by grammar alone, far from every gate item."""
    shelves = load_shelves([paths.prompts_folder() / "dream"], ["en"], kinds)
    return list(Dreamer(shelves, BARE, novelty, Coverage(), held_out).dream(count, seed).twins)


def prepared(pairs: Sequence[Pair], way: str, seed: int) -> list[Pair]:
    """The pairs as a cell wants them."""
    if way == ONE_SIDE:
        return [pair for pair in pairs if pair.provenance.signal == "right"]
    if way == "twins apart":  # the same pairs in any order, each a unit of its own
        apart = [replace(pair, twin=f"{k}") for k, pair in enumerate(pairs)]
        random.Random(seed).shuffle(apart)
        return apart
    return list(pairs)


def teach(
    policy: Policy, encoder: ChatEncoder, pairs: Sequence[Pair], bystanders: Sequence[Pair], pool: Path, recipe: Recipe,
    way: str,
) -> None:  # fmt: skip
    """One night's step."""
    replay = chat_rows(pool)[0][: replay_count(len(pairs), Config().night.replay_share)]
    if way.startswith("SFT"):
        rows, _ = encode_pairs(encoder, pairs, recipe.max_length)
        general, _ = encode_replay(encoder, replay, recipe.max_length)
        policy.use("candidate")
        trainer = Trainer(policy, recipe, Silent())
        sft_phase(trainer, [chosen_only(row) for row in rows.values()], [list(general.values())])
    if way != "SFT only":
        train(policy, encoder, pairs, replay, recipe, Silent(), bystanders=bystanders)


def shift_of(probes: Sequence[Probe], scores: Any, base: Any) -> dict[str, float]:
    """By how many nats per token pushing back became likelier, on both sides, within each kind."""
    return {
        kind: round(fmean(scores[probe.item] - base[probe.item] for probe in probes if probe.kind == kind), 4)
        for kind in sorted({probe.kind for probe in probes})
    }


def run(cell: Cell, seed: int, known: Path, pool: Path, dtype: str) -> dict[str, Any]:
    """Train one cell and measure it against the base.

    Args:
        known: where the base's scores of this seed are, or go. pool: general rows. dtype: of all weights.
    """
    started = time.monotonic()
    suite = load_suite()
    held_out, novelty = GateTexts(suite.texts()), Novelty()
    config = Config()
    fresh = dreamed(FRESH, KINDS, 10_000 + seed, held_out, novelty)  # first, and then never again
    wanted = cell.pairs if cell.way == ONE_SIDE else cell.pairs // 2  # as many pairs, of which each is half a twin
    twins = dreamed(wanted, cell.kinds, seed, held_out, novelty)
    untaught = [kind for kind in config.night.kinds if kind not in cell.kinds] or config.night.kinds
    held = math.ceil(cell.pairs // 2 * (0.0 if cell.way == "nothing held" else config.night.bystander_share))
    aside, rng = dreamed(held, untaught, 20_000 + seed, held_out, novelty), random.Random(20_000 + seed)
    shelves = load_shelves([paths.prompts_folder() / "dream"], ["en"], config.night.kinds)
    bystanders = held_pairs(aside, shelves, config.night.bystander_replies, held_out, rng)
    items = Items(suite, tuple(probes_of(fresh)), tuple(probes_of(twins[:SHOWN])))
    folder = str(ensure_bundled(Home(default_home()).models, Silent()))
    policy = load_policy(folder, dtype=dtype, pack_tokens=PACK)
    encoder = ChatEncoder(policy.tokenizer)
    config = config.model_copy(update={"finetune": config.finetune.model_copy(update=cell.knobs)})
    policy.add_adapter("candidate", new_adapter(config), seed)
    recipe = recipe_of(config.finetune, seed)
    recipe = replace(
        recipe, sft_learning_rate=recipe.sft_learning_rate * cell.rate, pack_tokens=PACK,
        dpo_learning_rate=recipe.dpo_learning_rate * cell.rate,
        hold_learning_rate=recipe.hold_learning_rate * cell.rate,
    )  # fmt: skip
    pairs = prepared([pair for one in twins for pair in pairs_of(one)], cell.way, seed)
    teach(policy, encoder, pairs, bystanders, pool, recipe, cell.way)
    taught = time.monotonic() - started
    base = known_base(policy, encoder, items, known).joined(shown(policy, encoder, items, None))
    own = scored(policy, encoder, items, "candidate").joined(shown(policy, encoder, items, "candidate"))
    gate = Gate()
    margins = Margins(gate.tonight.model_dump(), gate.since_base.model_dump(), gate.confidence)
    trio = Trio(base, base, own)
    every = [*compare(gauges_of_the_night(items), trio, margins), *taught_bias(items.taught, trio, margins)]
    measures, verdict = {m.name: m for m in every}, decide(every, list(TOLD))
    single = [probe for probe in suite.probes if probe.manner != "challenged"]
    return {
        "cell": cell.name, "seed": seed, "pairs": len(pairs), "rate": cell.rate,
        "batch": batch_size(len(pairs), recipe.dpo_batch, recipe.min_steps),
        "seconds": round(taught, 1), "dtype": dtype,
        "measures": {name: rounded(measures[name]) for name in TOLD},
        "verdict": verdict.outcome, "reasons": [] if verdict.outcome == "keep" else verdict.reasons,
        "auc": by_kind(single, own.channels["probes"]), "auc_base": by_kind(single, base.channels["probes"]),
        "shift": shift_of(single, own.channels["probes"], base.channels["probes"]),
        "fresh": by_kind(items.lessons, own.channels["lessons"]),
        "fresh_base": by_kind(items.lessons, base.channels["lessons"]),
    }  # fmt: skip


def shown(policy: Policy, encoder: ChatEncoder, items: Items, who: Adapter | None) -> Scored:
    """What was trained on, asked once more."""
    with policy.using(who):
        return Scored({"taught": score_probes(policy, encoder, items.taught, Silent(), who or "base")})


def known_base(policy: Policy, encoder: ChatEncoder, items: Items, path: Path) -> Scored:
    """The base's scores, measured once for each seed's fresh dreams."""
    if not path.is_file():
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(scored(policy, encoder, items, None).to_json())
        part.replace(path)
    return Scored.from_json(path.read_text())


def rounded(measure: Any) -> list[float]:
    """Base, candidate, and the change with its interval, in the good direction."""
    change = measure.since_base
    return [round(n, 5) for n in (measure.base, measure.candidate, change.change, change.low, change.high)]
