"""Ten nights in a row, three seeds: does judgment grow, and does nothing else fall?

Four contestants on the same logs and the same labelled pairs: the base model; the base under the best system prompt of
several (`prompted`); a loop of TRL's trainers without replay, anchor or gate (`naive`); and dreamloop, whole nights as
people run them, except that general rows and dreams are not the model's own (`row.config_of`). What dreamloop has
beside the pairs, general rows and twins of other kinds that are only held, has no labels. Before the first night,
halfway and after the last each is asked the gate's probes, whose templates, facts and wordings are in no dream and
which offer both sides the same replies, and public sets that nothing is trained on (`public`). A figure has a mean over
the seeds and a 90 % interval (`intervals`); ``gain`` is the same against the base, on the same items.

    python tests/bench/nights.py --data FOLDER [--logs FOLDER] [--seeds 3] [--nights 10]   runs what is not finished yet
    python tests/bench/nights.py --data FOLDER --seed N                                    one seed alone, beside others
    python tests/bench/nights.py --report                                                  prints the last finished run

How long nights take is told of all seeds, so each should have all cores to itself. A seed whose nights are over is
kept at once, with what its naive loop still needs (`stash`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from asking import Scores, asked, asking_digest
from code_digest import code_digest
from imitation import imitate, imitated, place_of, seconds
from lived import Lived, keep, kept, lived, same_rows, unchanging
from prompted import best
from public import Public, load_public
from row import config_of, ended_nights, live, served_by
from stash import put_by, stash, take_out
from told import line

from dreamloop.gate.reading import load_suite
from dreamloop.gate.suite import Suite
from dreamloop.ledger.store import Ledger
from dreamloop.paths import SAMPLES, Home

RESULT = Path(__file__).parent / "results" / "nights.json"
ITEMS = Path(__file__).parent / "items"  # asked beside the gate's
LONG = 10  # nights from which contestants are asked halfway, too


def digest_of(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()


def known(path: Path, measure: Callable[[], Scores]) -> Scores:
    """Scores from their file, measured where there is none."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")  # two seeds may measure the same at once
        part.write_text(json.dumps(measure()))
        part.replace(path)
    found: Scores = json.loads(path.read_text())
    return found


def measured(
    place: Path, who: str, adapters: Mapping[int, Path | None], suite: Suite, public: Public
) -> dict[str, Scores]:  # fmt: skip
    """Everything that is asked of a contestant that trains, by name and night, and kept in its place."""
    asking, found = asking_digest(suite, public), {}
    for night, adapter in adapters.items():
        path = place / f"scores-{asking[:8]}" / f"{night:02d}.json"
        found[f"{who} {night}"] = known(path, lambda a=adapter: asked(a, "", suite, public))  # type: ignore[misc]
    return found


def untrained(home: Path, prompt: str, suite: Suite, public: Public) -> dict[str, Scores]:
    """The same of what nothing is trained for; a seed that was kept on another day and was asked the same has it."""
    asking = asking_digest(suite, public)
    found = unchanging(asking, digest_of(prompt))
    for name, system in (("base 0", ""), ("prompted 0", prompt)):
        if name not in found:
            path = home / f"scores-{asking[:8]}" / f"under-{digest_of(system)[:8]}.json"
            found[name] = known(path, lambda p=system: asked(None, p, suite, public))  # type: ignore[misc]
    return found


