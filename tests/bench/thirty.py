"""Thirty nights of dreams in a row on the bundled model: nothing repeated, both sides held, every label right.

``python tests/bench/thirty.py --engine transformers --nights 15`` and then ``--engine vllm --nights 30`` dream with one
engine and go on with the other; a run that was ended goes on with the next night. Only dreaming is done, the default
dose with the gate's lessons, one ledger and one index throughout. One JSON line: what was dreamed, how it covers the
axes, how much an engine wrote of it, and what `tests/dream/recheck.py` says of 200 random scenarios. ``--read 50``
prints random twins for a person.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dreamloop.config import Config, Vllm
from dreamloop.dreaming import Dreaming
from dreamloop.gate.leaks import GateTexts
from dreamloop.gate.reading import load_suite
from dreamloop.gate.suite import FEWEST_WORDS
from dreamloop.ledger.store import Ledger
from dreamloop.log import setup
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.engine import Writer, writing
from dreamloop.model.wake import Model, wake
from dreamloop.paths import Home, default_home, prompts_folder
from dreamloop.prompts import load_phrases

BENCH = Path(__file__).resolve().parent
RESULTS = BENCH / "results" / "thirty.json"
RECHECK = BENCH.parent / "dream" / "recheck.py"
TWINS = 10


def night(ledger: Ledger, home: Home, config: Config, writer: Writer, held_out: GateTexts) -> None:
    """One night's dreams, marked as trained on so that the next night does not take them up."""
    number = ledger.begin(datetime.now(UTC).isoformat(), 0, config.model_dump_json(), {}, config.engine)
    asleep = Dreaming(
        number, 7919 * number, config, config.night.kinds, (), config.dream.technical_share, (), ledger, home.novelty,
        held_out, False, setup(),
    )  # fmt: skip
    asleep.write(writer, TWINS)
    taught, lessons = asleep.finish(TWINS)
    ledger.db.execute("INSERT INTO trainings VALUES (?, '{}', NULL)", [number])
    ledger.db.conn.commit()
    print(f"night {number}: {len(taught)} twins, {len(lessons)} lessons", file=sys.stderr, flush=True)


def nights(home: Home, config: Config, until: int) -> None:
    """Dream until the ledger holds so many whole nights."""
    ledger = Ledger(home.ledger)
    replayed = load_phrases(prompts_folder(), "replay")["prompts"]
    held_out = GateTexts([*load_suite().texts(), *(text for text in replayed if len(text.split()) >= FEWEST_WORDS)])

    def here() -> Model:
        return wake(config, home.models, None, None, 1, setup())

    with writing(config, home, None, here, setup()) as writer:
        while ledger.db.execute("SELECT count(*) FROM trainings").fetchone()[0] < until:
            night(ledger, home, config, writer, held_out)
    ledger.close()


def report(home: Home) -> dict[str, Any]:
    """What thirty nights came to."""
    db = sqlite3.connect(f"file:{home.ledger}?mode=ro", uri=True)
    rows = db.execute("SELECT night, kind, side, use, worded_by, replies_by, context, twin FROM scenarios").fetchall()
    twins = [row for row in rows if row[2] == "right"]
    training = [row for row in twins if row[3] == "training"]
    kinds = sorted({row[1] for row in rows})
    accept = {kind: accepted(db, kind) for kind in kinds}
    per_night = [Counter(row[1] for row in training if row[0] == n) for n in sorted({row[0] for row in rows})]
    varied = db.execute("SELECT distinct_2, entropy, covered, refused FROM diversity ORDER BY night").fetchall()
    skips = Counter[str]()
    for reason, count in db.execute("SELECT reason, count FROM skips WHERE stage = 'dream'"):
        skips[reason.partition(": ")[2]] += count
    found = subprocess.run([sys.executable, RECHECK, home.ledger, "200"], capture_output=True, check=True, text=True)
    checked, *faults = found.stdout.splitlines()
    for fault in faults:
        print(fault, file=sys.stderr)
    return {
        "bench": "thirty", "nights": len(per_night), "twins": len(twins), "for_training": len(training),
        "near_repeats": near_repeats(rows),
        "same_again_in_another_frame": len(twins) - len({row[7] for row in twins}),
        "kinds": len(kinds),
        "accept_share_by_kind": [round(min(accept.values()), 3), round(max(accept.values()), 3)],
        "kinds_a_night": min(len(own) for own in per_night),
        "largest_share": max(max(own.values()) / own.total() for own in per_night),
        "covered": [round(row[2], 3) for row in varied], "refused": [round(row[3], 3) for row in varied],
        "distinct_2": [round(row[0], 3) for row in varied], "entropy": [round(row[1], 2) for row in varied],
        "worded_by_engine": sum(row[4] == "engine" for row in training),
        "replies_by_engine": sum(row[5] == "engine" for row in training),
        "left_out": dict(skips.most_common()), "rechecked": json.loads(checked)["checked"],
        "wrong": json.loads(checked)["wrong"], "date": datetime.now(UTC).date().isoformat(),
        "cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "torch": version("torch"),
        "engines": dict(db.execute("SELECT model, count(*) FROM nights GROUP BY model").fetchall()),
    }  # fmt: skip


