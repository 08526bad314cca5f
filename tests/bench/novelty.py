"""The index of what was dreamed at a million scenarios, against datasketch's own MinHashLSH kept in a file.

``python tests/bench/novelty.py`` prints one JSON line. What is stored are real dreams (a twentieth) and texts made from
them by exchanging words, so that templates are shared as they are over years. ``query_ms`` holds the hashing of real
twins and ``insert_ms`` the share of making them durable; both are medians over a night of a thousand. ``recall`` is the
share found of planted texts whose true Jaccard similarity to a stored one is 0.85, ``false_positives`` that of texts
below 0.5 (half of them just below) that are taken for repeats. ``ratio_to_datasketch`` compares a night's use: open the
stored index, check and add a thousand, make it durable; the other side opens its pickle and does the same in memory.
Rounds alternate.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import platform
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from dreamloop.config import Config, Dream
from dreamloop.dream import novelty as index
from dreamloop.dream.axes import Coverage, Draw
from dreamloop.dream.books import load_shelves
from dreamloop.dream.novelty import THRESHOLD, Novelty, mark_from, mark_of
from dreamloop.dream.sketch import sketch, twins_of
from dreamloop.paths import default_home, prompts_folder

RESULTS = Path(__file__).resolve().parent / "results" / "novelty.json"
NIGHT = 1000
PLANTED = 2000
ROUNDS = 3
CHUNK = 10_000


def real_texts(count: int, seed: int) -> list[str]:
    """Texts of dreamed twins, without any check."""
    (shelf,) = load_shelves([prompts_folder() / "dream"], ["en"], Config().night.kinds)
    rng, coverage, knobs = random.Random(seed), Coverage(), Dream(bare_share=0.0)
    kinds = list(shelf.books)
    texts = []
    for k in range(count):
        book = shelf.books[kinds[k % len(kinds)]]
        drawn = sketch(book, shelf, Draw(rng, coverage), knobs)
        coverage.add(drawn.axes)
        texts.append(twins_of(drawn).text())
    return texts


def reworked(text: str, rng: random.Random) -> str:
    """A text with two words of five exchanged, and a third of its length."""
    words = text.split()
    start = rng.randrange(max(1, len(words) - 40))
    return " ".join(f"w{rng.randrange(10**7)}" if rng.random() < 0.4 else word for word in words[start : start + 40])


def hashes(texts: list[str]) -> NDArray[np.uint32]:
    """(n, 128) MinHash values."""
    return np.stack([sketched(text).hashvalues.astype(np.uint32) for text in texts])


def sketched(text: str) -> MinHash:
    """The text as datasketch holds it, hashed just as the index hashes it."""
    words = index._WORD.findall(text.lower())
    found = MinHash(num_perm=128, seed=index._SEED, scheme=index._SCHEME, permutations=index._permutations())
    found.update_batch([" ".join(words[i : i + 3]).encode() for i in range(max(1, len(words) - 2))])
    return found


def chunk_of(task: tuple[int, int]) -> NDArray[np.uint32]:
    """Hashes of one chunk of what is stored: a twentieth real, the rest made from real ones."""
    number, size = task
    rng = random.Random(number)
    real = real_texts(size // 20, number)
    return hashes([*real, *(reworked(rng.choice(real), rng) for _ in range(size - len(real)))])


def stored(count: int) -> Iterator[NDArray[np.uint32]]:
    """The chunks in order, made on all cores."""
    with multiprocessing.Pool() as pool:
        yield from pool.imap(chunk_of, [(number, CHUNK) for number in range(count // CHUNK)])


def build(home: Path, count: int) -> None:
    """Both indexes, kept for the next run."""
    done = home / f"built-{count}"
    if done.exists():
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    ours, theirs = Novelty(home / "novelty.db"), MinHashLSH(threshold=THRESHOLD, num_perm=128)
    number = 0
    for chunk in stored(count):
        for row in chunk:
            mark = mark_from(row)
            ours.insert(mark, (f"{number:064x}", f"{number + count:064x}"))  # two sides' digests, as in use
            theirs.insert(number, MinHash(num_perm=128, seed=index._SEED, scheme=index._SCHEME, hashvalues=row,
                                          permutations=index._permutations()))  # fmt: skip
            number += 1
        ours.keep(number)
        print(f"{number:,} stored", file=sys.stderr, flush=True)
    ours.close()
    with (home / "datasketch.pickle").open("wb") as file:
        pickle.dump(theirs, file, protocol=5)
    done.touch()


def night_of_ours(home: Path, texts: list[str]) -> dict[str, float]:
    """One night on the stored index: times in seconds, and the inserts' and questions' medians in ms."""
    started = time.perf_counter()
    opened_index = Novelty(home / "novelty.db")
    opened = time.perf_counter() - started
    asked, added = [], []
    for k, text in enumerate(texts):
        before = time.perf_counter()
        mark = mark_of(text)
        opened_index.holds(mark)
        between = time.perf_counter()
        opened_index.insert(mark, (os.urandom(32).hex(), os.urandom(32).hex()))
        asked.append(between - before)
        added.append(time.perf_counter() - between)
        if k == len(texts) - 1:
            before = time.perf_counter()
            opened_index.keep(opened_index.reached + len(texts))
            kept = time.perf_counter() - before
    total = time.perf_counter() - started
    opened_index.close()
    return {"open": opened, "query_ms": 1000 * statistics.median(asked), "total": total,
            "insert_ms": 1000 * (statistics.median(added) + kept / len(texts))}  # fmt: skip


def night_of_theirs(home: Path, texts: list[str]) -> float:
    """The same on datasketch's side, in seconds; what it added is not written back."""
    started = time.perf_counter()
    with (home / "datasketch.pickle").open("rb") as file:
        lsh = pickle.load(file)  # noqa: S301 - written by this script
    for k, text in enumerate(texts):
        found = sketched(text)
        lsh.query(found)
        lsh.insert(f"new {k}", found)
    return time.perf_counter() - started


