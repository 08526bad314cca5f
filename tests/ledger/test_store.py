from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlite_utils.db import Database

from dreamloop.config import Finetune
from dreamloop.errors import InvariantBroken, StateError
from dreamloop.finetune.recipe import recipe_of
from dreamloop.ledger.history import History
from dreamloop.ledger.schema import migrations
from dreamloop.ledger.store import Ledger
from dreamloop.paths import Home
from dreamloop.records import (
    Change,
    ChatRow,
    Collected,
    Correction,
    Cursor,
    Evidence,
    Measure,
    Message,
    Pair,
    Provenance,
    ReplayShare,
    Skip,
    SourceRead,
    StepReport,
    Trial,
    Verdict,
    Written,
)

WHERE = Provenance("oasst:log.jsonl", "c", 1, "ranked siblings", "strong")
WILD = 'it\'s "quoted"; DROP TABLE nights; \x00 \N{SNOWMAN} {claim} <|im_end|>'
PAIR = Pair((Message("system", "s"), Message("user", WILD)), "good", "bad", WHERE)
CORRECTION = Correction((Message("user", "q"),), "first", "No, I asked.", WHERE)
REPORT = StepReport(
    steps=(), symptoms=(), trained=(PAIR.digest,), replayed=(), held=(), bystanders=0, skips=(),
    replay_share=ReplayShare(0, 0, 0),
    trainable_parameters=1, ranks=(8,), resumed=(), gains=(2.0,), suggested_rank=8, packing=1.0, pack_tokens=512,
    dpo_start_loss=0.69,
    chosen_before=0, chosen_after=0, margin_before=0, margin_after=0, shift_before=None, shift_after=None,
    hold_share=None,
    update_norm=0.1, seconds=1.0, tokens_per_s=1.0, peak_memory_mb=1,
)  # fmt: skip


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = Ledger(home.ledger)
    yield opened
    opened.close()


def begun(ledger: Ledger) -> int:
    return ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {"dreamloop": "0"}, "tiny")


def collected(offset: int = 10) -> Collected:
    read = SourceRead("/log.jsonl", "oasst", 0, 1, 2, Cursor("/log.jsonl", offset, "tail"))
    return Collected((PAIR,), (CORRECTION,), (read,), (Skip("collect", "not JSON", 3),))


def test_a_pair_comes_back_as_it_was_given(ledger: Ledger) -> None:
    ledger.record_collected(begun(ledger), collected())
    assert ledger.pending_pairs() == [PAIR]
    assert ledger.pending_corrections(5) == [CORRECTION]


def test_cursors_are_those_of_the_latest_night(ledger: Ledger) -> None:
    for offset in (10, 20, 15):
        ledger.record_collected(begun(ledger), collected(offset))
    assert ledger.cursors() == {"/log.jsonl": Cursor("/log.jsonl", 15, "tail")}


def test_what_was_trained_or_set_aside_is_no_longer_pending(ledger: Ledger) -> None:
    night = begun(ledger)
    ledger.record_collected(night, collected())
    ledger.record_training(night, recipe_of(Finetune(), 0), REPORT, [PAIR], [])
    assert ledger.pending_pairs() == []
    assert (ledger.mined_of(night), ledger.mined_of(night + 1)) == ([PAIR], [])


def test_pairs_of_a_training_that_was_ended_before_its_verdict_wait_for_another_night(ledger: Ledger) -> None:
    ended, judged = begun(ledger), begun(ledger)
    ledger.record_collected(ended, collected())
    ledger.record_training(ended, recipe_of(Finetune(), 0), REPORT, [PAIR], [])
    ledger.end(ended, "2026-01-01T01:00:00+00:00", "interrupted", "The process ended in the middle.", None)
    assert ledger.pending_pairs() == [PAIR]
    ledger.record_training(judged, recipe_of(Finetune(), 0), REPORT, [PAIR], [])
    ledger.end(judged, "2026-01-02T01:00:00+00:00", "reverted", "It got worse.", None)
    assert ledger.pending_pairs() == []


def test_a_rewrite_is_tried_once_whatever_came_of_it(ledger: Ledger, home: Home) -> None:
    night = begun(ledger)
    ledger.record_collected(night, collected())
    known = History(home.ledger, home.lock)
    assert [known.waiting(rewrites) for rewrites in (0, 5)] == [1, 2]
    ledger.record_written(night, [Written(CORRECTION.digest, "not finished", None)])
    assert ledger.pending_corrections(5) == []
    assert known.waiting(5) == 1


