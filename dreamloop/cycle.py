"""One night, top to bottom: the only file that sees every stage.

collect → the server, where one runs → plan → write (the engine: corrected replies, general answers) → load the model
→ dream → finetune → gate → verdict → keep → publish, and a ledger row for everything on the way. ``current`` moves
once, after the verdict is on disk and after the server that serves has proven what it serves; what it refutes is not
kept, and one that does not answer is told later. Whatever happens before that leaves yesterday's adapter there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dreamloop import __version__
from dreamloop.adapt import applied, plan
from dreamloop.collect.pairs import collect
from dreamloop.collect.sources import find_files
from dreamloop.config import Config
from dreamloop.errors import ConfigError, EngineError, InvariantBroken, ServerAway
from dreamloop.finetune.optimizer import Moments, read_moments, write_moments
from dreamloop.finetune.recipe import recipe_of
from dreamloop.finetune.rows import encode_pairs
from dreamloop.finetune.symptoms import symptoms
from dreamloop.finetune.train import train
from dreamloop.gate.gauges import Items
from dreamloop.gate.probes import probes_of
from dreamloop.gate.reading import load_suite
from dreamloop.gate.spill import misplaced
from dreamloop.keep import generations
from dreamloop.keep.publish import go_live
from dreamloop.keep.witnesses import choose_witnesses, write_witnesses
from dreamloop.ledger.store import Ledger
from dreamloop.lock import only_one_night
from dreamloop.log import Progress
from dreamloop.material import Material, dreaming_of, fresh_material, known_material
from dreamloop.model.device import free_memory
from dreamloop.model.engine import connected
from dreamloop.model.wake import Model, wake
from dreamloop.night import Night
from dreamloop.paths import Home
from dreamloop.records import Correction, Generation, Plan, Standing, Step, Verdict
from dreamloop.settle import settle
from dreamloop.swap import offer, prepare, swap_of
from dreamloop.teachable import ask_the_base, survey_base
from dreamloop.trial import Judge

Clock = Callable[[], datetime]

_VERSIONED = ("torch", "transformers", "peft", "tokenizers", "numpy", "detect-secrets", "datasketch")
_OUTCOMES = {"keep": "kept", "revert": "reverted", "inconclusive": "inconclusive"}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a night ended; ``generation`` is the one that serves afterwards, None the base model."""

    outcome: str
    reason: str
    generation: int | None


@dataclass(frozen=True, slots=True)
class _Learned:
    """A candidate that the gate would keep."""

    candidate: generations.Candidate
    verdict: Verdict
    base_digest: str


def run_night(home: Home, config: Config, progress: Progress, now: Clock) -> int:
    """Run one night and return its number; the ledger says how it ended.

    Raises:
        DreamloopError: the night failed; the ledger has the sentence, ``current`` is as before.
        KeyboardInterrupt: it was interrupted; likewise.
    """
    home.create()
    with only_one_night(home.lock):
        ledger = Ledger(home.ledger)
        try:
            settle(ledger, home, now)
            number = ledger.begin(now().isoformat(), config.seed, config.model_dump_json(), _versions(), config.model)
            try:
                incumbent = generations.current(home)
                seed = _seed(config.seed, number)
                ending = _pipeline(Night(number, seed, home, config, ledger, progress, incumbent, incumbent), now)
            except BaseException as error:
                settle(ledger, home, now, error)
                raise
            ledger.end(number, now().isoformat(), ending.outcome, ending.reason, ending.generation)
            return number
        finally:
            ledger.close()


def _pipeline(night: Night, now: Clock) -> Ending:
    serving = night.incumbent.number if night.incumbent else None
    with night.stage("collect"):
        files = find_files(list(night.config.sources))
        night.ledger.record_collected(night.number, collect(files, night.ledger.cursors(), night.progress))
    _prepare(night, now)
    corrections = night.ledger.pending_corrections(night.config.night.rewrites)
    waiting = len(night.ledger.pending_pairs()) + len(corrections)
    if not (waiting or night.config.night.kinds):
        return Ending("nothing to learn", "No pair in the logs and no kind of scenario to dream.", serving)
    base = night.ledger.called(night.config.model)
    tonight = _planned(night, waiting, base)
    if tonight.act == "train" and (asked := ask_the_base(night, base)):
        tonight = _planned(night, waiting, asked)
    night.ledger.record_plan(night.number, tonight)
    if tonight.act in {"skip", "stop"}:
        return Ending("nothing to learn", tonight.reason, serving)
    night = replace(
        night, config=applied(night.config, tonight), kinds=tonight.kinds, bare=tonight.bare,
        technical_share=tonight.technical_share, practised=tonight.practised,
    )  # fmt: skip
    learned = _learn(replace(night, start=None) if tonight.act == "rebase" else night, corrections)
    free_memory()
    if isinstance(learned, Ending):
        return learned
    with night.stage("keep"):
        kept = generations.promote(night.home, learned.candidate, night.number, learned.base_digest, serving)
    with night.stage("publish"):
        return _publish(night, kept, " ".join(learned.verdict.reasons), now)


def _planned(night: Night, waiting: int, base: str) -> Plan:
    found = night.ledger.potentials(base)
    return plan(night.ledger.past(), night.config, Standing(tuple(found), waiting, night.incumbent is not None))


