"""Writing the ledger: one SQLite file in WAL mode that can explain any night.

Each method is one transaction, so a crash leaves whole facts or none. The past that a stage needs
(cursors, pairs not yet used) is read here and handed to it by cycle.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dreamloop.ledger.database import context_json, context_of
from dreamloop.ledger.dreams import DreamRows
from dreamloop.ledger.past import REBASED, TRIED, called, past_nights, potentials
from dreamloop.records import (
    ChatRow,
    Collected,
    Correction,
    Cursor,
    Measure,
    Pair,
    PastNight,
    Plan,
    Potential,
    Proof,
    Provenance,
    Recipe,
    Skip,
    Step,
    StepReport,
    Trial,
    Verdict,
    Written,
    digest_of,
)


class Ledger(DreamRows):
    """One open ledger. Times are ISO 8601 in UTC and given by the caller."""

    # --- a night's frame -------------------------------------------------------------------

    def begin(self, started_at: str, seed: int, config: str, versions: dict[str, str], model: str) -> int:
        """Open the next night and return its number, from 1."""
        with self._transaction():
            night = self._one("SELECT coalesce(max(night), 0) + 1 FROM nights")
            self._insert("nights", [{
                "night": night, "started_at": started_at, "seed": seed, "config": config,
                "versions": json.dumps(versions), "model": model,
            }])  # fmt: skip
        return int(night)

    def unfinished(self) -> list[int]:
        """Nights without an ending: what a crash or a kill left."""
        rows = self._rows("SELECT night FROM nights WHERE night NOT IN (SELECT night FROM endings)")
        return [int(row[0]) for row in rows]

    def end(self, night: int, ended_at: str, outcome: str, reason: str, generation: int | None) -> None:
        """Close a night; its outcome can never be rewritten."""
        row = {"night": night, "ended_at": ended_at, "outcome": outcome, "reason": reason, "generation": generation}
        self._write("endings", [row])

    def record_stage(self, night: int, stage: str, seconds: float) -> None:
        """How long a stage took."""
        self._write("stages", [{"night": night, "stage": stage, "seconds": seconds}])

    def record_model(
        self, night: int, digest: str, device: str, dtype: str, incumbent: int | None, exactness: float
    ) -> None:
        """Which weights the night worked on."""
        self._write("models", [{
            "night": night, "digest": digest, "device": device, "dtype": dtype,
            "incumbent": incumbent, "exactness": exactness,
        }])  # fmt: skip

    def knows_generation(self, number: int) -> bool:
        """Whether the move of `current` to this generation was ever noted."""
        return bool(self._rows("SELECT 1 FROM pointers WHERE generation = ? LIMIT 1", [number]))

    def record_pointer(self, moved_at: str, generation: int | None, was: int | None, why: str) -> None:
        """`current` moved; None is the base model."""
        self._write("pointers", [{"moved_at": moved_at, "generation": generation, "was": was, "why": why}])

    def record_skips(self, night: int, skips: Sequence[Skip]) -> None:
        """What was left out, and why."""
        self._write("skips", [{"night": night, **asdict(skip)} for skip in skips])

    # --- plan ------------------------------------------------------------------------------

    def past(self) -> list[PastNight]:
        """What every night that ended tells of itself, oldest first."""
        with self._guarded():
            return past_nights(self.db.conn)

    def potentials(self, digest: str) -> list[Potential]:
        """What a base model could be taught, by kind; nothing where it was not asked."""
        with self._guarded():
            return potentials(self.db.conn, digest)

    def called(self, model: str) -> str:
        """The digest of the base that the configuration called so last; empty where no night knew it."""
        with self._guarded():
            return called(self.db.conn, model)

    def record_survey(self, night: int, digest: str, found: Sequence[Potential]) -> None:
        """What was found of a base model's kinds; it is asked of each only once."""
        self._write("surveys", [{"digest": digest, "night": night, **asdict(one)} for one in found])

    def record_plan(self, night: int, plan: Plan) -> None:
        """What the night does, and why."""
        self._write("plans", [{"night": night, "plan": json.dumps(asdict(plan), ensure_ascii=False)}])

    def record_go_ahead(self, at: str) -> int | None:
        """Somebody has looked at the nights so far; the last of them, None before the first."""
        last = self._one("SELECT max(night) FROM endings")
        if last is None:
            return None
        self._write("go_aheads", [{"at": at, "night": last}])
        return int(last)

    # --- collect ---------------------------------------------------------------------------

    def cursors(self) -> dict[str, Cursor]:
        """How far each log was read, by path."""
        rows = self._rows(
            "SELECT path, offset, tail_digest FROM reads WHERE offset IS NOT NULL GROUP BY path HAVING max(night)"
        )
        return {path: Cursor(path, offset, digest) for path, offset, digest in rows}

    def record_collected(self, night: int, collected: Collected) -> None:
        """Pairs, corrections and cursors together: nothing is read without being kept."""
        with self._transaction():
            self._insert("pairs", [_pair_row(night, pair) for pair in collected.pairs])
            self._insert("corrections", [_correction_row(night, item) for item in collected.corrections])
            self._insert("reads", [{
                "night": night, "path": read.path, "format": read.format, "start": read.start,
                "conversations": read.conversations, "exchanges": read.exchanges,
                "offset": read.cursor.offset if read.cursor else None,
                "tail_digest": read.cursor.tail_digest if read.cursor else None,
            } for read in collected.reads])  # fmt: skip
            self._insert("skips", [{"night": night, **asdict(skip)} for skip in collected.skips])

    def pending_pairs(self) -> list[Pair]:
        """Mined pairs that no night has trained on and come to a judgement, oldest first."""
        return self._pairs(
            f"NOT IN (SELECT digest FROM trained WHERE night IN {TRIED} UNION SELECT digest FROM set_aside)"  # noqa: S608
        )

    def mined_of(self, night: int) -> list[Pair]:
        """The mined pairs that a night trained on."""
        return self._pairs("IN (SELECT digest FROM trained WHERE night = ?)", night)

    def scale_of(self, night: int) -> float:
        """The share of its step that a night was judged with last."""
        found = self._rows("SELECT scale FROM trials WHERE night = ? ORDER BY attempt DESC LIMIT 1", [night])
        return float(found[0][0]) if found else 1.0

    def replayed_of(self, night: int) -> list[ChatRow]:
        """The general rows that a night had."""
        rows = self._rows("SELECT context, reply, source FROM replays WHERE night = ? ORDER BY rowid", [night])
        return [ChatRow(context_of(context), reply, source) for context, reply, source in rows]

    def lineage(self, generation: int) -> list[int]:
        """The nights whose pairs a generation has learned, latest first.

        One that began at the base once more has learned those of its own night, whatever served before it.
        """
        rows = self._rows(
            "WITH RECURSIVE line(night, depth) AS (SELECT ?, 0 UNION SELECT incumbent, depth + 1 FROM models "  # noqa: S608
            f"JOIN line USING (night) WHERE incumbent IS NOT NULL AND night NOT IN {REBASED}) "
            "SELECT night FROM line ORDER BY depth", [generation],
        )  # fmt: skip
        return [night for (night,) in rows]

    def _pairs(self, digests: str, *values: Any) -> list[Pair]:
        rows = self._rows(
            "SELECT context, chosen, rejected, source, conversation, turn, signal, strength FROM pairs "  # noqa: S608 - conditions come from this file
            f"WHERE digest {digests} ORDER BY rowid", values,
        )  # fmt: skip
        return [Pair(context_of(r[0]), r[1], r[2], Provenance(*r[3:])) for r in rows]

    def set_aside(self, night: int, pairs: Sequence[Pair], reason: str) -> None:
        """Pairs that will not be tried again, and why."""
        self._write("set_aside", [{"digest": pair.digest, "night": night, "reason": reason} for pair in pairs])

    def pending_corrections(self, limit: int) -> list[Correction]:
        """Corrections that no night has tried to rewrite, oldest first."""
        rows = self._rows(
            "SELECT context, rejected, correction, source, conversation, turn, signal, strength FROM corrections "
            "WHERE digest NOT IN (SELECT correction FROM rewrites) ORDER BY rowid LIMIT ?", [limit],
        )  # fmt: skip
        return [Correction(context_of(r[0]), r[1], r[2], Provenance(*r[3:])) for r in rows]

    def record_written(self, night: int, written: Sequence[Written]) -> None:
        """The rewrites tried tonight and the pairs they gave."""
        with self._transaction():
            self._insert("pairs", [_pair_row(night, item.pair) for item in written if item.pair])
            self._insert("rewrites", [{
                "correction": item.correction, "night": night, "outcome": item.outcome,
                "pair": item.pair.digest if item.pair else None,
            } for item in written])  # fmt: skip

    # --- finetune, gate --------------------------------------------------------------------

    def record_gate_items(self, suite: str, texts: Sequence[str]) -> None:
        """What the gate asks, as digests: nothing equal may ever be trained on."""
        self._write("gate_items", [{"digest": digest_of(text), "suite": suite} for text in texts])

    def record_training(
        self, night: int, recipe: Recipe, report: StepReport, pairs: Sequence[Pair], replay: Sequence[ChatRow],
        bystanders: Sequence[Pair] = (),
    ) -> None:  # fmt: skip
        """What was trained on, how, and how it went; bystanders were only held.

        Raises:
            InvariantBroken: a training item is a gate item.
        """
        used, held = set(report.trained) | set(report.replayed), set(report.held)
        everything: list[Pair | ChatRow] = [*pairs, *replay, *bystanders]
        items = [item for item in everything if item.digest in used | held]
        texts = {digest_of(text) for item in items for text in item.texts()}
        with self._transaction():
            self._insert("replays", [{
                "night": night, "digest": row.digest, "context": context_json(row.context), "reply": row.reply,
                "source": row.source,
            } for row in replay])  # fmt: skip
            self._insert("held", [{
                "night": night, "twin": pair.twin, "accept": pair.chosen, "push_back": pair.rejected,
            } for pair in bystanders if pair.digest in held and pair.provenance.signal == "right"])  # fmt: skip
            self._insert("trained_texts", [{"digest": digest, "night": night} for digest in sorted(texts)])
            self._insert("trained", [{"digest": digest, "night": night} for digest in sorted(used)])
            self._insert("trainings", [
                {"night": night, "recipe": json.dumps(asdict(recipe)), "report": _json_of(asdict(report))}
            ])  # fmt: skip
            self._insert("skips", [{"night": night, **asdict(skip)} for skip in report.skips])

    def record_broken(
        self, night: int, recipe: Recipe, mined: Sequence[Pair], steps: Sequence[Step], symptoms: Sequence[str]
    ) -> None:
        """A training that broke an invariant: its recipe and steps stay, and its mined pairs are not tried again."""
        report = _json_of({"steps": [asdict(step) for step in steps], "symptoms": list(symptoms)})
        with self._transaction():
            self._insert("trainings", [{"night": night, "recipe": json.dumps(asdict(recipe)), "report": report}])
            self._insert("set_aside", [
                {"digest": pair.digest, "night": night, "reason": "a step with it broke an invariant"} for pair in mined
            ])  # fmt: skip

    def record_trial(self, night: int, trial: Trial) -> None:
        """One judgement with every measure and its per-item evidence. Numbers that are not finite become NULL."""
        where = {"night": night, "attempt": trial.attempt}
        with self._transaction():
            self._insert("trials", [{
                **where, "scale": trial.scale, "suite": trial.suite, "outcome": trial.verdict.outcome,
                "reasons": json.dumps(trial.verdict.reasons),
            }])  # fmt: skip
            self._insert("measures", [{**where, **_finite(_measure_row(measure))} for measure in trial.measures])
            self._insert("evidence", [{**where, **_finite(asdict(item))} for item in trial.evidence])

    def suite_scores(self, key: str) -> str | None:
        """What was once measured under this key, as JSON."""
        rows = self._rows("SELECT scores FROM suite_scores WHERE key = ?", [key])
        return str(rows[0][0]) if rows else None

    def record_suite_scores(self, night: int, key: str, scores: str) -> None:
        """A policy's scores of the suite; what they depend on is in the key, so they are never measured again."""
        if self.suite_scores(key) is None:
            self._write("suite_scores", [{"key": key, "night": night, "scores": scores}])

    def record_verdict(self, night: int, verdict: Verdict) -> None:
        """The decision, before anything on disk follows from it."""
        self._write("verdicts", [
            {"night": night, "outcome": verdict.outcome, "reasons": json.dumps(verdict.reasons)}
        ])  # fmt: skip

    def record_proof(self, proved_at: str, generation: int, server: str, proof: Proof) -> None:
        """What a server showed of a generation."""
        self._write("proofs", [
            {"proved_at": proved_at, "generation": generation, "server": server, **_finite(asdict(proof))}
        ])  # fmt: skip