def test_the_ledger_refuses_a_training_item_that_is_a_gate_item(ledger: Ledger) -> None:
    night = begun(ledger)
    ledger.record_gate_items("suite", [PAIR.chosen, "another"])
    with pytest.raises(InvariantBroken, match="gate item"):
        ledger.record_training(
            night, recipe_of(Finetune(), 0), REPORT, [PAIR], [ChatRow(PAIR.context, "Fine.", "base")]
        )
    tables = ("replays", "trained_texts", "trained", "trainings")
    assert [ledger.db[table].count for table in tables] == [0] * 4  # all together or not at all


def test_what_bystanders_were_held_by_is_written_down_once_for_both_sides(ledger: Ledger) -> None:
    def pair(side: str, good: str, bad: str) -> Pair:
        return Pair((Message("user", side),), good, bad, Provenance("dream", "notes", 0, side, "strong"), "a")

    aside = [pair("right", "Yes.", "No."), pair("wrong", "No.", "Yes."),
             pair("right", "Fine.", "Bad."), pair("wrong", "Bad.", "Fine.")]  # fmt: skip
    too_long = pair("right", "Good, good.", "Wrong.")
    night, report = begun(ledger), replace(REPORT, held=tuple(one.digest for one in aside))
    ledger.record_training(night, recipe_of(Finetune(), 0), report, [PAIR], [], [*aside, too_long])
    rows = ledger.db.execute("SELECT night, twin, accept, push_back FROM held").fetchall()
    assert rows == [(night, "a", "Yes.", "No."), (night, "a", "Fine.", "Bad.")]
    with pytest.raises(sqlite3.IntegrityError):
        ledger.db.execute("DELETE FROM held")


def test_what_is_only_held_may_be_no_gate_item_either_and_counts_as_seen(ledger: Ledger) -> None:
    aside = Pair((Message("user", "aside"),), "Yes.", "No.", PAIR.provenance)
    night, recipe, held = begun(ledger), recipe_of(Finetune(), 0), replace(REPORT, held=(aside.digest,))
    ledger.record_gate_items("suite", ["aside"])
    with pytest.raises(InvariantBroken, match="gate item"):
        ledger.record_training(night, recipe, held, [PAIR], [], [aside])
    ledger.record_training(night, recipe, REPORT, [PAIR], [], [aside])  # it did not fit the model, so nothing saw it
    assert ledger.db["held"].count == 0
    assert [row[0] for row in ledger.db.execute("SELECT digest FROM trained")] == [PAIR.digest]


def test_what_is_written_within_what_is_written_together_is_refused_and_takes_all_back(ledger: Ledger) -> None:
    with pytest.raises(StateError, match="transaction"), ledger._transaction():
        ledger.begin("t", 0, "{}", {}, "m")
    assert ledger.db["nights"].count == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE nights SET seed = 8",
        "DELETE FROM nights",
        "DELETE FROM pairs",
        "INSERT OR REPLACE INTO nights SELECT night, started_at, 8, config, versions, model FROM nights",
    ],
)
def test_history_cannot_be_rewritten(ledger: Ledger, statement: str) -> None:
    ledger.record_collected(begun(ledger), collected())
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        ledger.db.execute(statement)


def test_a_night_ends_once(ledger: Ledger) -> None:
    night = begun(ledger)
    ledger.end(night, "2026-01-01T01:00:00+00:00", "reverted", "why", None)
    with pytest.raises(StateError):
        ledger.end(night, "2026-01-01T02:00:00+00:00", "kept", "never", 1)
    assert ledger.unfinished() == []


def test_numbers_that_are_not_finite_are_kept_as_null_and_not_lost(ledger: Ledger, home: Home) -> None:
    night = begun(ledger)
    nan = float("nan")
    change = Change(nan, nan, nan, 0.1)
    measure = Measure("m", "u", 1.0, nan, float("inf"), change, replace(change, margin=0.2), 1, 1)
    shown = Evidence("c", "item", "cluster", 1.0, nan, float("inf"))
    ledger.record_trial(night, Trial(0, 1.0, "suite", (measure,), (shown,), Verdict("revert", ("broken",))))
    (row,) = History(home.ledger, home.lock).night(night).measures
    assert (row["base"], row["incumbent"], row["candidate"]) == (1.0, None, None)
    assert (row["margin"], row["base_margin"], row["base_change"]) == (0.1, 0.2, None)
    assert ledger.db["evidence"].count == 1


def test_every_trial_of_a_night_stays_and_the_last_one_is_shown(ledger: Ledger, home: Home) -> None:
    night = begun(ledger)
    for attempt, outcome in enumerate(("revert", "keep")):
        change = Change(-0.1 * attempt, -0.2, 0.0, 0.3)
        measure = Measure("m", "u", 1.0, 2.0, 3.0, change, change, 4, 4)
        verdict = Verdict(outcome, (f"reason {attempt}",))  # type: ignore[arg-type]
        ledger.record_trial(night, Trial(attempt, 1 / (attempt + 1), "suite", (measure,), (), verdict))
    record = History(home.ledger, home.lock).night(night)
    assert [(row["scale"], row["outcome"], row["reasons"]) for row in record.trials] == [
        (1.0, "revert", ["reason 0"]), (0.5, "keep", ["reason 1"]),
    ]  # fmt: skip
    assert [row["change"] for row in record.measures] == [-0.1]


