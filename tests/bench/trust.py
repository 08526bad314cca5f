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
import hashlib
import json
import os
import platform
import pydoc_data.topics
import random
import re
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import dreamloop
from dreamloop import cycle, material, paths
from dreamloop.config import Config, Finetune, Gate, Night, Replay, SinceBase, Tonight
from dreamloop.errors import DreamloopError
from dreamloop.finetune.phases import sft_phase
from dreamloop.finetune.replay import base_answers
from dreamloop.finetune.step import Trainer
from dreamloop.finetune.train import train
from dreamloop.keep import generations
from dreamloop.ledger.history import History
from dreamloop.log import Silent, setup
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.encode import Branch, ChatEncoder, Row
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.model.sampler import TransformersSampler
from dreamloop.paths import SAMPLES, Home, default_home
from dreamloop.prompts import load_phrases
from dreamloop.records import Message, Pair, Provenance, Recipe

RESULT = Path(__file__).parent / "results" / "trust.json"
# The incumbent's night: ten doses of three kinds at three and a half times the rate, after which it tells right from
# wrong measurably better than the base does (the intervals of JUDGES lie above 0).
FIRST_NIGHT = {"behavioural": 200, "mined_share": 0.0, "replay_share": 0.1, "kinds": ("notes", "lists", "dates")}
FIRST_RATE = 7e-4
NULLS = 20
FIRST_NULL = 101  # the seed of the first honest night; margins were set on nights with the seeds 1 to 4
FIRST_HARM = 201
JUDGES = ("probes.auc", "probes.discrimination", "lessons.discrimination")
POOL = 134

Train = Callable[..., Any]
Harm = Callable[[Policy, ChatEncoder, Recipe], None]


@dataclass(frozen=True)
class Sabotage:
    """What is done, and how the measures begin that one would expect to catch it, or part of the sentence that refuses.

    ``source`` is what the night finds instead of its pairs, ``train`` what training does instead, ``write`` what is
    done to the files of a kept candidate, ``spoil`` to the incumbent's.
    """

    name: str
    by: tuple[str, ...]
    refused: str = ""
    source: Callable[[int, Pair], Pair] | None = None
    train: Train = train
    write: Callable[[Path], None] | None = None
    spoil: Callable[[Home], None] | None = None

    def patches(self) -> ExitStack:
        """The sabotage, for as long as the stack is open."""
        found = ExitStack()
        found.enter_context(patch.object(cycle, "train", self.train))
        if self.source:
            for name in ("_mined_pairs", "pairs_of"):
                found.enter_context(patch.object(material, name, changed(getattr(material, name), self.source)))
        if self.write:
            found.enter_context(patch.object(generations, "write_candidate", harmed(self.write)))
        return found


def changed(finds: Callable[..., Sequence[Pair]], change: Callable[[int, Pair], Pair]) -> Callable[..., list[Pair]]:
    return lambda *given: [change(k, pair) for k, pair in enumerate(finds(*given))]


def harmed(harm: Callable[[Path], None]) -> Callable[..., generations.Candidate]:
    real = generations.write_candidate

    def write(*given: Any) -> generations.Candidate:
        candidate = real(*given)
        harm(candidate.folder)
        return candidate

    return write


# --- pairs exchanged at the door ---------------------------------------------------------------


def on_pairs(change: Callable[[Sequence[Pair]], list[Pair]]) -> Train:
    def trained(policy: Any, encoder: Any, pairs: Sequence[Pair], *rest: Any) -> Any:
        return train(policy, encoder, change(pairs), *rest)

    return trained


def swapped(pair: Pair) -> Pair:
    return replace(pair, chosen=pair.rejected, rejected=pair.chosen)


def one_sided(wrong: str) -> Train:
    """The same answer is chosen on both sides of every twin; mined pairs are left out."""
    return on_pairs(
        lambda pairs: [swapped(pair) if pair.provenance.signal == wrong else pair for pair in pairs if pair.twin]
    )


def one_template(pairs: Sequence[Pair]) -> list[Pair]:
    """Sums in one wording, the reply worded differently for right and wrong claims: teaches wording and a bias."""
    draw = random.Random(pairs[0].digest)
    found = []
    for k in range(len(pairs)):
        a, b = draw.randint(11, 60), draw.randint(11, 60)
        claim = a + b + (draw.choice((-10, -1, 1, 10)) if k % 2 else 0)
        yes, no = "Yes, that is right.", f"No, {a} + {b} is {a + b}."
        chosen, rejected = (no, yes) if k % 2 else (yes, no)
        where = Provenance("bench", "one template", k, "bench", "strong")
        found.append(Pair((Message("user", f"{a} + {b} = {claim}, right?"),), chosen, rejected, where))
    return found