def near_repeats(rows: Sequence[tuple[Any, ...]]) -> int:
    """Pairs of twins whose word triples agree to 0.75 or more, each compared with each, without the index."""
    texts = [
        " ".join(f"{right[6]} {wrong[6]}".lower().split()) for right, wrong in zip(rows[::2], rows[1::2], strict=True)
    ]
    words = [re.findall(r"\w+", text) for text in texts]
    triples = [{tuple(own[k : k + 3]) for k in range(len(own) - 2)} for own in words]
    found = 0
    for k, own in enumerate(triples):
        for other in triples[:k]:
            small, large = sorted((len(own), len(other)))
            found += small >= 0.75 * large and len(own & other) >= 0.75 * len(own | other)
    return found


def accepted(db: sqlite3.Connection, kind: str) -> float:
    """The share of training pairs of a kind whose chosen reply accepts, by the pairs that training would get.

    A frame that corrects says the same to both twins and is neither.
    """
    query = "SELECT side, accept, push_back FROM scenarios WHERE kind = ? AND use = 'training'"
    rows = db.execute(query, [kind]).fetchall()
    accepts, against = {row[1] for row in rows}, {row[2] for row in rows}
    chosen = [accept if side == "right" else push_back for side, accept, push_back in rows]
    yes = sum(text in accepts - against for text in chosen)
    return yes / max(1, yes + sum(text in against - accepts for text in chosen))


def read(home: Home, count: int) -> None:
    """Random twins as a person reads them."""
    db = sqlite3.connect(f"file:{home.ledger}?mode=ro", uri=True)
    rows = db.execute("SELECT twin, kind, context, accept, push_back, claim, worded_by, replies_by, side, truth "
                      "FROM scenarios ORDER BY rowid").fetchall()  # fmt: skip
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    for number, (right, wrong) in enumerate(random.Random(1).sample(pairs, count), 1):
        print(f"--- {number}. {right[1]}, words: {right[6]}, replies: {right[7]} | {right[9]} | wrong: {wrong[5]}")
        for role, text in json.loads(right[2]):
            print(f"    {role}: {text}")
        print(f"  right + {right[3]}\n  right - {right[4]}")
        if (wrong[3], wrong[4]) != (right[3], right[4]):
            print(f"  wrong + {wrong[4]}\n  wrong - {wrong[3]}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", choices=["transformers", "vllm"], default="transformers")
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--home", type=Path, default=default_home() / "bench-thirty")
    parser.add_argument("--read", type=int)
    given = parser.parse_args()
    home, shared = Home(given.home), Home(default_home())
    if given.read:
        read(home, given.read)
        return
    home.create()
    shared.create()
    model = str(ensure_bundled(shared.models, setup()))
    nights(home, Config(engine=given.engine, model=model, vllm=Vllm(max_model_len=1024)), given.nights)
    line = report(home)
    RESULTS.write_text(json.dumps(line, indent=1) + "\n")
    print(json.dumps(line))


if __name__ == "__main__":
    main()