def test_scores_are_found_again_under_their_key_only(ledger: Ledger) -> None:
    night = begun(ledger)
    ledger.record_suite_scores(night, "key", '{"a": {}}')
    ledger.record_suite_scores(night, "key", '{"b": {}}')
    assert ledger.suite_scores("key") == '{"a": {}}'
    assert ledger.suite_scores("another") is None


def test_nights_from_before_there_were_trials_are_still_told(home: Home) -> None:
    old = Database(sqlite3.connect(home.ledger))
    migrations.apply(old, stop_before="trials")
    old.table("nights").insert(
        {"night": 1, "started_at": "t", "seed": 0, "config": "{}", "versions": "{}", "model": "m"}
    )
    old.table("measures").insert({
        "night": 1, "suite": "s", "name": "perplexity.prose", "unit": "nats/token", "incumbent": 3.0, "candidate": 3.1,
        "change": -0.1, "low": -0.2, "high": 0.0, "margin": 0.01, "items": 8, "clusters": 8, "census": 0,
    })  # fmt: skip
    old.table("evidence").insert({
        "night": 1, "measure": "perplexity.prose", "item": "i", "cluster": "c", "incumbent": 3.0, "candidate": 3.1,
    })  # fmt: skip
    old.table("verdicts").insert({"night": 1, "outcome": "keep", "reasons": '["fine"]'})
    old.close()
    unread = History(home.ledger, home.lock).night(1)
    assert unread.measures[0]["base"] is None  # a reader does not migrate
    Ledger(home.ledger).close()
    told = History(home.ledger, home.lock).night(1)
    assert told.measures[0] | {"base": None} == told.measures[0]
    assert (told.measures[0]["name"], told.measures[0]["change"]) == ("perplexity.prose", -0.1)
    (trial,) = told.trials
    assert (trial["attempt"], trial["scale"]) == (0, 1.0)
    assert (trial["outcome"], trial["reasons"]) == ("keep", ["fine"])


def test_scenarios_from_before_there_were_bystanders_keep_their_places(home: Home) -> None:
    """The novelty index goes by the places."""
    old = Database(sqlite3.connect(home.ledger))
    migrations.apply(old, stop_before="bystanders")
    old.table("nights").insert(
        {"night": 1, "started_at": "t", "seed": 0, "config": "{}", "versions": "{}", "model": "m"}
    )
    names = ("twin", "kind", "side", "context", "accept", "push_back", "truth", "template", "claim", "axes", "strength",
             "worded_by", "replies_by")  # fmt: skip
    for place in (2, 7):
        old.execute(
            f"INSERT INTO scenarios (rowid, digest, night, use, {', '.join(names)}) "  # noqa: S608 - names from above
            f"VALUES ({place}, 'd{place}', 1, 'training', {', '.join('?' * len(names))})", names,
        )  # fmt: skip
    old.conn.commit()
    old.close()
    ledger = Ledger(home.ledger)
    found = ledger.db.execute("SELECT rowid, digest, use, replies_by FROM scenarios ORDER BY rowid").fetchall()
    assert found == [(2, "d2", "training", "replies_by"), (7, "d7", "training", "replies_by")]
    with pytest.raises(sqlite3.IntegrityError):
        ledger.db.execute("DELETE FROM scenarios")
    assert "shift" in {column[1] for column in ledger.db.execute("PRAGMA table_info(steps)")}
    assert "scenarios_by_night" in {row[1] for row in ledger.db.execute("PRAGMA index_list(scenarios)")}
    ledger.close()


def test_a_transaction_that_fails_leaves_nothing_of_itself(ledger: Ledger) -> None:
    night = begun(ledger)
    ledger.record_verdict(night, Verdict("keep", ("fine",)))
    with pytest.raises(StateError):
        ledger.record_verdict(night, Verdict("revert", ("again",)))
    assert ledger.db["verdicts"].count == 1


def test_the_file_is_private_in_wal_mode_and_opens_again_with_its_migrations_done(home: Home) -> None:
    Ledger(home.ledger).close()
    again = Ledger(home.ledger)
    assert again.db.journal_mode == "wal"
    assert stat.S_IMODE(home.ledger.stat().st_mode) == 0o600
    again.close()


def test_reading_never_creates_or_changes_the_file(home: Home) -> None:
    with pytest.raises(StateError, match="no ledger"):
        History(home.ledger, home.lock)
    assert not home.ledger.exists()