def planted(home: Path) -> dict[str, float]:
    """Recall at a true similarity of 0.85 and false positives below 0.5, asked of the stored million and these."""
    rng = random.Random(9)
    originals = [[f"p{k}x{word}" for word in rng.sample(range(10**6), 39)] for k in range(PLANTED)]
    opened = Novelty(home / "novelty.db")
    for words in originals:
        opened.add(" ".join(words))
    near = [" ".join([*words[:20], "other", *words[21:]]) for words in originals]
    below = [exchanged(words, (4, 12, 20, 28, 29)) for words in originals]
    far = real_texts(PLANTED, 77)
    assert jaccard(near[0], " ".join(originals[0])) == 0.85
    assert 0.45 < jaccard(below[0], " ".join(originals[0])) < 0.5
    found = {
        "recall": statistics.fmean(opened.knows(text) for text in near),
        "false_positives": statistics.fmean(opened.knows(text) for text in below + unlike(home, far)),
    }
    opened.close()  # nothing is kept
    return found


def exchanged(words: list[str], places: tuple[int, ...]) -> str:
    return " ".join("other" + str(k) if k in places else word for k, word in enumerate(words))


def unlike(home: Path, texts: list[str]) -> list[str]:
    """Fresh dreams with their words exchanged so far that nothing stored can be half as alike."""
    rng = random.Random(5)
    return [" ".join(f"q{rng.randrange(10**7)}" if k % 3 == 0 else w for k, w in enumerate(t.split())) for t in texts]


def jaccard(one: str, other: str) -> float:
    """The true similarity of two texts' word triples."""
    sets = [{tuple(words[i : i + 3]) for i in range(len(words) - 2)} for words in (one.split(), other.split())]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--home", type=Path, default=default_home() / "bench-novelty")
    parser.add_argument("--side", choices=["ours", "theirs"])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.side:  # one night in a process of its own, so that nothing is warm but the system's cache
        texts = real_texts(NIGHT, 1000 + given.seed)
        night = (
            night_of_ours(given.home, texts) if given.side == "ours" else {"total": night_of_theirs(given.home, texts)}
        )
        print(json.dumps(night))
        return
    build(given.home, given.count)
    size = sum(path.stat().st_size for path in given.home.glob("novelty.db*"))
    measured = planted(given.home)
    rounds: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": []}
    for seed in range(ROUNDS):
        for side, own in rounds.items():
            command = [sys.executable, __file__, "--side", side, "--home", str(given.home), "--seed", str(seed)]
            own.append(json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout))
            print(side, own[-1], file=sys.stderr, flush=True)
    median = {name: statistics.median(one[name] for one in rounds["ours"]) for name in rounds["ours"][0]}
    theirs = statistics.median(one["total"] for one in rounds["theirs"])
    line = {
        "bench": "novelty", "stored": given.count, "insert_ms": round(median["insert_ms"], 3),
        "query_ms": round(median["query_ms"], 3), "recall": round(measured["recall"], 4),
        "false_positives": round(measured["false_positives"], 5), "bytes_per_scenario": round(size / given.count),
        "open_seconds": round(median["open"], 4), "ratio_to_datasketch": round(theirs / median["total"], 1),
        "night_seconds": round(median["total"], 2), "night_seconds_datasketch": round(theirs, 1),
        "date": datetime.now(UTC).date().isoformat(), "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(), "datasketch": version("datasketch"),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(line, indent=1) + "\n")
    print(json.dumps(line))


if __name__ == "__main__":
    main()
