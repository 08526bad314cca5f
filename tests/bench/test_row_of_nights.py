"""What a row of nights leaves behind, so that it can be told and gone on from elsewhere."""

from __future__ import annotations

import json
import lzma
import math
from dataclasses import replace
from pathlib import Path

import general
import pytest
from imitation import imitate, imitated, learned_first, place_of
from imitation import seconds as naive_seconds
from lived import Lived, LivedNight, keep, kept, same_rows, unchanging
from row import ended_nights, live, served_by
from served import served_after
from stash import put_by, take_out
from told import above_noise, over_all, seconds, with_ratio, worst_night

from dreamloop.config import Config
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
    ledger.end(night, "2026-01-01T01:00:00+00:00", "kept", "", 1)
    ledger.close()
    put_by(home.ledger, tmp_path / "seed-1.ledger.xz")
    elsewhere = Home(tmp_path / "elsewhere")
    take_out(tmp_path / "seed-1.ledger.xz", elsewhere)
    there = Ledger(elsewhere.ledger)
    assert learned_first(there, night) == learned
    assert len(learned) == 2
    assert ended_nights(elsewhere) == [(night, 1)]
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
        take_out(packed, elsewhere)
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
    (shared / "general.json").write_text(json.dumps({"asked": general.asked(), "rows": rows}))
    general.place_of(home).write_text("what another machine answered\n")
    assert [json.loads(line) for line in same_rows(home, shared).read_text().splitlines()] == rows


def night(
    number: int, pairs: int, surely: int, scale: float = 1.0, outcome: str = "kept", act: str = "train",
    prose: float = 0.0,
) -> LivedNight:  # fmt: skip
    served = {"probes.discrimination": number / 100, "perplexity.prose": prose}
    return LivedNight(number, outcome, scale, pairs, 60.0, act, 1.0, 1.0, 0.0, surely, served=served)


def test_noise_is_left_where_from_some_night_on_every_kept_one_is_surely_better() -> None:
    row = [
        night(1, 20, 1),
        night(2, 20, 0),
        night(3, 50, 1, 0.5),
        night(4, 200, 0, outcome="reverted"),
        night(5, 50, 1),
    ]
    # 20 + 20 + half of 50; the first one's luck did not last
    assert above_noise(row) == {"pairs": 65, "nats": 0.03}
    assert above_noise([night(1, 20, 0)]) is None
    assert above_noise([night(1, 20, 1), night(2, 900, 0, act="rebase")]) == {"pairs": 20, "nats": 0.01}


def test_what_not_every_seed_came_to_is_told_of_those_that_did() -> None:
    assert over_all([{"pairs": 60, "nats": 0.03}, None, {"pairs": 60, "nats": 0.05}]) == {
        "seeds": 2, "pairs": {"mean": 60.0, "low": 60.0, "high": 60.0},
        "nats": pytest.approx({"mean": 0.04, "low": 0.04 - 6.3138 * 0.01, "high": 0.04 + 6.3138 * 0.01}, abs=1e-4),
    }  # fmt: skip
    assert over_all([None]) == {"seeds": 0}


def test_seconds_are_of_the_seeds_that_were_timed() -> None:
    told = seconds([(100.0, 300.0), (), (200.0, 200.0, 200.0)])
    assert (told["mean"], told["low"], told["median"], told["longest"]) == (200.0, 200.0, 200.0, 300.0)
    assert seconds([()]) == {}


def test_reading_is_told_as_a_ratio_of_perplexities_too() -> None:
    gain = {"gain_mean": 0.01, "gain_low": 0.0, "gain_high": 0.02}
    assert with_ratio("nats.prose", gain)["ratio_mean"] == pytest.approx(1.01005)
    assert with_ratio("auc", gain) == gain