def _learn(night: Night, corrections: Sequence[Correction]) -> _Learned | Ending:
    """Everything that needs the model in memory; it is gone again when this returns."""
    serving = night.incumbent.number if night.incumbent else None
    try:
        suite = load_suite(night.config.gate.items, night.config.gate.shipped)
    except ConfigError as error:  # without items there can be no evidence
        return _reverted(night, str(error))
    night.ledger.record_gate_items(suite.digest, suite.texts())

    @cache
    def model() -> Model:
        with night.stage("load model"):
            return _wake(night)

    dreams = dreaming_of(night, suite)
    if night.begins_anew:
        material = known_material(night, model, dreams, suite)
    else:
        material = fresh_material(night, model, dreams, suite, corrections)
        survey_base(night, model(), dreams)  # of a base that changed under its name, or of kinds that came later
    pairs = material.pairs
    if not pairs:
        return Ending("nothing to learn", "No usable pair and no fresh scenario tonight.", serving)
    start = model().policy.snapshot("candidate") if _may_shrink(night) else None
    try:
        with night.stage("finetune"):
            moments = _train(night, model(), material)
    except InvariantBroken as error:
        steps = [step for step in error.steps if isinstance(step, Step)]
        recipe = recipe_of(night.config.finetune, night.seed)
        night.ledger.record_broken(night.number, recipe, material.mined, steps, symptoms(steps))
        return _reverted(night, str(error))
    with night.stage("gate"):
        elsewhere = misplaced([pair.chosen for pair in pairs], [context for _, context in suite.prompts])
        items = Items(suite, tuple(probes_of(material.lessons)), tuple(probes_of(material.taught)), elsewhere)
        judge = Judge(night.number, night.config.gate, night.ledger, model(), night.incumbent, night.progress)
        trial, scored = judge(items, start)
    verdict = trial.verdict
    night.ledger.record_verdict(night.number, verdict)
    if verdict.outcome != "keep":
        return Ending(_OUTCOMES[verdict.outcome], " ".join(verdict.reasons), serving)
    with night.stage("witness"):
        candidate = generations.write_candidate(model().policy, night.home, night.number)
        judge.remember(items, scored, candidate.digest)
        rows, _ = encode_pairs(model().encoder, pairs, night.config.finetune.max_length)
        write_witnesses(choose_witnesses(model().policy, list(rows.values()), model().serving), candidate.folder)
        if moments and trial.scale == 1.0:  # those of a step that was then made smaller belong to another place
            write_moments(moments, candidate.folder)
    return _Learned(candidate, verdict, model().policy.digest)


def _reverted(night: Night, reason: str) -> Ending:
    """There is no candidate that could be judged."""
    night.ledger.record_verdict(night.number, Verdict("revert", (reason,)))
    return Ending("reverted", reason, night.incumbent.number if night.incumbent else None)


def _may_shrink(night: Night) -> bool:
    """Only a LoRA adapter is cheap enough to keep a second time, and a share of all nights is no smaller night."""
    return night.config.gate.shrink and night.config.finetune.method == "lora" and not night.begins_anew


def _wake(night: Night) -> Model:
    model = wake(night.config, night.home.models, night.incumbent, night.start, night.seed, night.progress)
    night.ledger.record_model(
        night.number, model.policy.digest, str(model.policy.device), str(model.policy.dtype).removeprefix("torch."),
        night.incumbent.number if night.incumbent else None, model.exactness,
    )  # fmt: skip
    return model


# --- train and judge ---------------------------------------------------------------------------


def _train(night: Night, model: Model, known: Material) -> Moments:
    recipe = recipe_of(night.config.finetune, night.seed)
    before = read_moments(Path(night.start.path)) if night.start and recipe.carry_optimizer else {}
    trained = train(
        model.policy, model.encoder, known.pairs, known.replay, recipe, night.progress, before, known.bystanders
    )
    night.ledger.record_training(night.number, recipe, trained.report, known.pairs, known.replay, known.bystanders)
    return trained.moments


# --- keep and serve ----------------------------------------------------------------------------


def _prepare(night: Night, now: Clock) -> None:
    """A running server that could not serve what the night keeps is told before anything is spent on it.

    And one that was started again serves what it served before, on a night with nothing to learn as well.
    """
    if not (night.config.serves and night.config.vllm.url):
        return
    try:
        with night.stage("server"), connected(night.config, night.home, night.incumbent, night.progress) as session:
            prepare(session, night.config.vllm, night.incumbent, night.ledger, now().isoformat(), night.progress)
    except ServerAway:
        if night.config.engine == "vllm":
            raise  # nobody there to write; otherwise it may be back by the time there is something to serve


def _publish(night: Night, kept: Generation, why: str, now: Clock) -> Ending:
    """Move `current`; where a server serves, only after it has proven that it serves the candidate."""
    serving = night.incumbent.number if night.incumbent else None
    if not night.config.serves:
        return _point(night, kept, why, now)
    try:
        with connected(night.config, night.home, kept, night.progress) as session:
            proof = offer(session, night.config.vllm, kept, night.ledger, now().isoformat(), night.progress)
            if not proof.passed:
                generations.remove(night.home, kept.number)
                return Ending("reverted", f"The gate would have kept it, but the swap failed. {proof.reason}", serving)
            ending = _point(night, kept, f"{why} {proof.reason}", now)
            go_live(session.client, swap_of(session, night.config.vllm, kept), night.config.vllm.drain_timeout_s)
            return ending
    except EngineError as error:
        return _point(night, kept, f"{why} Not served yet: {error} 'dreamloop publish' tries again.", now)


def _point(night: Night, kept: Generation, why: str, now: Clock) -> Ending:
    was = night.incumbent.number if night.incumbent else None
    if generations.pointed(night.home) != kept.number:
        generations.point(night.home, kept.number)
        night.ledger.record_pointer(now().isoformat(), kept.number, was, f"night {night.number} was kept")
    return Ending("kept", why, kept.number)


# --- around the night --------------------------------------------------------------------------


def _seed(seed: int, number: int) -> int:
    """A fresh 31-bit seed for each night, the same for the same configuration."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big") >> 1


def _versions() -> dict[str, str]:
    found = {"dreamloop": __version__}
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
