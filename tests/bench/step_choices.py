"""What a choice in the training step is worth: two nights on the bundled model, several seeds, one change at a time.

Each seed dreams 24 twins a night and trains them with the usual recipe and seven general answers of the base model.
First nights: as it is; contexts frozen; a guard on chosen replies. Second nights, continuing the first: a fresh
optimizer; the first night's moments. Measured on 36 fresh twins and the gate's prose, none of them trained on: change
of discrimination (margin between wrong and right directions, nats per token), AUC and perplexity (nats per token);
and of the taught pairs the change of the chosen replies' log-prob and of the margin. Speed is train_step.py's business.

    python tests/bench/step_choices.py [--seeds 3] [--home FOLDER]   runs what is not finished yet
    python tests/bench/step_choices.py --report                      prints the last finished run
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np

from dreamloop import paths
from dreamloop.config import Config, Dream, Finetune
from dreamloop.dream.axes import Coverage
from dreamloop.dream.books import load_shelves
from dreamloop.dream.novelty import Novelty
from dreamloop.dream.scenarios import Dreamer, pairs_of
from dreamloop.finetune.optimizer import Moments
from dreamloop.finetune.recipe import recipe_of
from dreamloop.finetune.replay import base_answers
from dreamloop.finetune.train import Trained, train
from dreamloop.gate.leaks import GateTexts
from dreamloop.gate.perplexity import score_documents
from dreamloop.gate.probes import probes_of, score_probes
from dreamloop.gate.reading import load_suite
from dreamloop.gate.statistics import auc
from dreamloop.gate.suite import Probe
from dreamloop.log import Silent
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.model.sampler import TransformersSampler
from dreamloop.model.wake import new_adapter
from dreamloop.paths import Home, default_home
from dreamloop.prompts import load_phrases
from dreamloop.records import ChatRow, Message, Pair, Recipe

RESULT = Path(__file__).parent / "results" / "step_choices.json"
TWINS, LESSONS, GENERAL = 24, 36, 7
FIRST: dict[str, dict[str, Any]] = {
    "usual": {},
    "frozen": {"context_gradient": "frozen"},
    "guarded": {"rpo_alpha": 1.0},
}
SECOND = ("fresh optimizer", "moments carried")


class Seed:
    """Everything that one seed's nights share."""

    def __init__(self, folder: str, seed: int, general: Sequence[ChatRow]) -> None:
        shelves = load_shelves([paths.prompts_folder() / "dream"], ["en"], Config().night.kinds)
        self.suite = load_suite()
        dreamer = Dreamer(shelves, Dream(), Novelty(), Coverage(), GateTexts(self.suite.texts()))
        self.folder, self.seed, self.general = folder, seed, list(general)
        self.nights = [
            [pair for twins in dreamer.dream(TWINS, 10 * seed + k).twins for pair in pairs_of(twins)] for k in range(2)
        ]
        self.lessons = probes_of(dreamer.dream(LESSONS, 10 * seed + 2).twins)

    def policy(self, adapter: Path | None) -> Policy:
        policy = load_policy(self.folder)
        if adapter is None:
            policy.add_adapter("candidate", new_adapter(Config()), self.seed)
        else:
            policy.load_adapter("candidate", adapter)
        return policy

    def train(self, policy: Policy, night: int, recipe: Recipe, moments: Moments) -> Trained:
        pairs: list[Pair] = self.nights[night]
        return train(policy, ChatEncoder(policy.tokenizer), pairs, self.general, recipe, Silent(), moments)

    def measured(self, policy: Policy) -> dict[str, float]:
        encoder = ChatEncoder(policy.tokenizer)
        margins = score_probes(policy, encoder, self.lessons, Silent(), "bench")
        prose = [document for document in self.suite.documents if document.domain == "prose"]
        return {
            **judgement(self.lessons, margins),
            "perplexity": fmean(score_documents(policy, encoder, prose, Silent(), "bench")["perplexity"].values()),
        }