def test_a_row_counts_the_nights_that_came_to_an_end(home: Home) -> None:
    ledger = Ledger(home.ledger)
    numbers = [ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny") for _ in range(4)]
    for number, outcome, serving in zip(numbers, ("kept", "interrupted", "reverted"), (1, 1, 1), strict=False):
        ledger.end(number, "2026-01-01T01:00:00+00:00", outcome, "", serving)
    ledger.close()
    assert ended_nights(home) == [(1, 1), (3, 1)]  # the fourth was killed, and ends when the next one begins
    live(home, Config(), 2)  # there are two already, so nothing is run
    assert served_by(home, 2) == home.generations / "000001"


def test_nights_without_pairs_leave_the_naive_loop_where_it_was(home: Home, tmp_path: Path) -> None:
    ledger = Ledger(home.ledger)
    numbers = [ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny") for _ in range(3)]
    for number in numbers:
        ledger.end(number, "2026-01-01T01:00:00+00:00", "nothing to learn", "", None)
    ledger.close()
    place = place_of(tmp_path, home.ledger)
    first = place / "01"  # that the first night trained on something
    first.mkdir(parents=True)
    (first / "adapter_config.json").write_text("{}")
    (first / "seconds.txt").write_text("12.5")
    imitate(home, place, Config(), 3)
    assert imitated(place, 3) == place / "03"
    assert (place / "03" / "adapter_config.json").is_file()
    assert naive_seconds(place) == (12.5,)


def test_a_naive_loop_of_other_nights_is_another(home: Home, tmp_path: Path) -> None:
    Ledger(home.ledger).close()
    before = place_of(tmp_path, home.ledger)
    ledger = Ledger(home.ledger)
    ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny")
    ledger.close()
    assert place_of(tmp_path, home.ledger) != before


def test_the_worst_night_is_the_one_after_which_a_domain_reads_most_worse_than_before_it() -> None:
    row = [night(1, 20, 0, prose=0.01), night(2, 20, 0, prose=0.04), night(3, 20, 0, prose=0.05)]
    assert worst_night(row, "prose") == pytest.approx(math.exp(0.03))
    assert worst_night(row[:1], "prose") == pytest.approx(math.exp(0.01))  # from the base on
    assert worst_night([night(1, 20, 0, prose=-0.01), night(2, 20, 0, prose=-0.02)], "prose") < 1


def a_seed(**scores: float) -> Lived:
    asked = {"probes": scores}
    return Lived(
        1, (night(1, 20, 1),), {"sums": 10}, {"base 0": asked, "dreamloop 10": asked}, "c", "a", "d", "cpu", {}
    )


def test_a_seed_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    keep(a_seed(one=0.5, two=-0.25), tmp_path)
    assert kept(1, tmp_path) == a_seed(one=0.5, two=-0.25)
    assert kept(2, tmp_path) is None


def test_a_score_that_is_no_number_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="base 0 has a score in probes that is no number"):
        keep(a_seed(one=math.nan), tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_nothing_is_trained_for_is_taken_from_a_seed_that_was_asked_the_same(tmp_path: Path) -> None:
    asked_of = {"probes": {"one": 0.5}}
    one = replace(a_seed(one=0.5), scores={"dreamloop 10": asked_of})
    keep(one, tmp_path)  # its nights are over, and nobody else was asked yet
    assert unchanging("a", "p", tmp_path) == {}
    keep(replace(one, scores={"base 0": asked_of, "prompted 0": asked_of, **one.scores}, prompt="p"), tmp_path)
    assert unchanging("a", "p", tmp_path) == {"base 0": asked_of, "prompted 0": asked_of}
    assert unchanging("a", "another", tmp_path) == {"base 0": asked_of}
    assert unchanging("b", "p", tmp_path) == {}


def test_seeds_that_were_asked_other_things_are_not_put_beside_each_other(tmp_path: Path) -> None:
    keep(a_seed(one=0.5), tmp_path)
    with pytest.raises(ValueError, match="The items differ"):
        keep(replace(a_seed(two=0.5), seed=2), tmp_path)
