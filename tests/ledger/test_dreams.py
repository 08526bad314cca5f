from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dreamloop.errors import StateError
from dreamloop.ledger.schema import migrations
from dreamloop.ledger.store import Ledger
from dreamloop.records import (
    Axis,
    Diversity,
    Dreamed,
    Message,
    Scenario,
    Skip,
    Tally,
    Twins,
)


def twins(number: int, kind: str = "sums") -> Twins:
    right = Scenario(
        kind, f"{kind}/1", "right", f"twin{number}", (Message("user", f"Situation {number}, right"),), "Yes.", "No.",
        "1 + 1 = 2", "2", (Axis("kind", kind), Axis("tone", "plain")), "strong", "engine", "grammar",
    )  # fmt: skip
    return Twins(
        right, replace(right, side="wrong", context=(Message("user", f"Situation {number}, wrong"),), claim="3")
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.db")


def night(ledger: Ledger) -> int:
    return ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny")


def test_what_was_dreamed_comes_back_as_it_was(ledger: Ledger) -> None:
    ledger.record_dream(night(ledger), Dreamed((twins(1), twins(2)), (Skip("dream", "sums: gave up", 1),)), "training")
    assert ledger.pending_twins() == [twins(1), twins(2)]


def test_coverage_counts_twins_once_and_adds_up_over_nights_and_rounds(ledger: Ledger) -> None:
    first = night(ledger)
    ledger.record_dream(first, Dreamed((twins(1), twins(2)), ()), "training")
    ledger.record_dream(first, Dreamed((twins(3),), ()), "lesson")
    ledger.record_dream(night(ledger), Dreamed((twins(4, "facts"),), ()), "lesson")
    assert set(ledger.coverage()) == {
        Tally("kind", "sums", 3), Tally("kind", "facts", 1), Tally("tone", "plain", 4),
    }  # fmt: skip


def test_the_index_can_be_made_from_the_ledger_from_any_row_on(ledger: Ledger) -> None:
    ledger.record_dream(night(ledger), Dreamed((twins(1), twins(2)), ()), "training")
    rows = list(ledger.dreams_after(0))
    assert [text for _, text, _ in rows] == [twins(1).text(), twins(2).text()]
    assert rows[1][2] == (twins(2).right.digest, twins(2).wrong.digest, twins(2).right.twin)
    assert list(ledger.dreams_after(rows[0][0])) == rows[1:]
    assert ledger.last_dream() == rows[1][0]


def test_a_side_that_a_broken_write_left_without_its_twin_is_passed_over(ledger: Ledger) -> None:
    number = night(ledger)
    ledger.record_dream(number, Dreamed((twins(1), twins(2), twins(3), twins(4)), ()), "training")
    ledger.db.execute("DROP TRIGGER scenarios_no_delete")  # as ledgers of earlier versions may be
    for twin, side in (("twin2", "wrong"), ("twin4", "wrong")):
        ledger.db.execute("DELETE FROM scenarios WHERE twin = ? AND side = ?", [twin, side])
    assert ledger.pending_twins() == [twins(1), twins(3)]
    assert [text for _, text, _ in ledger.dreams_after(0)] == [twins(1).text(), twins(3).text()]


def test_twins_of_a_night_that_broke_off_wait_until_a_night_has_trained_on_them(ledger: Ledger) -> None:
    broken = night(ledger)
    ledger.record_dream(broken, Dreamed((twins(1), twins(2)), ()), "training")
    ledger.record_dream(broken, Dreamed((twins(3),), ()), "lesson")
    second = night(ledger)
    ledger.take_up(second, ledger.pending_twins()[:1])
    assert ledger.pending_twins() == [twins(1), twins(2)]  # it may break off as well
    ledger.db.execute("INSERT INTO trainings VALUES (?, '{}', '{}')", [second])
    assert ledger.pending_twins() == [twins(2)]


def test_twins_that_broke_every_night_are_left_alone_in_the_end(ledger: Ledger) -> None:
    ledger.record_dream(night(ledger), Dreamed((twins(1),), ()), "training")
    for _ in range(3):
        assert ledger.pending_twins() == [twins(1)]
        ledger.take_up(night(ledger), ledger.pending_twins())
    assert ledger.pending_twins() == []


def test_twins_of_a_night_that_trained_wait_for_nobody(ledger: Ledger) -> None:
    done = night(ledger)
    ledger.record_dream(done, Dreamed((twins(1),), ()), "training")
    ledger.db.execute("INSERT INTO trainings VALUES (?, '{}', '{}')", [done])
    assert ledger.pending_twins() == []


def test_twins_of_a_training_that_was_ended_before_its_verdict_wait_for_another_night(ledger: Ledger) -> None:
    ended = night(ledger)
    ledger.record_dream(ended, Dreamed((twins(1),), ()), "training")
    ledger.db.execute("INSERT INTO trainings VALUES (?, '{}', '{}')", [ended])
    ledger.end(ended, "2026-01-01T01:00:00+00:00", "interrupted", "The process ended in the middle.", None)
    assert ledger.pending_twins() == [twins(1)]
    ledger.db.execute("INSERT INTO verdicts VALUES (?, 'keep', '[]')", [ended])  # killed while it was being served
    assert ledger.pending_twins() == []


def test_how_varied_the_nights_are_is_kept_and_no_night_is_told_twice(ledger: Ledger) -> None:
    first = night(ledger)
    varied = Diversity(10, 600, 0.3, 0.7, 0.9, 8.5, 0.2, 0.1)
    ledger.record_diversity(first, varied, ("Falling.",))
    assert ledger.diversity() == [{"words": 600, "distinct_2": 0.7, "distinct_3": 0.9, "entropy": 8.5, "refused": 0.1}]
    with pytest.raises(StateError):
        ledger.record_diversity(first, varied, ())


def test_a_ledger_from_before_keeps_its_scenarios_and_counts_their_kinds(tmp_path: Path) -> None:
    from sqlite_utils.db import Database  # noqa: PLC0415

    old = Database(sqlite3.connect(tmp_path / "old.db"))
    migrations.apply(old, stop_before="dreams")
    old.execute("INSERT INTO nights VALUES (1, '', 0, '{}', '{}', 'm')")
    for side in ("right", "wrong"):
        old.execute(
            "INSERT INTO scenarios VALUES (?, 1, 't', 'facts', ?, 'lesson', ?, 'Yes.', 'No.', 'proof')",
            [side, side, json.dumps([["user", side]])],
        )
    old.execute("INSERT INTO signatures VALUES ('t', 1, x'00')")
    old.conn.commit()
    old.close()
    ledger = Ledger(tmp_path / "old.db")
    assert ledger.coverage() == [Tally("kind", "facts", 1)]
    ((_, text, _),) = ledger.dreams_after(0)
    assert text == "user: right user: wrong"