def _pair_row(night: int, pair: Pair) -> dict[str, Any]:
    return {
        "digest": pair.digest, "night": night, "context": context_json(pair.context), "chosen": pair.chosen,
        "rejected": pair.rejected, **asdict(pair.provenance),
    }  # fmt: skip


def _correction_row(night: int, item: Correction) -> dict[str, Any]:
    return {
        "digest": item.digest, "night": night, "context": context_json(item.context), "rejected": item.rejected,
        "correction": item.correction, **asdict(item.provenance),
    }  # fmt: skip


def _measure_row(measure: Measure) -> dict[str, Any]:
    tonight, since = asdict(measure.tonight), asdict(measure.since_base)
    rest = {key: value for key, value in asdict(measure).items() if key not in {"tonight", "since_base"}}
    return {**rest, **tonight, **{f"base_{key}": value for key, value in since.items()}}


def _json_of(value: Any) -> str:
    """JSON whose numbers SQLite can read: what is not finite is null."""

    def clean(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: clean(item) for key, item in part.items()}
        if isinstance(part, list | tuple):
            return [clean(item) for item in part]
        return None if isinstance(part, float) and not abs(part) < float("inf") else part

    return json.dumps(clean(value))


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not abs(value) < float("inf") else value for key, value in row.items()
    }
