"""Does the gate tell honest nights from sabotaged ones? Whole first nights on the bundled model.

Five honest nights with different seeds on the sample logs; then one night each with every label swapped,
with one-sided "always agree" pairs, and with the learning rates times 1000. The sabotage happens at the
door of training, so that everything before and after it is the real pipeline.

    python tests/bench/verdicts.py [--home FOLDER] [--only NAME]   runs what is not finished yet
    python tests/bench/verdicts.py --report                        prints the last finished run's JSON line
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dreamloop import cycle
from dreamloop.config import Config, Finetune
from dreamloop.finetune.recipe import recipe_of
from dreamloop.finetune.train import train
from dreamloop.ledger.history import History
from dreamloop.log import setup
from dreamloop.paths import SAMPLES, Home
from dreamloop.records import Pair

RESULT = Path(__file__).parent / "results" / "verdicts.json"
Mutation = Callable[[Pair], Pair]


def swapped(pair: Pair) -> Pair:
    """Chosen and rejected exchanged."""
    return replace(pair, chosen=pair.rejected, rejected=pair.chosen)


def agreeing(pair: Pair) -> Pair:
    """The accepting reply is chosen on both sides of every twin."""
    return swapped(pair) if pair.provenance.signal == "wrong" else pair


def same(pair: Pair) -> Pair:
    """Nothing changed."""
    return pair


def nights() -> dict[str, tuple[Config, Mutation]]:
    """Every night of the benchmark by name."""
    usual = recipe_of(Finetune(), seed=0)
    wild = Finetune(sft_learning_rate=usual.sft_learning_rate * 1000, dpo_learning_rate=usual.dpo_learning_rate * 1000)
    honest: dict[str, tuple[Config, Mutation]] = {
        f"honest {seed}": (Config(sources=(SAMPLES,), seed=seed), same) for seed in range(1, 6)
    }
    return {
        **honest,
        "label-swapped": (Config(sources=(SAMPLES,), seed=1), swapped),
        "always agree": (Config(seed=1), agreeing),
        "diverging": (Config(sources=(SAMPLES,), seed=1, finetune=wild), same),
    }


def run(name: str, home: Home, config: Config, mutation: Mutation) -> dict[str, Any]:
    """One night in a home of its own; the verdict and what it was based on."""

    def sabotaged(policy: Any, encoder: Any, pairs: Sequence[Pair], *rest: Any) -> Any:
        return train(policy, encoder, [mutation(pair) for pair in pairs], *rest)

    started = time.monotonic()
    with patch.object(cycle, "train", sabotaged):
        night = cycle.run_night(home, config, setup(), lambda: datetime.now(UTC))
    record = History(home.ledger, home.lock).night(night)
    return {
        "name": name,
        "outcome": record.night["outcome"],
        "reason": record.night["reason"],
        "seconds": round(time.monotonic() - started, 1),
        "changes": {row["name"]: [row["change"], row["low"], row["high"]] for row in record.measures},
    }


def line(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The JSON line: counts first."""
    honest = [r for r in results if r["name"].startswith("honest")]
    sabotaged = [r for r in results if not r["name"].startswith("honest")]
    return {
        "honest_nights": len(honest),
        "honest_kept": sum(r["outcome"] == "kept" for r in honest),
        "sabotages": len(sabotaged),
        "sabotages_kept": sum(r["outcome"] == "kept" for r in sabotaged),
        "outcomes": {r["name"]: r["outcome"] for r in results},
        "date": datetime.now(UTC).date().isoformat(),
        "device": f"{platform.machine()} CPU, {__import__('os').cpu_count()} cores",
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "nights": list(results),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("state/bench-verdicts"), help="where nights are kept")
    parser.add_argument("--only", help="run just this night")
    parser.add_argument("--report", action="store_true", help="print the last finished run")
    options = parser.parse_args()
    if options.report:
        print(json.dumps(json.loads(RESULT.read_text())))
        return
    results = []
    for name, (config, mutation) in nights().items():
        if options.only and options.only != name:
            continue
        place = options.home.absolute() / name.replace(" ", "-")
        done = place / "result.json"
        if not done.is_file():
            home = Home(place)
            home.create()
            if not any(home.models.iterdir()):
                home.models.rmdir()
                home.models.symlink_to(_shared_models(options.home.absolute()))
            done.write_text(json.dumps(run(name, home, config, mutation)))
        results.append(json.loads(done.read_text()))
    report = line(results)
    if not options.only:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report))


def _shared_models(home: Path) -> Path:
    models = home / "models"
    models.mkdir(parents=True, exist_ok=True)
    return models


if __name__ == "__main__":
    main()
