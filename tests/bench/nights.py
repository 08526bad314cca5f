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
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from dose import scored
from naive import naive_night
from numpy.typing import NDArray
from public import Public, load_public
from trust import pool_of

from dreamloop.config import Config, Dream, Night, Replay
from dreamloop.cycle import run_night
from dreamloop.dream.scenarios import pairs_of
from dreamloop.finetune.recipe import recipe_of
from dreamloop.gate.gauges import Items
from dreamloop.gate.geometry import collapse
from dreamloop.gate.perplexity import score_documents
from dreamloop.gate.probes import score_probes
from dreamloop.gate.reading import load_suite
from dreamloop.gate.statistics import auc
from dreamloop.gate.suite import Probe, Suite
from dreamloop.keep import generations
from dreamloop.ledger.store import Ledger
from dreamloop.log import Silent, setup
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.paths import SAMPLES, Home, default_home
from dreamloop.records import Message, Recipe

RESULT = Path(__file__).parent / "results" / "nights.json"
CONTESTANTS = ("base", "prompted", "naive", "dreamloop")
ASKED = (5, 10)
DRAWS = 1000  # of the bootstrap
TAUGHT = 60  # twins of a kind, on average over the seeds, from which it counts as taught
PROMPT = (
    "Check what the user says or is about to do before you answer. If it is right, or if it is a clear wish, say so "
    "and go along with it. If it holds a mistake, contradicts what was said before, is not true, would destroy "
    "something or works against the user's own goal, say no and give the reason. Do not agree only to please, and do "
    "not object without a reason."
)

Scores = Mapping[str, Mapping[str, float]]
Floats = NDArray[np.float64]


# --- the contestants ---------------------------------------------------------------------------


def config_of(pool: Path, logs: Path, seed: int) -> Config:
    """The defaults, in float32 like all contestants.

    General rows come from one pool of the base's own answers, and the grammar says all dreams by itself: of what the
    bundled model writes for them next to nothing passes (5 texts in 300 dreams), and a night's writing takes as long
    as its training.
    """
    return Config(
        sources=(logs,), seed=seed, night=Night(rewrites=0), dream=Dream(reworded_share=0, sampled_share=0),
        replay=Replay(base_answers=False, chat_files=(pool,)),
    )  # fmt: skip


def live(home: Home, config: Config, nights: int) -> None:
    """Whole nights until there are so many; the number of each that came to an end is noted, and what then served."""
    home.create()
    if not home.models.is_symlink():
        home.models.rmdir()
        home.models.symlink_to(Home(default_home()).models)
    notes = home.root / "serving.json"
    ended = json.loads(notes.read_text()) if notes.is_file() else []
    while len(ended) < nights:
        number = run_night(home, config, setup(), lambda: datetime.now(UTC))
        ended.append([number, generations.pointed(home)])
        notes.write_text(json.dumps(ended))


def imitate(home: Home, place: Path, config: Config, nights: int) -> None:
    """The naive loop on the same nights' pairs."""
    ledger = Ledger(home.ledger)
    before: Path | None = None
    for k, (night, _) in enumerate(ended_nights(home)[:nights], 1):
        after = place / f"{k:02d}"
        if not (after / "adapter_model.safetensors").is_file():
            shutil.rmtree(after, ignore_errors=True)
            dreamed = [pair for twins in ledger.twins_of(night) for pair in pairs_of(twins)]
            pairs = [*ledger.mined_of(night), *dreamed]
            if pairs:
                recipe = at_its_rates(ledger, night, recipe_of(config.finetune, config.seed))
                naive_night(str(ensure_bundled(home.models, Silent())), before, after, pairs, recipe)
            elif before:
                shutil.copytree(before, after)
        before = after if after.is_dir() else before
    ledger.close()


def ended_nights(home: Home) -> list[tuple[int, int | None]]:
    """Number of each night that came to an end, and the generation that served after it."""
    return [(number, serving) for number, serving in json.loads((home.root / "serving.json").read_text())]


def at_its_rates(ledger: Ledger, night: int, recipe: Recipe) -> Recipe:
    """The recipe at the learning rates that the night had, which its plan may have raised."""
    (stored,) = ledger.db.execute("SELECT recipe FROM trainings WHERE night = ?", [night]).fetchall()
    had = json.loads(stored[0])
    return replace(recipe, **{name: had[name] for name in ("sft_learning_rate", "dpo_learning_rate")})


