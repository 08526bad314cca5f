"""Are there enough items? The noise of honest nights with retrained seeds, and what each measure needs.

Reads the honest nights of `trust.py`: what each whole step changed, before any of it was taken back. For every measure,
tonight and since the base: mean and standard deviation between nights, what its interval is made of (the standard
deviation between templates; for yes/no measures how many flip, and how many items that rests on), every night's change,
the templates or documents that are there, those that are needed, and an honest night's chance. A measure needs
1 - 0.05 / M of M, so that all together pass 95 of 100 honest nights. A census knows its change, so no number of items
is asked of it.

    python tests/bench/power.py [--home FOLDER]
    python tests/bench/power.py --report
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dreamloop.config import Gate
from dreamloop.gate.gauges import Gauge, gauges
from dreamloop.gate.power import Half, chance, needed, noise_of, student, tango, within
from dreamloop.gate.reading import load_suite
from dreamloop.gate.statistics import design_effect
from dreamloop.records import Change

RESULT = Path(__file__).parent / "results" / "power.json"
PASS = 0.95
CONFIDENCE = Gate().confidence
SINCE = {"tonight": ("", "incumbent"), "since_base": ("base_", "base")}

Row = Mapping[str, Any]
Flips = tuple[float, float, float]
"""Share of items gained, share lost, and items over the design effect."""


class Night:
    """What an honest night's whole step did, as its ledger has it."""

    def __init__(self, ledger: Path) -> None:
        with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as found:
            found.row_factory = sqlite3.Row
            whole = "WHERE attempt = 0 AND night = (SELECT max(night) FROM trials)"
            rows = found.execute(f"SELECT * FROM measures {whole} AND NOT informative").fetchall()  # noqa: S608 - above
            self.measures: dict[str, Row] = {row["name"]: row for row in rows}
            self._scores: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
            for row in found.execute(f"SELECT * FROM evidence {whole}"):  # noqa: S608 - as above
                for who in ("base", "incumbent", "candidate"):
                    self._scores[who][row["channel"]][row["item"]] = row[who]

    def change(self, name: str, prefix: str) -> Change:
        row = self.measures[name]
        change, low, high, margin = (row[f"{prefix}{key}"] for key in ("change", "low", "high", "margin"))
        return Change(change, low, high, margin)

    def flips(self, gauge: Gauge, before: str) -> Flips:
        sign = -1 if gauge.better == "lower" else 1
        old, new = self._scores[before][gauge.channel], self._scores["candidate"][gauge.channel]
        changes = np.array([sign * (gauge.read(new, unit) - gauge.read(old, unit)) for unit, _ in gauge.units])
        alone = len(changes) / design_effect(changes, [cluster for _, cluster in gauge.units])
        return round(float((changes > 0).mean()), 6), round(float((changes < 0).mean()), 6), round(alone, 2)


def measured(nights: Sequence[Night]) -> dict[str, Any]:
    """By measure and what it is compared to: the noise, and what follows from it."""
    flipping = {gauge.name: gauge for gauge in gauges(load_suite()) if gauge.statistic == "flips"}
    names = list(nights[0].measures)
    wanted = 1 - (1 - PASS) / (len(names) * len(SINCE))
    found: dict[str, Any] = {}
    for name in names:
        row = nights[0].measures[name]
        census, clusters = bool(row["census"]), min(night.measures[name]["clusters"] for night in nights)
        found[name] = {"clusters": clusters, "census": census}
        for since, (prefix, before) in SINCE.items():
            changes = [night.change(name, prefix) for night in nights]
            noise, margin = noise_of([change.change for change in changes]), changes[0].margin
            if name in flipping:
                made_of: dict[str, Any] = {"flips": [night.flips(flipping[name], before) for night in nights]}
                half = of_flips(made_of["flips"], clusters)
            else:
                made_of = {"within": 0.0 if census else within(changes, clusters, CONFIDENCE)}
                half = student(made_of["within"], CONFIDENCE)
            found[name][since] = {
                "mean": noise.mean, "between": noise.between,
                "changes": [round(change.change, 6) for change in changes],
                **made_of, "margin": margin,
                "needed": None if census else needed(noise, half, margin, wanted),
                "chance": round(chance(noise, 0.0 if census else half(clusters), margin), 5),
            }  # fmt: skip
    return found


def of_flips(seen: Sequence[Flips], clusters: int) -> Half:
    gained, lost, alone = (float(np.mean([one[k] for one in seen])) for k in range(3))
    return tango(gained, lost, alone / clusters, CONFIDENCE)


def honest(home: Path) -> list[Night]:
    """Refuses nights of different code: their numbers do not belong together."""
    files = sorted((home / "done").glob("honest-*.json"))
    codes = {json.loads(path.read_text())["code"] for path in files}
    if len(files) < 2 or len(codes) != 1:
        raise SystemExit(f"{home} has {len(files)} honest nights of {len(codes)} states of the code; run trust.py.")
    return [Night((home / "nights" / path.stem / "ledger.db").absolute()) for path in files]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("state/bench-trust"), help="where trust.py keeps its nights")
    parser.add_argument("--report", action="store_true", help="print the last finished run")
    options = parser.parse_args()
    if not options.report:
        nights = honest(options.home)
        found = measured(nights)
        every = {f"{name}, {since}": found[name][since] for name in found for since in SINCE}
        asked = {name: one for name, one in every.items() if not found[name.partition(",")[0]]["census"]}
        line = {
            "nights": len(nights),
            "measures": found,
            "all_pass_at_least": round(1 - sum(1 - one["chance"] for one in every.values()), 4),
            "too_few": [
                name for name, one in asked.items()
                if one["needed"] and one["needed"] > found[name.partition(",")[0]]["clusters"]
            ],
            "too_noisy_for_any_number": [name for name, one in asked.items() if one["needed"] is None],
            "date": datetime.now(UTC).date().isoformat(),
        }  # fmt: skip
        RESULT.write_text(json.dumps(line) + "\n")
    print(json.dumps(json.loads(RESULT.read_text())))


if __name__ == "__main__":
    main()
