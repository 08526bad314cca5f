"""One night, top to bottom: the only file that sees every stage.

collect → the server, where one runs → plan → write (the engine: corrected replies, general answers) → load the model
→ dream → finetune → gate → verdict → keep → publish, and a ledger row for everything on the way. ``current`` moves
once, after the verdict is on disk and after the server that serves has proven what it serves; what it refutes is not
kept, and one that does not answer is told later. Whatever happens before that leaves yesterday's adapter there.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dreamloop import __version__, paths
from dreamloop.adapt import applied, plan
from dreamloop.collect.pairs import collect, in_turn
from dreamloop.collect.rewrite import Draft, choose, draft
from dreamloop.collect.scrub import scrubber
from dreamloop.collect.sources import find_files
from dreamloop.config import Config
from dreamloop.dream.scenarios import pairs_of
from dreamloop.dreaming import Dreaming
from dreamloop.errors import ConfigError, EngineError, InvariantBroken, ServerAway
from dreamloop.finetune.optimizer import Moments, read_moments, write_moments
from dreamloop.finetune.recipe import recipe_of, replay_count
from dreamloop.finetune.replay import Prompts, chat_rows, mixed
from dreamloop.finetune.rows import encode_pairs
from dreamloop.finetune.symptoms import symptoms
from dreamloop.finetune.train import train
from dreamloop.gate.gauges import Items
from dreamloop.gate.leaks import GateTexts
from dreamloop.gate.probes import probes_of
from dreamloop.gate.reading import load_suite
from dreamloop.gate.spill import misplaced
from dreamloop.gate.suite import FEWEST_WORDS, Suite
from dreamloop.gate.survey import survey
from dreamloop.keep import generations
from dreamloop.keep.publish import go_live
from dreamloop.keep.witnesses import choose_witnesses, write_witnesses
from dreamloop.ledger.store import Ledger
from dreamloop.lock import only_one_night
from dreamloop.log import Progress
from dreamloop.model.device import free_memory
from dreamloop.model.engine import Writer, connected, writing
from dreamloop.model.wake import Model, wake
from dreamloop.paths import Home
from dreamloop.prompts import load_phrases, load_prompt
from dreamloop.records import (
    ChatRow,
    Correction,
    Generation,
    Pair,
    Plan,
    Skip,
    Standing,
    Step,
    Twins,
    Verdict,
)
from dreamloop.relearn import learned_by
from dreamloop.settle import settle
from dreamloop.swap import offer, prepare, swap_of
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
class _Night:
    """What every stage of tonight needs; ``start`` is where the candidate begins, None for a fresh adapter."""

    number: int
    seed: int
    home: Home
    config: Config
    ledger: Ledger
    progress: Progress
    incumbent: Generation | None
    start: Generation | None
    kinds: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    technical_share: float = 0.0
    practised: tuple[str, ...] = ()
    timed: list[float] = field(default_factory=list)

    @property
    def begins_anew(self) -> bool:
        """Whether the nights so far are learned once more, from the base."""
        return self.start != self.incumbent

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage into the ledger, without the stages inside it."""
        started, inside = time.monotonic(), len(self.timed)
        yield
        seconds = time.monotonic() - started - sum(self.timed[inside:])
        self.timed.append(seconds)
        self.ledger.record_stage(self.number, name, seconds)


@dataclass(frozen=True, slots=True)
class _Material:
    """What tonight trains on. ``mined`` and ``taught`` are those of it that no night knew before; ``lessons`` are for
    the gate's eyes only, and ``bystanders`` are only held."""

    pairs: list[Pair]
    replay: Sequence[ChatRow]
    lessons: Sequence[Twins]
    bystanders: Sequence[Pair]
    mined: Sequence[Pair] = ()
    taught: Sequence[Twins] = ()


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
                ending = _pipeline(_Night(number, seed, home, config, ledger, progress, incumbent, incumbent), now)
            except BaseException as error:
                settle(ledger, home, now, error)
                raise
            ledger.end(number, now().isoformat(), ending.outcome, ending.reason, ending.generation)
            return number
        finally:
            ledger.close()


def _pipeline(night: _Night, now: Clock) -> Ending:
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
    if tonight.act == "train" and (asked := _ask_the_base(night, base)):
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


def _planned(night: _Night, waiting: int, base: str) -> Plan:
    found = night.ledger.potentials(base)
    return plan(night.ledger.past(), night.config, Standing(tuple(found), waiting, night.incumbent is not None))


def _ask_the_base(night: _Night, base: str) -> str:
    """The digest of a base that nobody had asked under this name what it can be taught, and now somebody has.

    Before anything is planned for it. The model is gone again when this returns: the engine that writes may need the
    room. Empty where there was nothing to ask.
    """
    knobs = night.config.adapt
    if not (knobs.enabled and knobs.survey_twins) or night.ledger.potentials(base):
        return ""
    try:
        suite = load_suite(night.config.gate.items, night.config.gate.shipped)
    except ConfigError:  # the night ends with this, a little later
        return ""
    with night.stage("load the base"):
        model = wake(night.config, night.home.models, None, None, night.seed, night.progress)
    _survey(night, model, _dreaming(night, suite))
    digest = model.policy.digest
    del model
    free_memory()
    return digest


