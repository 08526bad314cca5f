"""Ten nights in a row, three seeds: does judgment grow, and does nothing else fall?

Four contestants on the same logs and the same dreams: the base model; the base under the best system prompt that could
be written; a loop of TRL's trainers without replay, anchor or gate (`naive`); and dreamloop, whole nights as people run
them. Before the first night, after the fifth and after the tenth each is asked the gate's probes, whose templates,
facts and wordings are in no dream and which offer both sides the same replies, and public sets that nothing is trained
on (`public`). A figure has a mean over the seeds and a 90 % interval of a bootstrap over seeds and templates; ``gain``
is the same against the base, on the same items.

    python tests/bench/nights.py --data FOLDER [--logs FOLDER] [--seeds 3] [--nights 10]   runs what is not finished yet
    python tests/bench/nights.py --report                                                  prints the last finished run
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contestants import CONTESTANTS, PROMPT, Scores, asked, config_of, contestant, imitate, live
from figures import figures, told, with_collapse
from public import Public, load_public
from trust import pool_of

from dreamloop.gate.reading import load_suite
from dreamloop.gate.suite import Suite
from dreamloop.ledger.store import Ledger
from dreamloop.paths import SAMPLES, Home

RESULT = Path(__file__).parent / "results" / "nights.json"
ITEMS = Path(__file__).parent / "items"  # asked beside the gate's
ASKED = (5, 10)
TAUGHT = 60  # twins of a kind, on average over the seeds, from which it counts as taught


def known(path: Path, measure: Callable[[], Scores]) -> Scores:
    """Scores from their file, measured where there is none."""
    if not path.is_file():
        part = path.with_suffix(".part")
        part.write_text(json.dumps(measure()))
        part.replace(path)
    found: Scores = json.loads(path.read_text())
    return found


def line(home: Path, suite: Suite, public: Public, seeds: Sequence[int], nights: Sequence[int]) -> dict[str, Any]:
    """The JSON line of everything that is measured."""
    scores = home / "scores"
    base = json.loads((scores / "base.json").read_text())
    twins = _taught(home, seeds)
    every = figures(suite, public, {kind for kind, count in twins.items() if count >= TAUGHT})

    def of(name: str, seed: int, night: int) -> Scores:
        path = scores / (f"{name}.json" if name in {"base", "prompted"} else f"{name}-{seed}-{night}.json")
        return with_collapse(json.loads(path.read_text()), base)

    table = {
        f"{name} {night}": {
            figure.name: told(figure, [of(name, s, night) for s in seeds], [of("base", s, night) for s in seeds])
            for figure in every
        }
        for name in CONTESTANTS
        for night in ([0] if name in {"base", "prompted"} else nights)
    }
    return {
        "bench": "nights", "seeds": len(seeds), "nights": max(nights), "table": table,
        "twins_a_seed": twins, "kept": [_kept(home, seed) for seed in seeds],
        "seconds_a_night": [_seconds(home, seed) for seed in seeds],
        "date": datetime.now(UTC).date().isoformat(), "device": f"{platform.machine()} CPU, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "trl")},
    }  # fmt: skip


def _taught(home: Path, seeds: Sequence[int]) -> dict[str, float]:
    """Twins of each kind that were trained on over all nights, mean over the seeds."""
    found: Counter[str] = Counter()
    for seed in seeds:
        ledger = Ledger(Home(home / f"seed-{seed}" / "home").ledger)
        for night in (night for night in ledger.past() if not night.rebased):
            found.update({shown.kind: shown.taught for shown in night.shown})
        ledger.close()
    return {kind: round(count / len(seeds), 1) for kind, count in found.most_common()}


def _kept(home: Path, seed: int) -> dict[str, int]:
    ledger = Ledger(Home(home / f"seed-{seed}" / "home").ledger)
    rows = list(ledger.db.execute("SELECT outcome, count(*) FROM endings GROUP BY outcome"))
    ledger.close()
    return dict(rows)


def _seconds(home: Path, seed: int) -> float:
    ledger = Ledger(Home(home / f"seed-{seed}" / "home").ledger)
    (rows,) = ledger.db.execute("SELECT avg(seconds) FROM history").fetchall()
    ledger.close()
    return round(float(rows[0]), 1)


def measured(home: Path, suite: Suite, public: Public, seeds: Sequence[int], nights: Sequence[int]) -> None:
    """Everything that has no scores yet."""
    scores = home / "scores"
    known(scores / "base.json", lambda: asked(None, "", suite, public))
    known(scores / "prompted.json", lambda: asked(None, PROMPT, suite, public))
    for seed in seeds:
        for name in ("naive", "dreamloop"):
            for night in nights:
                adapter = contestant(home, name, seed, night)
                known(scores / f"{name}-{seed}-{night}.json", lambda a=adapter: asked(a, "", suite, public))  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("state/bench-nights"), help="where nights are kept")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--logs", type=Path, default=SAMPLES, help="what people said; the shipped samples by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--report", action="store_true", help="print the last finished run")
    options = parser.parse_args()
    if options.report:
        print(json.dumps(json.loads(RESULT.read_text())))
        return
    home = options.home.absolute()
    (home / "scores").mkdir(parents=True, exist_ok=True)
    suite, public, pool = load_suite(ITEMS), load_public(options.data), pool_of(home)
    nights = [night for night in ASKED if night <= options.nights] or [options.nights]
    for seed in range(1, options.seeds + 1):
        place = home / f"seed-{seed}"
        config = config_of(pool, options.logs.absolute(), seed)
        live(Home(place / "home"), config, options.nights)
        imitate(Home(place / "home"), place / "naive", config, options.nights)
        measured(home, suite, public, range(1, seed + 1), nights)
        RESULT.write_text(json.dumps(line(home, suite, public, range(1, seed + 1), nights)) + "\n")
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