def judgement(probes: Sequence[Probe], margins: Mapping[str, float]) -> dict[str, float]:
    """Discrimination and AUC of push-back margins between wrong and right."""
    sides = {side: np.array([margins[p.item] for p in probes if p.side == side]) for side in ("wrong", "right")}
    return {
        "discrimination": float(sides["wrong"].mean() - sides["right"].mean()),
        "auc": auc(sides["wrong"], sides["right"]),
    }


def one_seed(folder: str, seed: int, general: Sequence[ChatRow], home: Path) -> list[dict[str, Any]]:
    """All choices of one seed; each row tells the change since the start of its night."""
    shared = Seed(folder, seed, general)
    usual = replace(recipe_of(Finetune(carry_optimizer=True), seed), carry_optimizer=True)
    base = shared.policy(None)
    start = shared.measured(base)
    rows = []
    adapter, moments = home / f"adapter-{seed}", {}
    for name, change in FIRST.items():
        policy = shared.policy(None)
        trained = shared.train(policy, 0, replace(usual, **change), {})
        rows.append(told(name, seed, start, shared.measured(policy), trained))
        if name == "usual":
            policy.save("candidate", adapter)
            moments, middle = trained.moments, shared.measured(policy)
    for name in SECOND:
        policy = shared.policy(adapter)
        trained = shared.train(policy, 1, usual, moments if name == SECOND[1] else {})
        rows.append(told(name, seed, middle, shared.measured(policy), trained))
    return rows


def told(
    name: str, seed: int, before: Mapping[str, float], after: Mapping[str, float], trained: Trained
) -> dict[str, Any]:
    report = trained.report
    return {
        "choice": name,
        "seed": seed,
        **{key: after[key] - before[key] for key in after},
        "chosen": report.chosen_after - report.chosen_before,
        "margin": report.margin_after - report.margin_before,
        "drift": report.update_norm,
    }


def line(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation of every number over these seeds, by choice."""
    numbers = [key for key in rows[0] if key not in {"choice", "seed"}]
    choices: dict[str, Any] = {}
    for name in (*FIRST, *SECOND):
        own = [row for row in rows if row["choice"] == name]
        choices[name] = {
            key: [round(fmean(row[key] for row in own), 5), round(pstdev(row[key] for row in own), 5)]
            for key in numbers
        }
    return {
        "choices": choices,
        "seeds": len({row["seed"] for row in rows}),
        "date": datetime.now(UTC).date().isoformat(),
        "device": f"{platform.machine()} CPU, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "runs": list(rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--home", type=Path, default=Path("state/bench-step-choices"), help="where runs are kept")
    parser.add_argument("--report", action="store_true", help="print the last finished run")
    options = parser.parse_args()
    if options.report:
        print(json.dumps(json.loads(RESULT.read_text())))
        return
    home = Home(default_home())
    home.create()
    folder = str(ensure_bundled(home.models, Silent()))
    options.home.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for seed in range(1, options.seeds + 1):
        done = options.home / f"seed-{seed}.json"
        if not done.is_file():
            done.write_text(json.dumps(one_seed(folder, seed, general_rows(folder, options.home), options.home)))
        rows += json.loads(done.read_text())
    report = line(rows)
    RESULT.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({key: value for key, value in report.items() if key != "runs"}))


def general_rows(folder: str, home: Path) -> list[ChatRow]:
    """The base model's own answers, asked once."""
    kept = home / "general.json"
    if not kept.is_file():
        policy = load_policy(folder)
        sampler = TransformersSampler(policy, ChatEncoder(policy.tokenizer))
        prompts = load_phrases(paths.prompts_folder(), "replay")["prompts"]
        rows, _ = base_answers(sampler, list(prompts), GENERAL, 0, Silent())
        kept.write_text(json.dumps([[row.context[0].content, row.reply] for row in rows]))
    return [ChatRow((Message("user", q),), a, "base model") for q, a in json.loads(kept.read_text())]


if __name__ == "__main__":
    main()