def _learn(night: _Night, corrections: Sequence[Correction]) -> _Learned | Ending:
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

    dreams = _dreaming(night, suite)
    if night.begins_anew:
        material = _known(night, dreams, suite)
    else:
        material = _fresh(night, model, dreams, suite, corrections)
        _survey(night, model(), dreams)  # of a base that changed under its name, or of kinds that came later
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


def _reverted(night: _Night, reason: str) -> Ending:
    """There is no candidate that could be judged."""
    night.ledger.record_verdict(night.number, Verdict("revert", (reason,)))
    return Ending("reverted", reason, night.incumbent.number if night.incumbent else None)


def _may_shrink(night: _Night) -> bool:
    """Only a LoRA adapter is cheap enough to keep a second time, and a share of all nights is no smaller night."""
    return night.config.gate.shrink and night.config.finetune.method == "lora" and not night.begins_anew


def _wake(night: _Night) -> Model:
    model = wake(night.config, night.home.models, night.incumbent, night.start, night.seed, night.progress)
    night.ledger.record_model(
        night.number, model.policy.digest, str(model.policy.device), str(model.policy.dtype).removeprefix("torch."),
        night.incumbent.number if night.incumbent else None, model.exactness,
    )  # fmt: skip
    return model


# --- what to learn -----------------------------------------------------------------------------


