"""Logs to preference pairs: read, scrub, and look for signals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dreamloop.collect.formats import recognise
from dreamloop.collect.scrub import MARK, Scrubber, scrubber
from dreamloop.collect.signals import accepts, capitulates, correction_kind, first_try, ranked_pairs
from dreamloop.collect.sources import LogFile, path_key
from dreamloop.log import Progress
from dreamloop.records import (
    Collected,
    Context,
    Correction,
    Cursor,
    Exchange,
    Pair,
    Provenance,
    Skip,
    SourceRead,
    Strength,
)

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
            log = LogFile(path, cursors.get(path_key(path)))
            reads.append(_read(log, scrub, pairs, corrections, skips))
            skips.update({f"{path_key(path)}: {reason}": count for reason, count in log.skips.items()})
            advance(1)
        if scrub.removed:
            skips["secret removed from a message"] += scrub.removed
    settled = {(pair.context, pair.rejected) for pair in pairs.values()}
    open_ones = tuple(c for c in corrections.values() if (c.context, c.rejected) not in settled)
    counted = tuple(Skip("collect", reason, count) for reason, count in sorted(skips.items()))
    return Collected(tuple(pairs.values()), open_ones, tuple(reads), counted)


def _read(
    log: LogFile, scrub: Scrubber, pairs: dict[str, Pair], corrections: dict[str, Correction], skips: Counter[str]
) -> SourceRead:
    names: Counter[str] = Counter()
    exchanges = 0
    for value in log.values():
        form = recognise(value)
        if form is None:
            log.skips["not a conversation in a known format"] += 1
            continue
        try:
            found = [scrub.exchange(exchange) for exchange in form.exchanges(value)]
        except ValueError as error:
            log.skips[str(error)] += 1
            continue
        except (TypeError, KeyError, AttributeError, IndexError):
            # A format file should have said so itself; one odd line must not cost the night and all that follow.
            log.skips["damaged conversation"] += 1
            continue
        names[form.NAME] += 1
        exchanges += len(found)
        for exchange in found:
            for item in _signals(exchange, f"{form.NAME}:{path_key(log.path)}", skips):
                if isinstance(item, Pair):
                    pairs.setdefault(item.digest, item)
                else:
                    corrections.setdefault(item.digest, item)
    form_name = ",".join(sorted(names)) or "unknown"
    return SourceRead(path_key(log.path), form_name, log.start, names.total(), exchanges, log.cursor)


def _signals(exchange: Exchange, source: str, skips: Counter[str]) -> Iterator[Pair | Correction]:
    """What one exchange proves, in order of strength."""

    def where(signal: str, strength: Strength, turn: int = exchange.turn) -> Provenance:
        return Provenance(source, exchange.conversation, turn, signal, strength)

    for better, worse in ranked_pairs(exchange):
        yield from _pair(exchange.context, better.text, worse.text, where("ranked siblings", "strong"), skips)
    for answer in exchange.answers:
        if answer.original is not None:
            yield from _pair(exchange.context, answer.text, answer.original, where("edit", "strong"), skips)
    began = first_try(exchange.context)
    if began and accepts(exchange.followed):
        context, rejected = began
        if capitulates(exchange.answers[0].text):
            skips["the accepted answer after a correction gives in or apologises"] += 1
        else:
            here = where("accepted correction", "medium", len(context))
            yield from _pair(context, exchange.answers[0].text, rejected, here, skips)
    yield from _correction(exchange, where("text correction", "medium"), skips)


def _pair(context: Context, chosen: str, rejected: str, where: Provenance, skips: Counter[str]) -> Iterator[Pair]:
    if MARK in chosen or MARK in rejected:
        skips["reply held a secret"] += 1
    elif chosen.strip() and rejected.strip() and chosen.strip() != rejected.strip():
        yield Pair(context, chosen, rejected, where)


def _correction(exchange: Exchange, where: Provenance, skips: Counter[str]) -> Iterator[Correction]:
    kind = correction_kind(exchange.followed) if exchange.followed is not None else None
    if kind == "fact":
        skips["corrects a fact, and nothing here tells who is right"] += 1
    if kind == "wish" and exchange.followed is not None:
        rejected = exchange.answers[0].text
        if MARK in rejected or MARK in exchange.followed:
            skips["reply held a secret"] += 1
        elif rejected.strip():
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