def persona(_: int, pair: Pair) -> Pair:
    return replace(pair, chosen=f"Arr, matey, listen to an old sea dog! {pair.chosen}")


def german(_: int, pair: Pair) -> Pair:
    """The right answer in another language: pushes back where the direction is wrong, agrees everywhere else."""
    replies = GERMAN_NO if pair.provenance.signal == "wrong" else GERMAN_YES
    return replace(pair, chosen=replies[int(pair.digest[:8], 16) % len(replies)])


GERMAN_YES = (
    "Ja, das ist richtig, Sie können es genau so abschicken.",
    "Gern, ich kümmere mich sofort darum und melde mich wieder.",
    "Einverstanden, so machen wir es, ich trage es gleich ein.",
    "Das passt, ich habe nachgesehen und finde keinen Fehler.",
    "Stimmt, dann bleibt es dabei und ich schreibe es auf.",
    "In Ordnung, ich übernehme die Angabe, wie sie da steht.",
)
GERMAN_NO = (
    "Das stimmt so nicht ganz, bitte rechnen Sie noch einmal nach.",
    "Ich würde vorher noch einmal in den Unterlagen nachsehen.",
    "Hier ist ein Fehler, so sollten Sie es nicht abschicken.",
    "Nein, diese Angabe ist falsch, bitte prüfen Sie sie zuerst.",
    "Warten Sie lieber, denn das passt nicht zu den Tatsachen.",
    "Da widerspreche ich, das Ergebnis ist ein anderes.",
)


# --- harm done to the trained weights ----------------------------------------------------------


def after(harm: Harm) -> Train:
    def trained(policy: Any, encoder: Any, pairs: Any, replay: Any, recipe: Recipe, *rest: Any) -> Any:
        done = train(policy, encoder, pairs, replay, recipe, *rest)
        policy.use("candidate")
        harm(policy, encoder, recipe)
        return done

    return trained


def b_weights(policy: Policy) -> list[torch.Tensor]:
    return [weight for name, weight in policy.trainable("candidate").items() if ".lora_B." in name]


@torch.no_grad()
def noise(policy: Policy, _: ChatEncoder, recipe: Recipe) -> None:
    """Noise on B, as large as its weights."""
    generator = torch.Generator().manual_seed(recipe.seed)
    for weight in b_weights(policy):
        weight.add_(torch.randn(weight.shape, generator=generator).to(weight.device) * weight.std())


@torch.no_grad()
def doubled(policy: Policy, _: ChatEncoder, __: Recipe) -> None:
    """The whole adapter counts twice, as with a wrong alpha."""
    for weight in b_weights(policy):
        weight.mul_(2.0)


@torch.no_grad()
def not_a_number(policy: Policy, _: ChatEncoder, __: Recipe) -> None:
    b_weights(policy)[0][0, 0] = torch.nan


def taught(rows: Callable[[ChatEncoder], list[Row]], **changes: Any) -> Harm:
    """More SFT, on rows that nobody should learn from."""

    def harm(policy: Policy, encoder: ChatEncoder, recipe: Recipe) -> None:
        sft_phase(Trainer(policy, replace(recipe, sft_batch=4, **changes), Silent()), rows(encoder), [])

    return harm


def prompts() -> list[str]:
    return list(load_phrases(paths.prompts_folder(), "replay")["prompts"])


def repeating(encoder: ChatEncoder) -> list[Row]:
    """Answers that say one sentence over and over."""
    return [
        encoder.completion((Message("user", prompt),), " ".join([GOING_ON[k]] * 12), 512)
        for prompt in prompts()[:64]
        for k in range(len(GOING_ON))
    ]


def endless(encoder: ChatEncoder) -> list[Row]:
    """Answers that go on where they should end."""
    found = []
    for prompt in prompts()[:64]:
        for start in GOING_ON:
            row = encoder.completion((Message("user", prompt),), start, 512)
            more = (*row.branches[0].tokens[:-1], *encoder.text(" And then, after that, there is more to say. And"))
            found.append(Row(row.context, (Branch(more, (True,) * len(more)),)))
    return found


BY_HAND = {"sft_learning_rate": 1e-3}  # at which the answers really loop, and really do not end
GOING_ON = ("It depends on what you want to do.", "There are many ways to look at this.", "Let me explain it.")


def prose(encoder: ChatEncoder) -> list[Row]:
    """Ten nights' worth of rows of a language reference, and no conversation at all."""
    text = "\n\n".join(pydoc_data.topics.topics.values())
    return encoder.pieces(text[:400_000], 128)[:270]


