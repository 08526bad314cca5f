from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from dreamloop.ledger.store import Ledger
from dreamloop.paths import Home
from dreamloop.records import ChatRow, Dreamed, Message, Plan, Scenario, Trial, Twins, Verdict
from dreamloop.relearn import learned_by


def twins(night: int) -> Twins:
    said = (Message("user", f"Night {night}: two?"),), "Yes.", "No.", "1+1=2", "2"
    right = Scenario("sums", "sums/1", "right", f"twin {night}", *said)
    return Twins(right, replace(right, side="wrong", context=(Message("user", f"Night {night}: three?"),), claim="3"))


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    """Three stacked nights that trained one twin each, with a general row of their own."""
    opened = Ledger(home.ledger)
    for number in (1, 2, 3):
        night = opened.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny")
        opened.record_model(night, "a", "cpu", "float32", number - 1 or None, 0.0)
        opened.record_dream(night, Dreamed((twins(number),), ()), "training")
        row = ChatRow((Message("user", f"General {number}?"),), "An answer.", "base")
        opened.db.execute("INSERT INTO trainings VALUES (?, '{}', '{}')", [night])
        opened.db.execute(
            "INSERT INTO replays VALUES (?, ?, json_array(json_array('user', ?)), ?, 'base')",
            [night, row.digest, row.context[0].content, row.reply],
        )
        opened.db.conn.commit()
    yield opened
    opened.close()


def nothing(_: Sequence[str]) -> bool:
    return False


def test_everything_behind_a_generation_is_learned_again_the_latest_first(ledger: Ledger) -> None:
    known = learned_by(ledger, 3, ("sums",), 100, nothing)
    assert [one.right.twin for one in known.twins] == ["twin 3", "twin 2", "twin 1"]
    assert [row.context[0].content for row in known.replay] == ["General 3?", "General 2?", "General 1?"]
    assert len(known.pairs()) == 6


def test_kinds_that_are_given_up_or_not_configured_any_more_are_not(ledger: Ledger) -> None:
    known = learned_by(ledger, 3, ("notes",), 100, nothing)
    assert not known.twins
    assert len(known.replay) == 3  # what went with them is as general as before


def test_what_came_after_a_generation_is_not(ledger: Ledger) -> None:
    assert [one.right.twin for one in learned_by(ledger, 2, ("sums",), 100, nothing).twins] == ["twin 2", "twin 1"]


def test_twins_are_whole_where_there_is_room_for_an_odd_number_of_pairs(ledger: Ledger) -> None:
    assert len(learned_by(ledger, 3, ("sums",), 5, nothing).pairs()) == 4


def test_what_the_gate_asks_today_is_left_out_and_counted(ledger: Ledger) -> None:
    known = learned_by(ledger, 3, ("sums",), 100, lambda texts: any("Night 2" in text for text in texts))
    assert [one.right.twin for one in known.twins] == ["twin 3", "twin 1"]
    assert known.too_close == 2


def test_of_a_night_that_was_kept_in_part_as_large_a_part_is_learned_again(ledger: Ledger) -> None:
    more = Dreamed(tuple(twins(number) for number in (31, 32, 33, 34)), ())  # five in all
    ledger.record_dream(3, more, "training")
    whole = Trial(0, 1.0, "suite", (), (), Verdict("inconclusive", ()))
    for trial in (whole, replace(whole, attempt=1, scale=0.5, verdict=Verdict("keep", ()))):
        ledger.record_trial(3, trial)
    known = learned_by(ledger, 3, ("sums",), 100, nothing)
    assert [one.right.twin for one in known.twins] == ["twin 3", "twin 31", "twin 32", "twin 2", "twin 1"]


def test_what_was_learned_again_once_is_learned_again_the_latest_first(ledger: Ledger) -> None:
    night = ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny")
    ledger.take_up(night, learned_by(ledger, 3, ("sums",), 100, nothing).twins)
    ledger.db.execute("INSERT INTO trainings VALUES (?, '{}', '{}')", [night])
    ledger.db.conn.commit()
    ledger.record_model(night, "a", "cpu", "float32", 3, 0.0)
    ledger.record_plan(night, Plan("rebase", 20, 1.0, 1.0, 1.0, (), 1.0, 0.25, 1.0, 0.4, (), (), (), ()))
    assert [one.right.twin for one in learned_by(ledger, night, ("sums",), 5, nothing).twins] == ["twin 3", "twin 2"]