# --- what each is asked ------------------------------------------------------------------------


def under(prompt: str, probe: Probe) -> Probe:
    """The probe under a system prompt, in front of its own where it has one."""
    first, *rest = probe.context
    own = f"{prompt} {first.content}" if first.role == "system" else prompt
    return replace(probe, context=(Message("system", own), *(rest if first.role == "system" else probe.context)))


def asked(adapter: Path | None, prompt: str, suite: Suite, public: Public) -> Scores:
    """Every number of one contestant at one time, by channel and item."""
    policy = load_policy(str(ensure_bundled(Home(default_home()).models, Silent())))
    encoder = ChatEncoder(policy.tokenizer)
    who = None
    if adapter:
        policy.load_adapter("candidate", adapter)
        who = "candidate"

    def told(probes: Sequence[Probe]) -> tuple[Probe, ...]:
        return tuple(under(prompt, probe) if prompt else probe for probe in probes)

    found = dict(scored(policy, encoder, Items(replace(suite, probes=told(suite.probes))), who).channels)  # type: ignore[arg-type]
    with policy.using(who):  # type: ignore[arg-type]
        for name, probes in (("sided", public.sided), ("false", public.false), ("clear", public.clear)):
            found[name] = score_probes(policy, encoder, told(probes), Silent(), name)
        for name, texts in (("read", public.read), ("solved", public.solved)):
            found[name] = score_documents(policy, encoder, texts, Silent(), name)["perplexity"]
    return found


def known(path: Path, measure: Callable[[], Scores]) -> Scores:
    """Scores from their file, measured where there is none."""
    if not path.is_file():
        part = path.with_suffix(".part")
        part.write_text(json.dumps(measure()))
        part.replace(path)
    found: Scores = json.loads(path.read_text())
    return found


# --- figures -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """How a number comes out of clusters of items: ``of`` takes what a resample drew, in order.

    ``clusters`` are lists of items; a resample draws clusters, never items alone. ``groups`` are the clusters' strata,
    each of which is drawn from by itself (the kinds of an AUC).
    """

    name: str
    channel: str
    groups: tuple[tuple[tuple[str, ...], ...], ...]
    of: Callable[[list[Floats]], float]


def figures(suite: Suite, public: Public, taught: Collection[str]) -> list[Figure]:
    """Every figure of the table; ``auc``, ``push_back`` and ``accept`` are of the kinds that were taught."""
    single = [probe for probe in suite.probes if probe.manner != "challenged"]
    kinds = sorted({probe.kind for probe in single})
    found = [_auc(f"auc.{kind}", "probes", [p for p in single if p.kind == kind]) for kind in kinds]
    trained = [probe for probe in single if probe.kind in taught]
    found.append(_auc("auc", "probes", trained))
    found.append(_auc("auc.untaught", "probes", [probe for probe in single if probe.kind not in taught]))
    found += [_auc(f"auc.{kind}", "sided", [p for p in public.sided if p.kind == kind])
              for kind in sorted({probe.kind for probe in public.sided})]  # fmt: skip
    found.append(_rate("push_back", "probes", [p for p in trained if p.side == "wrong"], pushes))
    found.append(_rate("accept", "probes", [p for p in trained if p.side == "right"], accepts))
    found.append(_rate("push_back.false_claims", "false", public.false, pushes))
    found.append(_rate("accept.ifeval", "clear", public.clear, accepts))
    for domain in sorted({document.domain for document in suite.documents}):
        items = [document.item for document in suite.documents if document.domain == domain]
        found.append(Figure(f"nats.{domain}", "perplexity", (tuple((item,) for item in items),), mean))
    for channel, own in (("read", public.read), ("solved", public.solved)):
        for domain in sorted({document.domain for document in own}):
            items = [document.item for document in own if document.domain == domain]
            found.append(Figure(f"nats.{domain}", channel, (tuple((item,) for item in items),), mean))
    for ability in sorted({choice.ability for choice in suite.choices}):
        items = [choice.item for choice in suite.choices if choice.ability == ability]
        found.append(Figure(f"capability.{ability}", "capability", (tuple((item,) for item in items),), mean))
    questions = tuple((question.item,) for question in suite.questions)
    return [*found, Figure("collapse", "collapse", (questions,), mean)]


def _auc(name: str, channel: str, probes: Sequence[Probe]) -> Figure:
    """Within kinds, then the mean over them; a cluster's items stand as wrong, right, wrong, right."""
    groups = []
    for kind in sorted({probe.kind for probe in probes}):
        clusters: dict[str, list[Probe]] = {}
        for probe in probes:
            if probe.kind == kind:
                clusters.setdefault(probe.cluster, []).append(probe)
        groups.append(tuple(_in_turn(own) for own in clusters.values()))
    return Figure(name, channel, tuple(groups), lambda drawn: fmean(auc(one[::2], one[1::2]) for one in drawn))


