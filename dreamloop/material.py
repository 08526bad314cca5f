"""What a night trains on: what people said, what is dreamed, general answers, and what is only held."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dreamloop import paths
from dreamloop.collect.pairs import in_turn
from dreamloop.collect.rewrite import Draft, choose, draft
from dreamloop.collect.scrub import scrubber
from dreamloop.dream.scenarios import pairs_of
from dreamloop.dreaming import Dreaming
from dreamloop.finetune.recipe import replay_count
from dreamloop.finetune.replay import Prompts, chat_rows, mixed
from dreamloop.finetune.rows import encode_pairs
from dreamloop.gate.leaks import GateTexts
from dreamloop.gate.suite import FEWEST_WORDS, Suite
from dreamloop.model.engine import Writer, writing
from dreamloop.model.wake import Model
from dreamloop.night import Night
from dreamloop.prompts import load_phrases, load_prompt
from dreamloop.records import ChatRow, Correction, Pair, Skip, Twins
from dreamloop.relearn import learned_by


@dataclass(frozen=True, slots=True)
class Material:
    """What tonight trains on. ``mined`` and ``taught`` are those of it that no night knew before; ``lessons`` are for
    the gate's eyes only, and ``bystanders`` are only held."""

    pairs: list[Pair]
    replay: Sequence[ChatRow]
    lessons: Sequence[Twins]
    bystanders: Sequence[Pair]
    mined: Sequence[Pair] = ()
    taught: Sequence[Twins] = ()


