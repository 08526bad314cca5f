"""How much is learned and how much is forgotten, by dose, by rate and steps, and without each part of the recipe.

Twins out of the phrase books, no two alike, are trained on in one night's step from the base model; then the gate's
probes, whose templates, facts and wordings appear in no dream and which offer both sides the same replies, say what
was learned, and its documents, choices and personas what it cost. ``fresh`` are dreams of the same books that were
not trained on. Each cell is run with every seed; a cell that was finished with this code is not run again, also on
another day: finished cells stand beside the result. What the gate would say is told without its written answers.

    python tests/bench/dose.py [--home FOLDER] [--seeds 3] [--jobs 2] [--only NAME]    runs what is not finished yet
    python tests/bench/dose.py --report                                                prints the last finished run
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from scoring import scored
from trust import pool_of

from dreamloop import paths
from dreamloop.config import Config, Gate
from dreamloop.course.state import rate_of
from dreamloop.dream.axes import Coverage
from dreamloop.dream.books import load_shelves
from dreamloop.dream.novelty import Novelty
from dreamloop.dream.scenarios import Dreamer, pairs_of
from dreamloop.finetune.phases import sft_phase
from dreamloop.finetune.recipe import recipe_of, replay_count
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
from dreamloop.gate.statistics import auc
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

RESULT = Path(__file__).parent / "results" / "dose.json"
FINISHED = RESULT.with_suffix(".jsonl")  # one cell of one seed a line
FRESH = 64  # twins that nothing trains on
SHOWN = 32  # twins of those that were trained on, by which the gate tells a bias
KINDS = ("notes", "lists")  # what the plan begins with on the bundled model
BARE = Config().dream.model_copy(update={"bare_share": 1.0})  # and how it dreams until fresh ones are told apart
RISEN = Config().adapt.larger[-1]  # pairs, at the factor on the learning rates that the plan gives them: what the
RATE = rate_of(len(Config().adapt.larger), Config().adapt)  # parts are worth shows only where something is learned
PACK = 2048
LEARNS = ("dream", "finetune", "gate", "model")  # the parts of the package that a cell runs through
TOLD = (
    "probes.auc", "probes.discrimination", "probes.push_back_rate", "probes.accept_rate", "probes.gap",
    "perplexity.prose", "perplexity.code", "perplexity.chat", "perplexity.technical", "capability.arithmetic",
    "capability.code", "capability.coherence", "geometry.collapse", "lessons.discrimination", "lessons.push_back",
    "lessons.accept",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One recipe: so many pairs, at a factor on the learning rates, with other knobs or another way of training."""

    name: str
    pairs: int = RISEN
    rate: float = RATE
    knobs: dict[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = KINDS
    way: str = ""


CELLS = (
    *(Cell(f"{n} pairs", n) for n in (10, 20, 50, 100, RISEN)),
    *(Cell(f"{RISEN} pairs, rate x {rate:g}", rate=rate) for rate in (0.1, 0.3, 1.0, 2.0, 10.0)),
    *(Cell(f"{RISEN} pairs, {n} a step", knobs={"dpo_batch": n}) for n in (4, 8)),
    Cell(f"{RISEN} pairs, 8 a step, rate x 10", rate=10.0, knobs={"dpo_batch": 8}),
    Cell("no replay and no anchor", knobs={"anchor_weight": 0.0}),
    Cell("anchor weight 3", knobs={"anchor_weight": 3.0}),
    Cell("rate falls from the beginning", knobs={"decay_ratio": 0.9}),
    Cell("no bystanders", way="nothing held"),
    Cell("no hold on chosen replies", knobs={"dpop_lambda": 0.0}),
    Cell("no push-back scenarios", way="right sides only"),
    Cell("SFT only", way="SFT only"),
    Cell("SFT, then DPO", way="SFT, then DPO"),
    Cell("sigmoid loss", knobs={"loss_type": "sigmoid"}),
    Cell("rank 4", knobs={"r": 4}),
    Cell("rank 32", knobs={"r": 32}),
    Cell("attention alone", knobs={"target_modules": ("q_proj", "k_proj", "v_proj", "o_proj")}),
    Cell("one kind", kinds=KINDS[:1]),
    Cell("all kinds", kinds=Config().night.kinds),
    Cell("twins judged pair by pair", knobs={"pairwise_share": 1.0}),
    Cell("twins apart", way="twins apart"),
)


def dreamed(count: int, kinds: Sequence[str], seed: int, held_out: GateTexts, novelty: Novelty) -> list[Twins]:
    """Fresh twins by grammar alone, far from every gate item."""
    shelves = load_shelves([paths.prompts_folder() / "dream"], ["en"], kinds)
    return list(Dreamer(shelves, BARE, novelty, Coverage(), held_out).dream(count, seed).twins)


def prepared(pairs: Sequence[Pair], way: str, seed: int) -> list[Pair]:
    """The pairs as a cell wants them."""
    if way == "right sides only":
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


def by_kind(probes: Sequence[Probe], scores: Any) -> dict[str, float]:
    """The area under the curve between wrong and right sides, within each kind."""
    found: dict[str, float] = {}
    for kind in sorted({probe.kind for probe in probes}):
        wrong, right = (
            np.array([scores[probe.item] for probe in probes if probe.kind == kind and probe.side == side])
            for side in ("wrong", "right")
        )
        found[kind] = round(auc(wrong, right), 4)
    return found


def shift_of(probes: Sequence[Probe], scores: Any, base: Any) -> dict[str, float]:
    """By how many nats per token pushing back became likelier, on both sides, within each kind."""
    return {
        kind: round(fmean(scores[probe.item] - base[probe.item] for probe in probes if probe.kind == kind), 4)
        for kind in sorted({probe.kind for probe in probes})
    }


def run(cell: Cell, seed: int, home: Path, pool: Path) -> dict[str, Any]:
    """Train one cell and measure it against the base."""
    started = time.monotonic()
    suite = load_suite()
    held_out, novelty = GateTexts(suite.texts()), Novelty()
    config = Config()
    fresh = dreamed(FRESH, KINDS, 10_000 + seed, held_out, novelty)  # first, and then never again
    twins = dreamed(cell.pairs // 2, cell.kinds, seed, held_out, novelty)
    untaught = [kind for kind in config.night.kinds if kind not in cell.kinds] or config.night.kinds
    held = math.ceil(len(twins) * (0.0 if cell.way == "nothing held" else config.night.bystander_share))
    bystanders = [pair for one in dreamed(held, untaught, 20_000 + seed, held_out, novelty) for pair in pairs_of(one)]
    items = Items(suite, tuple(probes_of(fresh)), tuple(probes_of(twins[:SHOWN])))
    folder = str(ensure_bundled(Home(default_home()).models, Silent()))
    policy = load_policy(folder, dtype="bfloat16", pack_tokens=PACK)
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
    base = known_base(policy, encoder, items, home, seed).joined(shown(policy, encoder, items, None))
    own = scored(policy, encoder, items, "candidate").joined(shown(policy, encoder, items, "candidate"))
    gate = Gate()
    margins = Margins(gate.tonight.model_dump(), gate.since_base.model_dump(), gate.confidence)
    trio = Trio(base, base, own)
    every = [*compare(gauges_of_the_night(items), trio, margins), *taught_bias(items.taught, trio, margins)]
    measures, verdict = {m.name: m for m in every}, decide(every, list(TOLD))
    single = [probe for probe in suite.probes if probe.manner != "challenged"]
    return {
        "cell": cell.name, "seed": seed, "pairs": len(pairs), "rate": cell.rate, "batch": recipe.dpo_batch,
        "seconds": round(taught, 1),
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


def digest() -> str:
    """SHA-256 of what a cell's outcome depends on: cells of other code are run again."""
    package = Path(paths.__file__).parent
    files = {
        *(path for part in LEARNS for kind in ("*.py", "*.toml") for path in (package / part).rglob(kind)),
        *(package / f"{name}.py" for name in ("config", "records")), *paths.prompts_folder().rglob("*.md"),
        Path(__file__), Path(__file__).with_name("scoring.py"),
    }  # fmt: skip
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(path.read_bytes())
    return total.hexdigest()


def known_base(policy: Policy, encoder: ChatEncoder, items: Items, home: Path, seed: int) -> Scored:
    """The base's scores, measured once for each seed's fresh dreams."""
    path = home / f"base-{seed}-{digest()[:16]}.json"
    if not path.is_file():
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(scored(policy, encoder, items, None).to_json())
        part.replace(path)
    return Scored.from_json(path.read_text())


def rounded(measure: Any) -> list[float]:
    """Base, candidate, and the change with its interval, in the good direction."""
    change = measure.since_base
    return [round(n, 5) for n in (measure.base, measure.candidate, change.change, change.low, change.high)]


def kept(code: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Cells that were finished with this code, by name and seed."""
    lines = FINISHED.read_text().splitlines() if FINISHED.is_file() else []
    return {(one["cell"], one["seed"]): one for one in map(json.loads, lines) if one["code"] == code}


def keep(found: Sequence[dict[str, Any]]) -> None:
    """All finished cells at once: a run that is ended leaves what it has."""
    part = FINISHED.with_suffix(".part")
    part.write_text("".join(f"{json.dumps(one)}\n" for one in found))
    part.replace(FINISHED)
    RESULT.write_text(json.dumps(line(found)) + "\n")


def finished(name: str, seed: int, home: Path, pool: Path, code: str) -> dict[str, Any]:
    """A cell's outcome, in a process of its own."""
    cell = next(cell for cell in CELLS if cell.name == name)
    return {**run(cell, seed, home, pool), "code": code, "date": datetime.now(UTC).date().isoformat()}


def line(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The JSON line: per cell the mean over seeds, and the lowest and highest."""
    cells: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(one["cell"] for one in found):
        own = [one for one in found if one["cell"] == name]
        changes = {m: [one["measures"][m] for one in own] for m in TOLD}
        cells[name] = {
            "seeds": len(own), **{fact: own[0][fact] for fact in ("pairs", "rate", "batch")},
            "seconds": round(fmean(one["seconds"] for one in own), 1),
            "verdicts": dict(Counter(one["verdict"] for one in own)),
            "reasons": list(dict.fromkeys(reason.split(" ")[0] for one in own for reason in one["reasons"])),
            **{m: {"base": round(fmean(v[0] for v in values), 4), "mean": round(fmean(v[1] for v in values), 4),
                   "low": min(v[1] for v in values), "high": max(v[1] for v in values),
                   "above_noise": sum(v[3] > 0 for v in values), "below_noise": sum(v[4] < 0 for v in values)}
               for m, values in changes.items()},
            **{which: {kind: round(fmean(one[which][kind] for one in own), 3) for kind in own[0][which]}
               for which in ("auc_base", "auc", "shift", "fresh_base", "fresh")},
        }  # fmt: skip
    return {
        "bench": "dose", "examples_above_noise": above_noise(cells), "cells": cells, "code": found[0]["code"],
        "dates": sorted({one["date"] for one in found}),
        "device": f"{platform.machine()} CPU, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
    }  # fmt: skip


def above_noise(cells: dict[str, dict[str, Any]]) -> int | None:
    """From how many pairs on fresh scenarios are told apart better than by the base, in every seed beyond noise."""
    doses = sorted(
        ((cell["pairs"], cell) for name, cell in cells.items() if name.endswith(" pairs")), key=lambda d: d[0]
    )
    surely = [cell["lessons.discrimination"]["above_noise"] == cell["seeds"] for _, cell in doses]
    reached = [pairs for k, (pairs, _) in enumerate(doses) if all(surely[k:])]
    return reached[0] if reached else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("state/bench-dose"), help="where cells are kept")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time, which share the cores")
    parser.add_argument("--only", help="run just the cells whose name begins so")
    parser.add_argument("--report", action="store_true", help="print the last finished run")
    options = parser.parse_args()
    if options.report:
        print(json.dumps(json.loads(RESULT.read_text())))
        return
    home = options.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    pool, code = pool_of(home), digest()
    found = kept(code)
    wanted = [(cell.name, seed) for seed in range(1, options.seeds + 1) for cell in CELLS
              if cell.name.startswith(options.only or "") and (cell.name, seed) not in found]  # fmt: skip
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    with ProcessPoolExecutor(
        options.jobs, get_context("spawn"), torch.set_num_threads, (threads,), max_tasks_per_child=1
    ) as workers:
        running = [workers.submit(finished, name, seed, home, pool, code) for name, seed in wanted]
        try:
            for done in as_completed(running):
                one = done.result()
                found[one["cell"], one["seed"]] = one
                keep(list(found.values()))
                told = {m: one["measures"][m][1] for m in ("probes.auc", "lessons.discrimination", "perplexity.prose")}
                print(one["cell"], one["seed"], one["seconds"], told, one["verdict"], flush=True)
        finally:
            workers.shutdown(wait=False, cancel_futures=True)  # one that breaks need not wait for all others
    print(json.dumps(line(list(found.values()))))


if __name__ == "__main__":
    main()