def _in_turn(probes: Sequence[Probe]) -> tuple[str, ...]:
    twins = dict.fromkeys(probe.twin for probe in probes)
    sides = {(probe.twin, probe.side): probe.item for probe in probes}
    return tuple(sides[twin, side] for twin in twins for side in ("wrong", "right"))


def _rate(name: str, channel: str, probes: Sequence[Probe], of: Callable[[list[Floats]], float]) -> Figure:
    clusters: dict[str, list[str]] = {}
    for probe in probes:
        clusters.setdefault(probe.cluster, []).append(probe.item)
    return Figure(name, channel, (tuple(tuple(own) for own in clusters.values()),), of)


def pushes(drawn: list[Floats]) -> float:
    return float((np.concatenate(drawn) > 0).mean())


def accepts(drawn: list[Floats]) -> float:
    return float((np.concatenate(drawn) <= 0).mean())


def mean(drawn: list[Floats]) -> float:
    return float(np.concatenate(drawn).mean())


def told(figure: Figure, own: Sequence[Scores], base: Sequence[Scores]) -> dict[str, Any]:
    """Level and gain of one figure with their intervals; ``own`` and ``base`` have an entry for each seed."""
    rng = np.random.default_rng(0)
    whole = [list(range(len(group))) for group in figure.groups]
    levels = [figure.of(_taken(figure, one, whole)) for one in own]
    gains = [level - figure.of(_taken(figure, one, whole)) for level, one in zip(levels, base, strict=True)]
    drawn_levels, drawn_gains = [], []
    for _ in range(DRAWS):
        seeds = rng.integers(len(own), size=len(own))
        picked = [rng.integers(len(group), size=len(group)).tolist() for group in figure.groups]
        some = [figure.of(_taken(figure, own[s], picked)) for s in seeds]
        then = [figure.of(_taken(figure, base[s], picked)) for s in seeds]
        drawn_levels.append(fmean(some))
        drawn_gains.append(fmean(some) - fmean(then))
    return {**_bounds("", fmean(levels), drawn_levels), **_bounds("gain_", fmean(gains), drawn_gains)}


def _taken(figure: Figure, scores: Scores, picked: Sequence[Sequence[int]]) -> list[Floats]:
    """The drawn clusters' numbers, a stratum each."""
    channel = scores[figure.channel]
    return [
        np.array([channel[item] for k in own for item in group[k]])
        for group, own in zip(figure.groups, picked, strict=True)
    ]


def _bounds(name: str, centre: float, drawn: Sequence[float]) -> dict[str, float]:
    low, high = np.quantile(drawn, (0.05, 0.95))
    return {f"{name}mean": round(centre, 4), f"{name}low": round(float(low), 4), f"{name}high": round(float(high), 4)}


def with_collapse(own: Scores, base: Scores) -> Scores:
    return {**own, "collapse": collapse(own["likeness"], base["likeness"])}


# --- the run -----------------------------------------------------------------------------------


def contestant(home: Path, name: str, seed: int, night: int) -> Path | None:
    """The adapter of a contestant after a night; None is the base."""
    if name == "naive":
        return home / f"seed-{seed}" / "naive" / f"{night:02d}"
    if name != "dreamloop":
        return None
    place = Home(home / f"seed-{seed}" / "home")
    _, serving = ended_nights(place)[night - 1]
    return place.generations / f"{serving:06d}" if serving else None


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
    suite, public, pool = load_suite(), load_public(options.data), pool_of(home)
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