def fresh_material(
    night: Night, model: Callable[[], Model], dreams: Dreaming, suite: Suite, corrections: Sequence[Correction]
) -> Material:
    """What people said and what is dreamed tonight; the model is not loaded before the engine has written."""
    with night.stage("write"), writing(night.config, night.home, night.incumbent, model, night.progress) as writer:
        drafts = _draft(night, writer, corrections)
        wanted = replay_count(night.config.night.behavioural, night.config.night.replay_share)
        answers = _replay(night, writer, suite, wanted)
        with night.stage("dream"):
            dreams.write(writer, _surely_dreamed(night, len(corrections)))
    with night.stage("rewrite"):
        told = load_prompt(paths.prompts_folder(), "told")
        night.ledger.record_written(night.number, choose(drafts, model().policy, model().encoder, told))
        mined = _mined_pairs(night, model(), suite)
    with night.stage("lessons"):
        taught, lessons = dreams.finish((night.config.night.behavioural - len(mined)) // 2)
    pairs = [*mined, *(pair for twins in taught for pair in pairs_of(twins))]
    replay = _at_most(night, answers, replay_count(len(pairs), night.config.night.replay_share))
    return Material(pairs, replay, lessons, _bystanders(night, dreams, pairs), mined, taught)


def known_material(night: Night, model: Callable[[], Model], dreams: Dreaming, suite: Suite) -> Material:
    """What the nights behind the incumbent have learned; new are the lessons, and what general rows are missing."""
    assert night.incumbent is not None  # noqa: S101 - where the base serves there is nothing to learn again
    with night.stage("relearn"):
        held_out = GateTexts(suite.texts())
        most = night.config.adapt.rebase_pairs
        known = learned_by(night.ledger, night.incumbent.number, night.kinds, most, held_out)
        night.ledger.take_up(night.number, known.twins)
        if known.too_close:
            night.ledger.record_skips(night.number, [Skip("relearn", "too close to a gate item", known.too_close)])
    pairs, again = known.pairs(), replace(dreams, kinds=sorted({twins.right.kind for twins in known.twins}))
    replay = _and_more(night, model, suite, known.replay, replay_count(len(pairs), night.config.night.replay_share))
    with night.stage("lessons"):  # whether that is still told apart which is learned once more
        _, lessons = again.finish(0)
    return Material(pairs, replay, lessons, _bystanders(night, again, pairs))


def _and_more(
    night: Night, model: Callable[[], Model], suite: Suite, known: Sequence[ChatRow], wanted: int
) -> Sequence[ChatRow]:  # fmt: skip
    """General rows for a dose that is larger than those of the nights which had them, or at a higher share."""
    rows = {row.digest: row for row in known[:wanted]}
    if len(rows) < wanted:
        more = wanted - len(rows) if night.config.replay.base_answers else wanted  # of a file some are known already
        with night.stage("write"), writing(night.config, night.home, night.incumbent, model, night.progress) as writer:
            rows |= {row.digest: row for row in _replay(night, writer, suite, more)}
    return _at_most(night, list(rows.values()), wanted)


def _bystanders(night: Night, dreams: Dreaming, pairs: Sequence[Pair]) -> list[Pair]:
    """Fresh twins that are only held: of other kinds than the twins among the pairs, and as many as these ask for."""
    taught = {pair.twin: pair.provenance.conversation for pair in pairs if pair.twin}
    with night.stage("bystanders"):
        count = math.ceil(len(taught) * night.config.night.bystander_share)
        return dreams.bystanders(count, set(taught.values()))


def _mined_pairs(night: Night, model: Model, suite: Suite) -> list[Pair]:
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


def _apart_from_gate(night: Night, pairs: Sequence[Pair], suite: Suite) -> list[Pair]:
    """Invariant 5: a pair near a gate item is dropped for good, and counted."""
    held_out = GateTexts(suite.texts())
    near = [held_out(pair.texts()) for pair in pairs]
    dropped = [pair for pair, close in zip(pairs, near, strict=True) if close]
    if dropped:
        night.ledger.set_aside(night.number, dropped, "too close to a gate item")
        night.ledger.record_skips(night.number, [Skip("collect", "too close to a gate item", len(dropped))])
    return [pair for pair, close in zip(pairs, near, strict=True) if not close]


def dreaming_of(night: Night, suite: Suite) -> Dreaming:
    """The night's dreams, as its plan asks for them."""
    return Dreaming(
        night.number, night.seed, night.config, night.kinds, night.bare, night.technical_share, night.practised,
        night.ledger, night.home.novelty, _held_out(night, suite), night.incumbent is not None, night.progress,
    )  # fmt: skip


def _surely_dreamed(night: Night, corrections: int) -> int:
    """Twins that tonight needs even if every mined pair and every correction can be used."""
    knobs = night.config.night
    mined = min(int(knobs.behavioural * knobs.mined_share), len(night.ledger.pending_pairs()) + corrections)
    return (knobs.behavioural - mined) // 2


def _held_out(night: Night, suite: Suite) -> GateTexts:
    """What no dream may come near: gate items, and prompts of general replay, asked or ever used."""
    rows = [row for path in night.config.replay.chat_files for row in chat_rows(path)[0]]
    prompts = [*_ever_asked(), *night.ledger.replay_prompts(), *(row.context[-1].content for row in rows)]
    return GateTexts([*suite.texts(), *(text for text in dict.fromkeys(prompts) if len(text.split()) >= FEWEST_WORDS)])


def _draft(night: Night, writer: Writer, corrections: Sequence[Correction]) -> list[Draft]:
    return draft(
        corrections, writer.sampler, "incumbent" if night.incumbent else None, writer.encoder,
        load_prompt(paths.prompts_folder(), "rewrite"), night.config.finetune.max_length, night.seed, night.progress,
    )  # fmt: skip


def _replay(night: Night, writer: Writer, suite: Suite, wanted: int) -> list[ChatRow]:
    """So many general rows, mixed as configured, for a whole dose; a smaller one uses the first of them."""
    rows, skips = mixed(night.config.replay, wanted, night.seed, _prompts(night), writer.sampler, night.progress)
    with scrubber() as scrub:  # the base model's answers as well: nothing else may be stored
        rows = [scrub.row(row) for row in rows]
    held_out = GateTexts(suite.texts())
    near = [held_out(row.texts()) for row in rows]
    kept = [row for row, close in zip(rows, near, strict=True) if not close]
    if len(kept) < len(rows):
        skips = [*skips, Skip("replay", "too close to a gate item", len(rows) - len(kept))]
    night.ledger.record_skips(night.number, skips)
    return kept


def _at_most(night: Night, rows: Sequence[ChatRow], wanted: int) -> Sequence[ChatRow]:
    """So many of the rows; what is missing is counted, because the plan says another share then."""
    if len(rows) < wanted:
        missing = Skip("replay", "general row that the plan asks for and no source has", wanted - len(rows))
        night.ledger.record_skips(night.number, [missing])
    return rows[:wanted]


def _prompts(night: Night) -> Prompts:
    """General questions, and those that practise what the gate saw falling."""
    asked = load_phrases(paths.prompts_folder(), "replay")
    return Prompts(asked["prompts"], [prompt for name in night.practised for prompt in asked[name]])


def _ever_asked() -> list[str]:
    sections = load_phrases(paths.prompts_folder(), "replay").sections.values()
    return [prompt for section in sections for prompt in section]
