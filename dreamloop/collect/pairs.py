"""Logs to preference pairs: read, scrub, look for signals, and write the chosen side where it is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from dreamloop.collect.formats import recognise
from dreamloop.collect.scrub import MARK, Scrubber, scrubber
from dreamloop.collect.signals import correction_kind, ranked_pairs
from dreamloop.collect.sources import LogFile
from dreamloop.errors import UnusableRow
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder, Row
from dreamloop.model.load import Policy
from dreamloop.model.sampler import Request, Sampler
from dreamloop.model.score import completion_logprobs
from dreamloop.prompts import Prompt
from dreamloop.records import (
    Collected,
    Context,
    Correction,
    Cursor,
    Exchange,
    Message,
    Pair,
    Provenance,
    Reply,
    Skip,
    SourceRead,
    Written,
)

_CAPITULATION = re.compile(
    r"\b(?:sorry|apolog\w+|you(?:'re|’re| are) (?:right|correct)|my mistake|thank you for (?:pointing|the correction)"
    r"|as you (?:said|asked|requested)|i (?:misunderstood|see now))",
    re.IGNORECASE,
)
_NEARLY_THE_SAME = 0.9
_STRENGTHS = ("strong", "medium", "weak")


def collect(files: Sequence[Path], cursors: Mapping[str, Cursor], progress: Progress) -> Collected:
    """Read what is new in the log files and turn its signals into pairs and corrections.

    Args:
        files: from `sources.find_files`.
        cursors: how far each path was read on earlier nights.
        progress: where to show the files.

    Returns:
        Pairs with both sides, corrections whose chosen side is missing, one read per file, and the
        counted skips. Nothing that cannot be used raises.
    """
    pairs: dict[str, Pair] = {}
    corrections: dict[str, Correction] = {}
    reads: list[SourceRead] = []
    skips: Counter[str] = Counter()
    with scrubber() as scrub, progress.track("reading logs", len(files), "files") as advance:
        for path in files:
            log = LogFile(path, cursors.get(str(path)))
            reads.append(_read(log, scrub, pairs, corrections, skips))
            skips.update(log.skips)
            advance(1)
        if scrub.removed:
            skips["secret removed from a message"] += scrub.removed
    counted = tuple(Skip("collect", reason, count) for reason, count in sorted(skips.items()))
    return Collected(tuple(pairs.values()), tuple(corrections.values()), tuple(reads), counted)


def _read(
    log: LogFile, scrub: Scrubber, pairs: dict[str, Pair], corrections: dict[str, Correction], skips: Counter[str]
) -> SourceRead:
    names: Counter[str] = Counter()
    exchanges = 0
    for value in log.values():
        form = recognise(value)
        if form is None:
            skips["not a conversation in a known format"] += 1
            continue
        try:
            found = [scrub.exchange(exchange) for exchange in form.exchanges(value)]
        except ValueError as error:
            skips[str(error)] += 1
            continue
        names[form.NAME] += 1
        exchanges += len(found)
        for exchange in found:
            for item in _signals(exchange, f"{form.NAME}:{log.path.name}", skips):
                if isinstance(item, Pair):
                    pairs.setdefault(item.digest, item)
                else:
                    corrections.setdefault(item.digest, item)
    form_name = ",".join(sorted(names)) or "unknown"
    return SourceRead(str(log.path), form_name, log.start, names.total(), exchanges, log.cursor)


def _signals(exchange: Exchange, source: str, skips: Counter[str]) -> Iterator[Pair | Correction]:
    for better, worse in ranked_pairs(exchange):
        if MARK in better.text or MARK in worse.text:
            skips["reply held a secret"] += 1
        elif better.text.strip() and better.text.strip() != worse.text.strip():
            where = Provenance(source, exchange.conversation, exchange.turn, "ranked siblings", "strong")
            yield Pair(exchange.context, better.text, worse.text, where)
    kind = correction_kind(exchange.followed) if exchange.followed is not None else None
    if kind == "fact":
        skips["corrects a fact, and nothing here tells who is right"] += 1
    if kind == "wish" and exchange.followed is not None:
        rejected = exchange.answers[0].text
        if MARK in rejected or MARK in exchange.followed:
            skips["reply held a secret"] += 1
        elif rejected.strip():
            where = Provenance(source, exchange.conversation, exchange.turn, "text correction", "medium")
            yield Correction(exchange.context, rejected, exchange.followed, where)


def in_turn(pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs in the order in which nights should use them: one per exchange before a second of any.

    Strong signals come before medium ones within a round; otherwise the order is kept.
    """
    rounds: Counter[tuple[str, str, int]] = Counter()
    order: list[tuple[int, int, Pair]] = []
    for pair in pairs:
        exchange = (pair.provenance.source, pair.provenance.conversation, pair.provenance.turn)
        order.append((rounds[exchange], _STRENGTHS.index(pair.provenance.strength), pair))
        rounds[exchange] += 1
    return [pair for _, _, pair in sorted(order, key=lambda entry: entry[:2])]