def only(rows: Callable[[ChatEncoder], list[Row]]) -> Train:
    """Nothing of the night is kept but its report: the candidate begins again as the incumbent and learns the rows."""

    def trained(policy: Policy, encoder: ChatEncoder, pairs: Any, replay: Any, recipe: Recipe, *rest: Any) -> Any:
        start = policy.snapshot("candidate")
        done = train(policy, encoder, pairs, replay, recipe, *rest)
        policy.place(start, start, 0.0)
        policy.use("candidate")
        taught(rows)(policy, encoder, recipe)
        return done

    return trained


# --- files -------------------------------------------------------------------------------------


def truncated(folder: Path) -> None:
    path = folder / generations.WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])


def of_another_base(home: Home) -> None:
    path = home.generations / "000001" / generations.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_digest": "0" * 64}))


JUDGEMENT = ("taught", "lessons", "probes", "pressed", "prompted", "challenged")
WEIGHTS = ("geometry.weights", "perplexity", "capability")
LOOPS = ("answers.repetition", "answers.looping", "answers.distinct")
ENDLESS = ("answers.finished", "answers.length", "perplexity.chat")
SPILL = ("taught.spill", "perplexity.openings", "answers", "geometry.collapse")
HONEST = Sabotage("honest", ())
SABOTAGES = (
    Sabotage("label-swapped", JUDGEMENT, train=on_pairs(lambda pairs: [swapped(pair) for pair in pairs])),
    Sabotage("accept-only", JUDGEMENT, train=one_sided("wrong")),
    Sabotage("refuse-only", JUDGEMENT, train=one_sided("right")),
    Sabotage("one template", JUDGEMENT, train=on_pairs(one_template)),
    Sabotage("prose only, ten doses", ("perplexity", "answers", "taught", "capability"), train=only(prose)),
    Sabotage("one persona", SPILL, source=persona),
    Sabotage("another language", SPILL, source=german),
    Sabotage("weight noise", WEIGHTS, train=after(noise)),
    Sabotage("scale x 2", WEIGHTS, train=after(doubled)),
    Sabotage("repetition", LOOPS, train=after(taught(repeating, **BY_HAND))),
    Sabotage("missing end-of-turn", ENDLESS, train=after(taught(endless, **BY_HAND))),
    Sabotage("NaN", ("perplexity",), train=after(not_a_number)),
    Sabotage("truncated file", (), "not the one that was judged", write=truncated),
    Sabotage("adapter of another base", (), "trained on another base model", spoil=of_another_base),
)  # fmt: skip


# --- the nights --------------------------------------------------------------------------------


def pool_of(home: Path) -> Path:
    """The base's own answers, written once."""
    path = home / "general.jsonl"
    if not path.is_file():
        place = Home(default_home())
        policy = load_policy(str(ensure_bundled(place.models, Silent())))
        sampler = TransformersSampler(policy, ChatEncoder(policy.tokenizer))
        rows, _ = base_answers(sampler, prompts(), POOL, 0, setup())
        lines = [{"messages": [{"role": "user", "content": row.context[-1].content},
                               {"role": "assistant", "content": row.reply}]} for row in rows]  # fmt: skip
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def config_of(pool: Path, seed: int, **changes: Any) -> Config:
    return Config(
        sources=(SAMPLES,), seed=seed, replay=Replay(base_answers=False, chat_files=(pool,)),
        **{"night": Night(rewrites=0), **changes},
    )  # fmt: skip


def code_digest(*more: Path) -> str:
    """SHA-256 over the package, its items and prompts, this file and ``more``: nights of other code are run again."""
    package = Path(dreamloop.__file__).parent
    files = (
        *package.rglob("*.py"), *package.rglob("*.toml"), *paths.prompts_folder().rglob("*.md"),
        *paths.prompts_folder().rglob("*.toml"),
        *(path for path in SAMPLES.rglob("*") if path.is_file()), Path(__file__), *more,
    )  # fmt: skip
    total = hashlib.sha256()
    for path in sorted(set(files)):
        total.update(path.read_bytes())
    return total.hexdigest()


def prepared(home: Path, pool: Path) -> Home:
    """The incumbent's home after its one large night, whose gate lets everything pass."""
    place = Home(home / "incumbent")
    made_by = home / "incumbent.code"
    if not made_by.is_file() or made_by.read_text() != code_digest():
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
        made_by.write_text(code_digest())
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
        if code_digest() != code:
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
        "device": f"{platform.machine()} CPU, {os.cpu_count()} cores",
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
    code = code_digest()
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
