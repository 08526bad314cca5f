"""Are there enough items? The noise of honest nights with retrained seeds, and what each measure needs.

Reads the honest nights of `trust.py`. For every measure, tonight's change and that since the base: mean and standard
deviation between nights, standard deviation between templates, the templates or documents that are there, those that
are needed, and an honest night's chance. A measure needs 1 - 0.05 / M of M, so that all together pass 95 of 100 honest
nights.

    python tests/bench/power.py [--home FOLDER]
    python tests/bench/power.py --report
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dreamloop.config import Gate
from dreamloop.gate.power import chance, needed, noise_of
from dreamloop.records import Change

RESULT = Path(__file__).parent / "results" / "power.json"
PASS = 0.95
SINCE = {"tonight": "", "since_base": "base_"}


def measured(nights: list[dict[str, Any]]) -> dict[str, Any]:
    """By measure and what it is compared to: the noise, and what follows from it."""
    confidence = Gate().confidence
    names = [name for name in nights[0]["changes"] if not nights[0]["changes"][name]["informative"]]
    wanted = 1 - (1 - PASS) / (len(names) * len(SINCE))
    found: dict[str, Any] = {}
    for name in names:
        rows = [night["changes"][name] for night in nights]
        found[name] = {"clusters": rows[0]["clusters"]}
        for since, prefix in SINCE.items():
            margin = rows[0][f"{prefix}margin"]
            changes = [Change(*(row[f"{prefix}{key}"] for key in ("change", "low", "high", "margin"))) for row in rows]
            if rows[0]["census"]:
                changes = [Change(change.change, change.change, change.change, margin) for change in changes]
            noise = noise_of(changes, rows[0]["clusters"], confidence)
            found[name][since] = {
                "mean": noise.mean,
                "between": noise.between,
                "within": noise.within,
                "nights": noise.nights,
                "margin": margin,
                "needed": needed(noise, margin, confidence, wanted),
                "chance": round(chance(noise, rows[0]["clusters"], margin, confidence), 5),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("state/bench-trust"), help="where trust.py keeps its nights")
    parser.add_argument("--report", action="store_true", help="print the last finished run")
    options = parser.parse_args()
    if not options.report:
        nights = [json.loads(path.read_text()) for path in sorted((options.home / "done").glob("honest-*.json"))]
        found = measured(nights)
        chances = [found[name][since]["chance"] for name in found for since in SINCE]
        line = {
            "nights": len(nights),
            "measures": found,
            "all_pass_at_least": round(1 - sum(1 - one for one in chances), 4),
            "too_few": [name for name in found if not enough(found[name])],
            "date": datetime.now(UTC).date().isoformat(),
        }
        RESULT.write_text(json.dumps(line, indent=1) + "\n")
    print(json.dumps(json.loads(RESULT.read_text())))


def enough(found: dict[str, Any]) -> bool:
    counts = [found[since]["needed"] for since in SINCE]
    return all(count is not None and count <= found["clusters"] for count in counts)


if __name__ == "__main__":
    main()