def _fresh(
    night: _Night, model: Callable[[], Model], dreams: Dreaming, suite: Suite, corrections: Sequence[Correction]
) -> _Material:
    """What people said and what is dreamed tonight; the model is not loaded before the engine has written."""
    with night.stage("write"), writing(night.config, night.home, night.incumbent, model, night.progress) as writer:
        drafts = _draft(night, writer, corrections)
        answers = _replay(night, writer, suite)
        with night.stage("dream"):
            dreams.write(writer, _surely_dreamed(night, len(corrections)))
    with night.stage("rewrite"):
        told = load_prompt(paths.prompts_folder(), "told")
        night.ledger.record_written(night.number, choose(drafts, model().policy, model().encoder, told))
        mined = _mined_pairs(night, model(), suite)
    with night.stage("lessons"):
        taught, lessons = dreams.finish((night.config.night.behavioural - len(mined)) // 2)
    pairs = [*mined, *(pair for twins in taught for pair in pairs_of(twins))]
    replay = answers[: replay_count(len(pairs), night.config.night.replay_share)]
    return _Material(pairs, replay, lessons, _bystanders(night, dreams, pairs), mined, taught)


def _known(night: _Night, dreams: Dreaming, suite: Suite) -> _Material:
    """What the nights behind the incumbent have learned; only the lessons are new."""
    assert night.incumbent is not None  # noqa: S101 - where the base serves there is nothing to learn again
    with night.stage("relearn"):
        held_out = GateTexts(suite.texts())
        known = learned_by(night.ledger, night.incumbent.number, night.config.adapt.rebase_pairs, held_out)
        night.ledger.take_up(night.number, known.twins)
        if known.too_close:
            night.ledger.record_skips(night.number, [Skip("relearn", "too close to a gate item", known.too_close)])
    with night.stage("lessons"):  # whether that is still told apart which is learned once more
        _, lessons = replace(dreams, kinds=sorted({twins.right.kind for twins in known.twins})).finish(0)
    pairs = known.pairs()
    replay = known.replay[: replay_count(len(pairs), night.config.night.replay_share)]
    return _Material(pairs, replay, lessons, _bystanders(night, dreams, pairs))


def _bystanders(night: _Night, dreams: Dreaming, pairs: Sequence[Pair]) -> list[Pair]:
    """Fresh twins that are only held: of other kinds than the twins among the pairs, and as many as these ask for."""
    taught = {pair.twin: pair.provenance.conversation for pair in pairs if pair.twin}
    with night.stage("bystanders"):
        count = math.ceil(len(taught) * night.config.night.bystander_share)
        return dreams.bystanders(count, set(taught.values()))


def _mined_pairs(night: _Night, model: Model, suite: Suite) -> list[Pair]:
    """Tonight's share of the mined pairs; what can never be used is set aside with its reason."""
    wanted = int(night.config.night.behavioural * night.config.night.mined_share)
    taken: list[Pair] = []
    waiting = in_turn(night.ledger.pending_pairs())
    while waiting and len(taken) < wanted:
        some, waiting = waiting[: wanted - len(taken)], waiting[wanted - len(taken) :]
        rows, skips = encode_pairs(model.encoder, some, night.config.finetune.max_length)
        night.ledger.record_skips(night.number, skips)
        night.ledger.set_aside(night.number, [pair for pair in some if pair not in rows], "does not fit the model")
        taken += _apart_from_gate(night, list(rows), suite)
    return taken


def _apart_from_gate(night: _Night, pairs: Sequence[Pair], suite: Suite) -> list[Pair]:
    """Invariant 5: a pair near a gate item is dropped for good, and counted."""
    held_out = GateTexts(suite.texts())
    near = [held_out(pair.texts()) for pair in pairs]
    dropped = [pair for pair, close in zip(pairs, near, strict=True) if close]
    if dropped:
        night.ledger.set_aside(night.number, dropped, "too close to a gate item")
        night.ledger.record_skips(night.number, [Skip("collect", "too close to a gate item", len(dropped))])
    return [pair for pair, close in zip(pairs, near, strict=True) if not close]


def _dreaming(night: _Night, suite: Suite) -> Dreaming:
    return Dreaming(
        night.number, night.seed, night.config, night.kinds, night.bare, night.technical_share, night.practised,
        night.ledger, night.home.novelty, _held_out(night, suite), night.incumbent is not None, night.progress,
    )  # fmt: skip


def _survey(night: _Night, model: Model, dreams: Dreaming) -> None:
    """Once for each base and kind: is there anything in it that could be taught?"""
    each, digest = night.config.adapt.survey_twins, model.policy.digest
    known = {one.kind for one in night.ledger.potentials(digest)}
    kinds = [kind for kind in dreams.provable() if kind not in known]
    if not (night.config.adapt.enabled and each and kinds):
        return
    with night.stage("survey"):
        found = survey(model.policy, model.encoder, dreams.survey(kinds, each), night.progress)
        night.ledger.record_survey(night.number, digest, found)


def _surely_dreamed(night: _Night, corrections: int) -> int:
    """Twins that tonight needs even if every mined pair and every correction can be used."""
    knobs = night.config.night
    mined = min(int(knobs.behavioural * knobs.mined_share), len(night.ledger.pending_pairs()) + corrections)
    return (knobs.behavioural - mined) // 2


def _held_out(night: _Night, suite: Suite) -> GateTexts:
    """What no dream may come near: gate items, and prompts of general replay, asked or ever used."""
    rows = [row for path in night.config.replay.chat_files for row in chat_rows(path)[0]]
    prompts = [*_ever_asked(), *night.ledger.replay_prompts(), *(row.context[-1].content for row in rows)]
    return GateTexts([*suite.texts(), *(text for text in dict.fromkeys(prompts) if len(text.split()) >= FEWEST_WORDS)])


def _draft(night: _Night, writer: Writer, corrections: Sequence[Correction]) -> list[Draft]:
    return draft(
        corrections, writer.sampler, "incumbent" if night.incumbent else None, writer.encoder,
        load_prompt(paths.prompts_folder(), "rewrite"), night.config.finetune.max_length, night.seed, night.progress,
    )  # fmt: skip


def _replay(night: _Night, writer: Writer, suite: Suite) -> list[ChatRow]:
    """General rows for a whole night's dose, mixed as configured; a smaller night uses the first of them."""
    total = replay_count(night.config.night.behavioural, night.config.night.replay_share)
    rows, skips = mixed(night.config.replay, total, night.seed, _prompts(night), writer.sampler, night.progress)
    with scrubber() as scrub:  # the base model's answers as well: nothing else may be stored
        rows = [scrub.row(row) for row in rows]
    held_out = GateTexts(suite.texts())
    near = [held_out(row.texts()) for row in rows]
    kept = [row for row, close in zip(rows, near, strict=True) if not close]
    if len(kept) < len(rows):
        skips = [*skips, Skip("replay", "too close to a gate item", len(rows) - len(kept))]
    night.ledger.record_skips(night.number, skips)
    return kept


def _prompts(night: _Night) -> Prompts:
    """General questions, and those that practise what the gate saw falling."""
    asked = load_phrases(paths.prompts_folder(), "replay")
    return Prompts(asked["prompts"], [prompt for name in night.practised for prompt in asked[name]])


def _ever_asked() -> list[str]:
    sections = load_phrases(paths.prompts_folder(), "replay").sections.values()
    return [prompt for section in sections for prompt in section]


# --- train and judge ---------------------------------------------------------------------------


def _train(night: _Night, model: Model, known: _Material) -> Moments:
    recipe = recipe_of(night.config.finetune, night.seed)
    before = read_moments(Path(night.start.path)) if night.start and recipe.carry_optimizer else {}
    trained = train(
        model.policy, model.encoder, known.pairs, known.replay, recipe, night.progress, before, known.bystanders
    )
    night.ledger.record_training(night.number, recipe, trained.report, known.pairs, known.replay, known.bystanders)
    return trained.moments


# --- keep and serve ----------------------------------------------------------------------------


def _prepare(night: _Night, now: Clock) -> None:
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


def _publish(night: _Night, kept: Generation, why: str, now: Clock) -> Ending:
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


def _point(night: _Night, kept: Generation, why: str, now: Clock) -> Ending:
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
