"""Can the gate be trusted? Sabotaged nights it must catch, and honest nights it must let pass.

Whole second nights on the bundled model, all from one incumbent that has some judgment (a first night with many
twins). The sabotage happens at the door of training, or on the trained weights, so that everything before and after
it is the real pipeline; the recipe and the dose are the defaults. General rows come from one pool of the base's own
answers, written once. Caught is what is not kept; `by` says whether a measure of the expected sort decided.

    python tests/bench/trust.py [--home FOLDER] [--nulls 20] [--jobs 2] [--only NAME]   runs what is not finished yet
    python tests/bench/trust.py --report                                     prints the last finished run
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from code_digest import code_digest
from general import pool_of
from machine import device
from sabotage import HONEST, SABOTAGES, Sabotage

from dreamloop import cycle
from dreamloop.config import Config, Finetune, Gate, Night, Replay, SinceBase, Tonight
from dreamloop.errors import DreamloopError
from dreamloop.ledger.history import History
from dreamloop.log import setup
from dreamloop.paths import SAMPLES, Home, default_home

RESULT = Path(__file__).parent / "results" / "trust.json"
# The incumbent's night: ten doses of three kinds at three and a half times the rate, after which it tells right from
# wrong measurably better than the base does (the intervals of JUDGES lie above 0).
FIRST_NIGHT = {"behavioural": 200, "mined_share": 0.0, "replay_share": 0.1, "kinds": ("notes", "lists", "dates")}
FIRST_RATE = 7e-4
NULLS = 20
FIRST_NULL = 101  # the seed of the first honest night; margins were set on nights with the seeds 1 to 4
FIRST_HARM = 201
JUDGES = ("probes.auc", "probes.discrimination", "lessons.discrimination")


def config_of(pool: Path, seed: int, **changes: Any) -> Config:
    return Config(
        sources=(SAMPLES,), seed=seed, replay=Replay(base_answers=False, chat_files=(pool,)),
        **{"night": Night(rewrites=0), **changes},
    )  # fmt: skip


def ran_on() -> str:
    """The digest of what a night's outcome depends on."""
    return code_digest(*(Path(__file__).with_name(f"{name}.py") for name in ("trust", "sabotage", "general")))


def prepared(home: Path, pool: Path) -> Home:
    """The incumbent's home after its one large night, whose gate lets everything pass."""
    place = Home(home / "incumbent")
    made_by = home / "incumbent.code"
    if not made_by.is_file() or made_by.read_text() != ran_on():
        made_by.unlink(missing_ok=True)
        shutil.rmtree(place.root, ignore_errors=True)
        place.create()
        place.models.rmdir()
        place.models.symlink_to(Home(default_home()).models)
        anything = dict.fromkeys(Tonight.model_fields, 1e9)
        config = config_of(
            pool, 100, night=Night(rewrites=0, **FIRST_NIGHT), finetune=Finetune(dpo_learning_rate=FIRST_RATE),
            gate=Gate(tonight=Tonight(**anything), since_base=SinceBase(**anything)),
        )  # fmt: skip
        night = cycle.run_night(place, config, setup(), lambda: datetime.now(UTC))
        found = {row["name"]: row for row in History(place.ledger, place.lock).night(night).measures}
        if not all(found[name]["low"] > 0 for name in JUDGES):
            raise SystemExit("The incumbent has no judgment that could be lost; raise FIRST_RATE or its dose.")
        made_by.write_text(ran_on())
    return place


def run(sabotage: Sabotage, seed: int, home: Path, pool: Path) -> dict[str, Any]:
    """One night in a copy of the incumbent's home; what became of it and why."""
    place = Home(home / "nights" / f"{sabotage.name.replace(' ', '-')}-{seed}")
    shutil.rmtree(place.root, ignore_errors=True)
    shutil.copytree(home / "incumbent", place.root, symlinks=True)
    if sabotage.spoil:
        sabotage.spoil(place)
    started = time.monotonic()
    try:
        with sabotage.patches():
            night = cycle.run_night(place, config_of(pool, seed), setup(), lambda: datetime.now(UTC))
    except DreamloopError as error:
        outcome: dict[str, Any] = {
            "outcome": "refused",
            "reasons": [str(error)],
            "failed": [],
            "changes": {},
            "trials": [],
        }
    else:
        record = History(place.ledger, place.lock).night(night)
        outcome = {
            "outcome": record.night["outcome"],
            "reasons": record.verdict["reasons"] if record.verdict else [record.night["reason"]],
            "failed": [row["name"] for row in record.measures if not row["informative"] and fails(row)],
            "changes": {row["name"]: {key: row[key] for key in KEPT} for row in record.measures},
            "trials": [[trial["scale"], trial["outcome"]] for trial in record.trials],
        }
    shutil.rmtree(place.generations, ignore_errors=True)
    return {"name": sabotage.name, "seed": seed, "seconds": round(time.monotonic() - started, 1), **outcome}


