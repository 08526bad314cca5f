"""What a row of nights leaves behind, so that it can be told and gone on from elsewhere."""

from __future__ import annotations

import hashlib
import json
import lzma
from dataclasses import replace
from pathlib import Path

import pytest
from contestants import ended_nights, learned_first
from lived import LivedNight, same_rows
from nights import above_noise
from served import served_after
from stash import put_by, take_out
from trust import prompts

from dreamloop.gate.suite import Probe
from dreamloop.ledger.store import Ledger
from dreamloop.paths import Home
from dreamloop.records import Dreamed, Message, Scenario, Twins

RIGHT = Scenario(
    "sums", "sums/1", "right", "one twin", (Message("user", "2 and 2 are 4?"),), "Yes.", "No.", "2+2=4", "4"
)
TWINS = Twins(RIGHT, replace(RIGHT, side="wrong", context=(Message("user", "2 and 2 are 5?"),), claim="5"))


def lived_through(ledger: Ledger) -> int:
    """A night that trained on one twin and was asked one probe of each side."""
    night = ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny")
    ledger.record_model(night, "a", "cpu", "float32", None, 0.0)
    ledger.record_dream(night, Dreamed((TWINS,), ()), "training")
    ledger.db.execute("INSERT INTO trainings VALUES (?, '{}', '{}')", [night])
    ledger.db.conn.commit()
    return night


def test_a_stash_has_what_was_learned_and_nothing_that_only_the_gate_needs(home: Home, tmp_path: Path) -> None:
    ledger = Ledger(home.ledger)
    night = lived_through(ledger)
    learned = learned_first(ledger, night)
    ledger.close()
    put_by(home.ledger, tmp_path / "seed-1.ledger.xz")
    elsewhere = Home(tmp_path / "elsewhere")
    take_out(tmp_path / "seed-1.ledger.xz", elsewhere, [night])
    there = Ledger(elsewhere.ledger)
    assert learned_first(there, night) == learned
    assert len(learned) == 2
    assert ended_nights(elsewhere) == [(night, None)]
    assert there.db.execute("SELECT count(*) FROM evidence").fetchone() == (0,)
    there.close()
    assert Ledger(home.ledger).twins_of(night) == [TWINS]  # the ledger itself is as it was


def test_a_stash_that_is_cut_short_is_no_home(home: Home, tmp_path: Path) -> None:
    Ledger(home.ledger).close()
    packed = tmp_path / "seed-1.ledger.xz"
    put_by(home.ledger, packed)
    packed.write_bytes(packed.read_bytes()[:-20])
    elsewhere = Home(tmp_path / "elsewhere")
    with pytest.raises((EOFError, lzma.LZMAError)):
        take_out(packed, elsewhere, [])
    assert not elsewhere.ledger.is_file()


def test_of_a_night_that_nothing_was_judged_in_nothing_is_told(home: Home) -> None:
    ledger = Ledger(home.ledger)
    probe = Probe("sums/0/0/right", "sums", "sums/0", "sums/0/0", "right", RIGHT.context, (("Yes.", "No."),))
    assert served_after(ledger, lived_through(ledger), [probe]) == {}


def test_general_rows_are_the_same_for_every_seed_that_is_asked_the_same(tmp_path: Path) -> None:
    shared, home = tmp_path / "results", tmp_path / "home"
    shared.mkdir()
    home.mkdir()
    rows = [{"context": "A?", "reply": "B."}, {"context": "C?", "reply": "D."}]
    asked = hashlib.sha256("\n".join(prompts()).encode()).hexdigest()
    (shared / "general.json").write_text(json.dumps({"prompts": asked, "rows": rows}))
    (home / "general.jsonl").write_text("what another machine answered\n")
    assert [json.loads(line) for line in same_rows(home, shared).read_text().splitlines()] == rows


def night(
    number: int, pairs: int, surely: int, scale: float = 1.0, outcome: str = "kept", act: str = "train"
) -> LivedNight:
    return LivedNight(number, outcome, scale, pairs, 60.0, act, 1.0, 1.0, 0.0, surely)


def test_noise_is_left_where_from_some_night_on_every_kept_one_is_surely_better() -> None:
    row = [
        night(1, 20, 1),
        night(2, 20, 0),
        night(3, 50, 1, 0.5),
        night(4, 200, 0, outcome="reverted"),
        night(5, 50, 1),
    ]
    assert above_noise(row) == 65  # 20 + 20 + half of 50; the first one's luck did not last
    assert above_noise([night(1, 20, 0)]) is None
    assert above_noise([night(1, 20, 1), night(2, 900, 0, act="rebase")]) == 20