def run(home: Path, seed: int, nights: int, logs: Path, suite: Suite, public: Public, code: str) -> Lived:
    """One seed's nights, the naive loop on the same pairs, and everybody's scores.

    After dreamloop's own part the seed is kept as far as it is: all others may be run and asked on another machine.

    Raises:
        ValueError: a half-done seed was asked other things, or its folder holds the nights of another row.
    """
    place, asking, prompt = home / f"seed-{seed}", asking_digest(suite, public), best()  # before what takes hours
    asked_at = [nights // 2, nights] if nights >= LONG else [nights]
    one = half_done(seed, code, nights)
    pool = home if one else same_rows(home)  # a naive night reads no general rows
    config, own = config_of(pool, logs, seed), Home(place / "home")
    if one is None:
        live(own, config, nights)
        adapters = {night: served_by(own, night) for night in asked_at}
        scores = measured(own.root, "dreamloop", adapters, suite, public)
        ended = {number for number, _ in ended_nights(own)[:nights]}
        with closing(Ledger(own.ledger)) as ledger:
            one = lived(seed, ledger, ended, scores, code, asking, suite.probes)
        begun(home, logs)
        put_by(own.ledger, stash(seed))
        keep(one)
    elif one.asking != asking:
        raise ValueError(
            f"Seed {seed} was asked other things before its naive loop; remove its files and run it again."
        )
    elif not own.ledger.is_file():
        take_out(stash(seed), own)
    elif [number for number, _ in ended_nights(own)[:nights]] != [night.number for night in one.nights]:
        raise ValueError(f"{own.root} holds other nights than seed {seed} was kept with; remove that folder.")
    naive = place_of(place, own.ledger)
    imitate(own, naive, config, nights)
    adapters = {night: imitated(naive, night) for night in asked_at}
    others = untrained(home, prompt, suite, public)
    scores = {**others, **one.scores, **measured(naive, "naive", adapters, suite, public)}
    return replace(one, scores=scores, prompt=digest_of(prompt), naive_seconds=seconds(naive))


def under_the_best_prompt(one: Lived, home: Path, suite: Suite, public: Public) -> Lived:
    """A seed with the scores of the prompt that is the best by now: which one that is may have been found since.

    Raises:
        ValueError: it was asked other things than would be asked today.
    """
    prompt = best()
    if one.prompt == digest_of(prompt):
        return one
    if one.asking != asking_digest(suite, public):
        raise ValueError(f"Seed {one.seed} was asked other things, and not under today's prompt; run it again.")
    scores = {**one.scores, "prompted 0": untrained(home, prompt, suite, public)["prompted 0"]}
    again = replace(one, scores=scores, prompt=digest_of(prompt))
    keep(again)
    return again


def begun(home: Path, logs: Path) -> str:
    """The digest of the code and the logs that the nights of a home come from, which may not change on the way.

    Raises:
        ValueError: what is there came from other code or logs.
    """
    noted = home / "code.txt"
    files = sorted(path for path in logs.rglob("*") if path.is_file())
    code = code_digest(Path(__file__).with_name("row.py"), *files)
    if noted.is_file() and noted.read_text() != code:
        raise ValueError(f"The nights in {home} ran on other code or logs; remove that folder, and they begin anew.")
    noted.write_text(code)
    return code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("state/bench-nights"), help="where nights are kept")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--logs", type=Path, default=SAMPLES, help="what people said; the shipped samples by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--report", action="store_true", help="print the last finished run")
    options = parser.parse_args()
    if options.report:
        print(json.dumps(json.loads(RESULT.read_text())))
        return
    home, logs = options.home.absolute(), options.logs.absolute()
    home.mkdir(parents=True, exist_ok=True)
    suite, public, code = load_suite(ITEMS), load_public(options.data), begun(home, logs)
    seeds = range(1, max(options.seeds, options.seed or 1) + 1)
    for seed in [options.seed] if options.seed else seeds:
        if not finished([seed], code, options.nights):
            one = run(home, seed, options.nights, logs, suite, public, code)
            begun(home, logs)  # says so where the code changed meanwhile
            keep(one)
            stash(seed).unlink(missing_ok=True)
        every = [under_the_best_prompt(one, home, suite, public) for one in finished(seeds, code, options.nights)]
        RESULT.write_text(json.dumps(line(every, suite, public)) + "\n")
    print(RESULT.read_text())


def of_this_run(seeds: Iterable[int], code: str, nights: int) -> list[Lived]:
    """The seeds that were kept with this code after as many nights, with the naive loop or not yet."""
    return [one for one in map(kept, seeds) if one and (one.code, len(one.nights)) == (code, nights)]


def finished(seeds: Iterable[int], code: str, nights: int) -> list[Lived]:
    """Those of them whose contestants are all there."""
    return [one for one in of_this_run(seeds, code, nights) if f"naive {nights}" in one.scores]


def half_done(seed: int, code: str, nights: int) -> Lived | None:
    """A seed whose nights are over and whose naive loop is not."""
    return next(iter(of_this_run([seed], code, nights)), None)


if __name__ == "__main__":
    main()