def finished(name: str, seed: int, home: Path, pool: Path, code: str) -> dict[str, Any]:
    """A night's outcome, from its file where it was run with this code."""
    done = home / "done" / f"{name.replace(' ', '-')}-{seed}.json"
    if not done.is_file() or json.loads(done.read_text())["code"] != code:
        sabotage = next(one for one in (HONEST, *SABOTAGES) if one.name == name)
        scratch = done.with_suffix(".part")
        scratch.write_text(json.dumps({**run(sabotage, seed, home, pool), "code": code}))
        if ran_on() != code:
            raise RuntimeError(f"The code was changed while {done.stem} ran; it is not counted. Start again.")
        scratch.replace(done)
    outcome: dict[str, Any] = json.loads(done.read_text())
    return outcome


KEPT = (
    "change", "low", "high", "margin", "base_change", "base_low", "base_high", "base_margin", "clusters", "census",
    "informative",
)  # fmt: skip


def fails(row: dict[str, Any]) -> bool:
    sides = ((row["low"], row["margin"]), (row["base_low"], row["base_margin"]))
    return any(low is None or low < -margin for low, margin in sides)


def caught_by(sabotage: Sabotage, found: dict[str, Any]) -> bool:
    """Whether a measure of the expected sort was among those that failed, or the expected sentence refused it."""
    told = " ".join(found["reasons"])
    if found["outcome"] == "kept":
        return False
    if sabotage.refused:
        return found["outcome"] == "refused" and sabotage.refused in told
    names = [*found["failed"], *re.findall(r"\b[a-z]+\.[a-z_]+\b", told)]  # what is not finite has no bounds to fail
    return any(name.startswith(prefix) for name in names for prefix in sabotage.by)


def stopped(sabotage: Sabotage, found: dict[str, Any]) -> bool:
    """Whether the gate did not keep it; an error counts only where it is the one that should come."""
    return found["outcome"] in {"reverted", "inconclusive"} or caught_by(sabotage, found)


def line(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The JSON line: counts first."""
    nulls = [one for one in found if one["name"] == HONEST.name]
    known = {sabotage.name: sabotage for sabotage in SABOTAGES}
    harmed = [one for one in found if one["name"] in known]
    return {
        "sabotages": len(harmed),
        "caught": sum(stopped(known[one["name"]], one) for one in harmed),
        "caught_by_the_expected": sum(caught_by(known[one["name"]], one) for one in harmed),
        "null_nights": len(nulls),
        "false_alarms": sum(one["outcome"] != "kept" for one in nulls),
        "kept_smaller": sum(one["outcome"] == "kept" and one["trials"][-1][0] < 1 for one in nulls),
        "table": {f"{one['name']} {one['seed']}": [one["outcome"], one["failed"][:8]] for one in found},
        "code": found[0]["code"],
        "date": datetime.now(UTC).date().isoformat(),
        "device": device(),
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "nights": [{**one, "changes": told(one["changes"])} for one in found],
    }


def told(changes: dict[str, dict[str, Any]]) -> dict[str, list[float | None]]:
    """What each measure changed tonight and since the base, shortly; a night's own file and ledger have all of it."""
    return {
        name: [None if row[key] is None else round(row[key], 5) for key in ("change", "base_change")]
        for name, row in changes.items()
    }


def planned(options: argparse.Namespace) -> list[tuple[str, int]]:
    """Every night and its seed, honest ones between the sabotages, so that an unfinished run tells of both."""
    nights = [(HONEST.name, FIRST_NULL + k) for k in range(options.nulls)]
    for k, sabotage in enumerate(SABOTAGES):
        nights.insert(2 * k + 1, (sabotage.name, FIRST_HARM))
    return [(name, seed) for name, seed in nights if options.only in (None, name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("state/bench-trust"), help="where nights are kept")
    parser.add_argument("--nulls", type=int, default=NULLS, help="honest nights")
    parser.add_argument("--jobs", type=int, default=2, help="nights at a time, which share the cores")
    parser.add_argument("--only", help="run just this sort of night")
    parser.add_argument("--report", action="store_true", help="print the last finished run")
    options = parser.parse_args()
    if options.report:
        print(json.dumps({k: v for k, v in json.loads(RESULT.read_text()).items() if k != "nights"}))
        return
    home = options.home.absolute()
    (home / "done").mkdir(parents=True, exist_ok=True)
    code = ran_on()
    pool = pool_of(home)
    prepared(home, pool)
    nights = planned(options)
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    found = []
    # A process of its own for each night, as nights have; two with one thread are quicker than one with two.
    with ProcessPoolExecutor(
        options.jobs, get_context("spawn"), torch.set_num_threads, (threads,), max_tasks_per_child=1
    ) as workers:
        for one in workers.map(finished, *zip(*nights, strict=True), repeat(home), repeat(pool), repeat(code)):
            found.append(one)
            print(one["name"], one["seed"], one["outcome"], one["failed"][:6], flush=True)
    report = line(found)
    if not options.only and options.nulls >= NULLS:
        RESULT.write_text(json.dumps(report) + "\n")
    print(json.dumps({key: value for key, value in report.items() if key != "nights"}))


if __name__ == "__main__":
    main()
