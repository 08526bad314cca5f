"""Ten nights in a row, three seeds: does judgment grow, and does nothing else fall?

Four contestants on the same logs and the same dreams: the base model; the base under a system prompt written for it;
a loop of TRL's trainers without replay, anchor or gate (`naive`); and dreamloop, whole nights as people run them,
except that general rows and dreams are not the model's own (`contestants.config_of`). Before the first night, halfway
and after the last each is asked the gate's probes, whose templates, facts and wordings are in no dream and which
offer both sides the same replies, and public sets that nothing is trained on (`public`). A figure has a mean over the
seeds and a 90 % interval (`figures`); ``gain`` is the same against the base, on the same items.

    python tests/bench/nights.py --data FOLDER [--logs FOLDER] [--seeds 3] [--nights 10]   runs what is not finished yet
    python tests/bench/nights.py --data FOLDER --seed N                                    one seed alone, beside others
    python tests/bench/nights.py --report                                                  prints the last finished run

How long nights take is told of the first seed, which should have all cores to itself. A seed whose nights are over is
kept at once, with what its naive loop still needs (`stash`).
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from asking import PROMPT, Scores, asked, asking_digest
from code_digest import code_digest
from contestants import config_of, contestant, ended_nights, imitate, live
from figures import bounds, figures, told, with_collapse
from lived import Lived, LivedNight, keep, kept, lived, same_rows, unchanging
from public import Public, load_public
from served import READ
from stash import put_by, stash, take_out

from dreamloop.gate.reading import load_suite
from dreamloop.gate.suite import Suite
from dreamloop.ledger.store import Ledger
from dreamloop.paths import SAMPLES, Home

RESULT = Path(__file__).parent / "results" / "nights.json"
ITEMS = Path(__file__).parent / "items"  # asked beside the gate's
LONG = 10  # nights from which contestants are asked halfway, too
COMPARED = ("auc", "gap")  # what dreamloop should be better at than the others; ``gain`` says by how much


def known(path: Path, measure: Callable[[], Scores]) -> Scores:
    """Scores from their file, measured where there is none."""
    if not path.is_file():
        part = path.with_suffix(f".{os.getpid()}")  # two seeds may measure the same at once
        part.write_text(json.dumps(measure()))
        part.replace(path)
    found: Scores = json.loads(path.read_text())
    return found


def line(every: Sequence[Lived], suite: Suite, public: Public) -> dict[str, Any]:
    """The JSON line of the seeds that are finished."""
    asked_of = figures(suite, public, [one.twins for one in every])

    def of(who: str) -> list[Scores]:
        return [with_collapse(one.scores[who], one.scores["base 0"]) for one in every]

    table = {who: {figure.name: told(figure, of(who), of("base 0")) for figure in asked_of} for who in every[0].scores}
    last = len(every[0].nights)
    better = {
        other: {figure.name: told(figure, of(f"dreamloop {last}"), of(other)) for figure in asked_of
                if figure.name in COMPARED}
        for other in ("prompted 0", f"naive {last}")
    }  # fmt: skip
    trained = [night.seconds for night in every[0].nights if night.pairs]
    return {
        "bench": "nights", "seeds": len(every), "nights": len(every[0].nights), "table": table,
        "better_than": better, "twins": [one.twins for one in every],
        "nights_kept": over_seeds([sum(night.outcome == "kept" for night in one.nights) for one in every]),
        "ended": [dict(Counter(night.outcome for night in one.nights)) for one in every],
        "acts": [dict(Counter(night.act for night in one.nights)) for one in every],
        "seconds_a_night": {"median": round(median(trained), 1), "longest": max(trained)},
        "examples_above_noise": [above_noise(one.nights) for one in every],
        "worst_night": {domain: round(max(worst_night(one.nights, domain) for one in every), 5) for domain in READ},
        "codes": sorted({one.code[:16] for one in every}),
        "askings": sorted({one.asking[:16] for one in every}), "dates": sorted({one.date for one in every}),
        "device": every[-1].device, "versions": every[-1].versions,
    }  # fmt: skip


def above_noise(nights: Sequence[LivedNight]) -> dict[str, float] | None:
    """Pairs that kept nights had trained on when fresh scenarios were first surely told apart better than by the base,
    and from then on in every kept night, and by how many nats per token that was; None where that never came. Of a
    step kept in part as large a part counts."""
    those_kept = [night for night in nights if night.outcome == "kept" and night.act != "rebase"]
    surely = [k for k in range(len(those_kept)) if all(night.surely for night in those_kept[k:])]
    if not surely:
        return None
    pairs = sum(night.pairs * night.scale for night in those_kept[: surely[0] + 1])
    return {"pairs": round(pairs), "nats": round(those_kept[surely[0]].served["lessons.discrimination"], 5)}


def worst_night(nights: Sequence[LivedNight], domain: str) -> float:
    """The largest perplexity ratio of a domain from what served before a night to what served after it."""
    since_base = [night.served[f"perplexity.{domain}"] for night in nights if night.served]
    return max((math.exp(after - before) for before, after in pairwise([0.0, *since_base])), default=1.0)


def over_seeds(counted: Sequence[float]) -> dict[str, float]:
    """Mean of one number a seed and its 90 % interval."""
    return bounds("", counted, [], [])


def measured(
    home: Path, name: str, seed: int, nights: Sequence[int], suite: Suite, public: Public
) -> dict[str, Scores]:
    """Everything that is asked of a contestant that trains, by name and night."""
    found = {}
    for night in nights:
        adapter = contestant(home, name, seed, night)
        path = home / "scores" / f"{name}-{seed}-{night}.json"
        found[f"{name} {night}"] = known(path, lambda a=adapter: asked(a, "", suite, public))  # type: ignore[misc]
    return found


def untrained(home: Path, suite: Suite, public: Public, asking: str) -> dict[str, Scores]:
    """The same of what nothing is trained for; a seed that was kept on another day and was asked the same has it."""
    found = unchanging(asking)
    for name, prompt in (("base 0", ""), ("prompted 0", PROMPT)) if not found else ():
        path = home / "scores" / f"{name}.json"
        found[name] = known(path, lambda p=prompt: asked(None, p, suite, public))  # type: ignore[misc]
    return found


def run(home: Path, seed: int, nights: int, logs: Path, suite: Suite, public: Public, code: str) -> Lived:
    """One seed's nights, the naive loop on the same pairs, and everybody's scores.

    After dreamloop's own part the seed is kept as far as it is: the naive loop may be run on another machine.

    Raises:
        ValueError: a half-done seed was asked other things, or its folder holds the nights of another row.
    """
    place, asking = home / f"seed-{seed}", asking_digest(suite, public)  # before what takes hours
    asked_at = [nights // 2, nights] if nights >= LONG else [nights]
    one = half_done(seed, code, nights)
    pool = home if one else same_rows(home)  # a naive night reads no general rows
    config, own = config_of(pool, logs, seed), Home(place / "home")
    if one is None:
        live(own, config, nights)
        scores = {**untrained(home, suite, public, asking),
                  **measured(home, "dreamloop", seed, asked_at, suite, public)}  # fmt: skip
        ended = {number for number, _ in ended_nights(own)[:nights]}
        with closing(Ledger(own.ledger)) as ledger:
            one = lived(seed, ledger, ended, scores, code, asking, suite.probes)
        begun(home)
        put_by(own.ledger, stash(seed))
        keep(one)
    elif one.asking != asking:
        raise ValueError(
            f"Seed {seed} was asked other things before its naive loop; remove its files and run it again."
        )
    elif not own.ledger.is_file():
        take_out(stash(seed), own, [night.number for night in one.nights])
    elif [number for number, _ in ended_nights(own)[:nights]] != [night.number for night in one.nights]:
        raise ValueError(f"{own.root} holds other nights than seed {seed} was kept with; remove that folder.")
    imitate(own, place / "naive", config, nights)
    return replace(one, scores={**one.scores, **measured(home, "naive", seed, asked_at, suite, public)})


def begun(home: Path) -> str:
    """The digest of the code that nights and scores of a home come from, which may not change on the way.

    Raises:
        ValueError: what is there came from other code.
    """
    noted, own = home / "code.txt", Path(__file__).parent
    files = (own / f"{name}.py" for name in ("asking", "contestants", "naive", "public", "scoring"))
    code = code_digest(*files, ITEMS / "probes.toml")
    if noted.is_file() and noted.read_text() != code:
        raise ValueError(f"The nights in {home} ran on other code; remove that folder, and they begin anew.")
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
    home = options.home.absolute()
    (home / "scores").mkdir(parents=True, exist_ok=True)
    suite, public, code = load_suite(ITEMS), load_public(options.data), begun(home)
    seeds = range(1, max(options.seeds, options.seed or 1) + 1)
    for seed in [options.seed] if options.seed else seeds:
        if not finished([seed], code, options.nights):
            one = run(home, seed, options.nights, options.logs.absolute(), suite, public, code)
            begun(home)  # says so where the code changed meanwhile
            keep(one)
            stash(seed).unlink(missing_ok=True)
        RESULT.write_text(json.dumps(line(finished(seeds, code, options.nights), suite, public)) + "\n")
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