def write_chosen(
    corrections: Sequence[Correction], sampler: Sampler, policy: Policy, encoder: ChatEncoder,
    hint: Prompt, max_length: int, seed: int, progress: Progress,
) -> list[Written]:  # fmt: skip
    """Let the engine answer again with the user's correction as a hint it will not have when it serves.

    An answer becomes the chosen side only if it is finished, new, free of apology and of the hint, and if
    the model itself, told the correction, finds it likelier than what it said first.
    """
    hinted = [(*c.context, Message("assistant", c.rejected), _as_hint(hint, c)) for c in corrections]
    usable = [i for i, context in enumerate(hinted) if len(encoder.chat(context)) <= max_length - 128]
    replies = sampler.sample([Request(hinted[i]) for i in usable], seed, progress, "rewriting corrected replies")
    outcome = dict.fromkeys(range(len(corrections)), "too long to rewrite")
    passed: dict[int, Reply] = {}
    for i, reply in zip(usable, replies, strict=True):
        outcome[i] = _fault(corrections[i], reply)
        if not outcome[i]:
            passed[i] = reply
    preferred = _preferred([(hinted[i], passed[i].text, corrections[i].rejected) for i in passed], policy, encoder)
    for i, better in zip(passed, preferred, strict=True):
        outcome[i] = "" if better else "not likelier than the first reply, even with the correction"
    return [
        Written(c.digest, outcome[i] or "written", None if outcome[i] else _pair(c, passed[i].text))
        for i, c in enumerate(corrections)
    ]


def _as_hint(hint: Prompt, correction: Correction) -> Message:
    return Message("user", hint.render(correction=correction.correction.strip()))


def _pair(correction: Correction, chosen: str) -> Pair:
    return Pair(correction.context, chosen, correction.rejected, correction.provenance)


def _fault(correction: Correction, reply: Reply) -> str:
    """Why a written reply is refused; empty where it is not."""
    if reply.finish_reason != "stop":
        return "not finished"
    if len(reply.text.split()) < 3:
        return "too short"
    if _CAPITULATION.search(reply.text):
        return "apologises or gives in instead of answering"
    if SequenceMatcher(None, reply.text, correction.rejected).ratio() > _NEARLY_THE_SAME:
        return "nearly the first reply again"
    if SequenceMatcher(None, reply.text, correction.correction).ratio() > _NEARLY_THE_SAME:
        return "repeats the correction"
    return ""


def _preferred(triples: Sequence[tuple[Context, str, str]], policy: Policy, encoder: ChatEncoder) -> list[bool]:
    """Whether, after the hint, the new reply has the higher log-prob per token."""
    rows: list[Row | None] = []
    for context, new, old in triples:
        try:
            rows.append(encoder.branches(context, (new, old), 4096))
        except UnusableRow:
            rows.append(None)
    scored = iter(completion_logprobs(policy, [row for row in rows if row is not None]))
    return [row is not None and (s := next(scored))[0].mean().item() > s[1].mean().item() for row in rows]
