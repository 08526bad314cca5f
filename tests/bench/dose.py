"""How much is learned and how much is forgotten, by dose, by rate and steps, and without each part of the recipe.

Twins out of the phrase books, no two alike, are trained on in one night's step from the base model; then the gate's
probes, whose templates, facts and wordings appear in no dream and which offer both sides the same replies, say what
was learned, and its documents, choices and personas what it cost. ``fresh`` are dreams of the same books that were
not trained on. Each cell (`cells`) is run with every seed (`one_step`); a cell that was finished with this code is not
run again, also on another day: finished cells stand beside the result. What the gate would say is told without its
written answers.

    python tests/bench/dose.py [--home FOLDER] [--seeds 3] [--jobs 2] [--only NAME]    runs what is not finished yet
    python tests/bench/dose.py --report                                                prints the last finished run

In float32, as a night is on a CPU. ``--dtype bfloat16`` is faster where the CPU multiplies in it, and slower where it
does not (a product six times, with AVX2 alone); cells of one dtype are never compared with those of the other.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from cells import CELLS, RATE, RISEN
from lived import same_rows
from machine import device
from one_step import TOLD, run

from dreamloop import paths
from dreamloop.config import Config

RESULT = Path(__file__).parent / "results" / "dose.json"
FINISHED = RESULT.with_suffix(".jsonl")  # one cell of one seed a line
LEARNS = ("dream", "finetune", "gate", "model", "records")  # the parts of the package that a cell runs through


def digest() -> str:
    """SHA-256 of what a cell's outcome depends on, the defaults among it: other cells are run again."""
    package = Path(paths.__file__).parent
    files = {
        *(path for part in LEARNS for kind in ("*.py", "*.toml") for path in (package / part).rglob(kind)),
        *(path for kind in ("*.md", "*.toml") for path in paths.prompts_folder().rglob(kind)),
        *(Path(__file__).with_name(f"{name}.py") for name in ("cells", "one_step", "scoring")),
    }  # fmt: skip
    usual = Config()
    defaults = [part.model_dump_json() for part in (usual.night, usual.dream, usual.finetune, usual.gate)]
    total = hashlib.sha256(f"{defaults} {RATE} {RISEN} {versions()}".encode())
    for path in sorted(files):
        total.update(path.read_bytes())
    return total.hexdigest()


def versions() -> dict[str, str]:
    """Of what computes."""
    return {name: version(name) for name in ("torch", "transformers", "peft")}


def kept(code: str, dtype: str, general: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Cells that were finished with this code in this dtype beside these general rows, by name and seed."""
    lines = FINISHED.read_text().splitlines() if FINISHED.is_file() else []
    return {(one["cell"], one["seed"]): one for one in map(json.loads, lines)
            if (one["code"], one["dtype"], one["general"]) == (code, dtype, general)}  # fmt: skip


def keep(one: dict[str, Any]) -> None:
    """A cell as soon as it is finished, behind all others: a run that is ended leaves what it has."""
    with FINISHED.open("a") as file:
        file.write(f"{json.dumps(one)}\n")


def finished(name: str, seed: int, home: Path, pool: Path, code: str, dtype: str) -> dict[str, Any]:
    """A cell's outcome, in a process of its own."""
    cell = next(cell for cell in CELLS if cell.name == name)
    known = home / f"base-{seed}-{dtype}-{code[:16]}.json"
    own = run(cell, seed, known, pool, dtype)
    if digest() != code:
        raise RuntimeError(f"The code was changed while {name!r} ran; it is not counted. Start again.")
    return {**own, "general": general_of(pool), "code": code, "date": datetime.now(UTC).date().isoformat()}


def general_of(pool: Path) -> str:
    """The general rows' own digest."""
    return hashlib.sha256(pool.read_bytes()).hexdigest()[:16]


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
        "bench": "dose", "examples_above_noise": above_noise(cells), "cells": cells,
        **{fact: found[0][fact] for fact in ("code", "dtype")},
        "dates": sorted({one["date"] for one in found}),
        "device": device(),
        "versions": versions(),
    }  # fmt: skip


def in_order(found: Mapping[tuple[str, int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells as they are listed, whichever was finished first."""
    return [found[cell.name, seed] for cell in CELLS for seed in sorted({seed for _, seed in found})
            if (cell.name, seed) in found]  # fmt: skip


def above_noise(cells: dict[str, dict[str, Any]]) -> int | None:
    """From how many pairs on the gate's probes are told apart better than by the base, in every seed beyond noise."""
    doses = sorted(
        ((cell["pairs"], cell) for name, cell in cells.items() if name.endswith(" pairs")), key=lambda d: d[0]
    )
    surely = [cell["probes.discrimination"]["above_noise"] == cell["seeds"] for _, cell in doses]
    reached = [pairs for k, (pairs, _) in enumerate(doses) if all(surely[k:])]
    return reached[0] if reached else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("state/bench-dose"), help="where cells are kept")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time, which share the cores")
    parser.add_argument("--only", help="run just the cells whose name begins so")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--report", action="store_true", help="print the last finished run")
    options = parser.parse_args()
    if options.report:
        print(json.dumps(json.loads(RESULT.read_text())))
        return
    home = options.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    pool, code = same_rows(home), digest()
    found = kept(code, options.dtype, general_of(pool))
    wanted = [(cell.name, seed) for cell in CELLS for seed in range(1, options.seeds + 1)
              if cell.name.startswith(options.only or "") and (cell.name, seed) not in found]  # fmt: skip
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    with ProcessPoolExecutor(
        options.jobs, get_context("spawn"), torch.set_num_threads, (threads,), max_tasks_per_child=1
    ) as workers:
        running = [workers.submit(finished, name, seed, home, pool, code, options.dtype) for name, seed in wanted]
        try:
            for done in as_completed(running):
                one = done.result()
                found[one["cell"], one["seed"]] = one
                keep(one)
                told = {m: one["measures"][m][1] for m in ("probes.auc", "lessons.discrimination", "perplexity.prose")}
                print(one["cell"], one["seed"], one["seconds"], told, one["verdict"], flush=True)
        finally:
            workers.shutdown(wait=False, cancel_futures=True)  # one that breaks need not wait for all others
    RESULT.write_text(json.dumps(line(in_order(found))) + "\n")
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
