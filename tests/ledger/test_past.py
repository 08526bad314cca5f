from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import pytest

from dreamloop.config import Finetune
from dreamloop.finetune.recipe import recipe_of
from dreamloop.ledger.history import History
from dreamloop.ledger.store import Ledger
from dreamloop.paths import Home
from dreamloop.records import (
    Change,
    Choice,
    Dose,
    Dreamed,
    Evidence,
    KindShown,
    Measure,
    Message,
    Outcome,
    PastNight,
    Plan,
    Potential,
    Scenario,
    Trial,
    Twins,
    Verdict,
)

CHANGE = Change(0.01, 0.005, 0.015, 0.02)
LEARNED = Measure("lessons.discrimination", "nats/token", 0.0, 0.01, 0.02, CHANGE, CHANGE, 72, 30)
WHY = Choice("tonight", "train", "There is something to learn.")
PLAN = Plan("train", 20, 1.0, 1.0, 1.0, (), 1.0, 0.25, 1.0, 0.4, ("sums",), (), (), (WHY,))


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = Ledger(home.ledger)
    yield opened
    opened.close()


def ended(ledger: Ledger, outcome: str = "kept", trials: Sequence[Trial] = ()) -> int:
    night = ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny")
    for trial in trials:
        ledger.record_trial(night, trial)
    ledger.end(night, "2026-01-01T01:00:00+00:00", outcome, "because", None)
    return night


def trial(attempt: int = 0, scale: float = 1.0, evidence: Sequence[Evidence] = ()) -> Trial:
    return Trial(attempt, scale, "suite", (LEARNED,), tuple(evidence), Verdict("keep", ("good",)))


def lesson(kind: str, twin: str, wrong: tuple[float, float], right: tuple[float, float]) -> list[Evidence]:
    """A twin's scores of base and candidate on both sides."""
    return [
        Evidence("lessons", f"{kind}/{twin}/wrong", kind, wrong[0], wrong[0], wrong[1]),
        Evidence("lessons", f"{kind}/{twin}/right", kind, right[0], right[0], right[1]),
    ]


def test_a_night_is_told_by_its_last_trial(ledger: Ledger) -> None:
    night = ended(ledger, trials=[trial(), trial(1, 0.5)])
    assert ledger.past() == [PastNight(night, "kept", 0, 0.5, (LEARNED,), ())]
    assert (ledger.scale_of(night), ledger.scale_of(night + 1)) == (0.5, 1.0)


@pytest.mark.parametrize(("first", "shown"), [("revert", True), ("inconclusive", False)])
def test_a_whole_step_was_shown_to_be_worse_where_the_first_trial_says_so(
    ledger: Ledger, first: Outcome, shown: bool
) -> None:
    whole = replace(trial(), verdict=Verdict(first, ("because",)))
    ended(ledger, trials=[whole, trial(1, 0.5)])
    assert [night.shown_worse for night in ledger.past()] == [shown]


@pytest.mark.parametrize(("low", "too_large"), [(-0.021, True), (-0.019, False)])
def test_a_step_was_too_large_where_a_trial_before_the_last_went_beyond_one_of_tonight_s_bounds(
    ledger: Ledger, low: float, too_large: bool
) -> None:
    of_whole = replace(LEARNED, tonight=Change(low, low, 0.0, 0.02))
    ended(ledger, trials=[replace(trial(), measures=(of_whole,)), trial(1, 0.5)])
    ended(ledger, trials=[replace(trial(), measures=(replace(of_whole, informative=True),)), trial(1, 0.5)])
    ended(ledger, trials=[replace(trial(), measures=(of_whole,))])  # of the last its measures themselves tell
    assert [night.too_large for night in ledger.past()] == [too_large, False, False]


def test_fresh_scenarios_are_counted_by_kind_for_base_and_candidate(ledger: Ledger) -> None:
    shown = [
        *lesson("dates", "a", wrong=(0.1, 0.4), right=(0.2, 0.1)),  # only the candidate tells them apart
        *lesson("dates", "b", wrong=(0.3, 0.3), right=(0.2, 0.3)),  # only the base; a tie is not told apart
        *lesson("sums", "c", wrong=(0.3, 0.9), right=(0.2, 0.1)),  # both
    ]
    ended(ledger, trials=[trial(evidence=shown)])
    dates, sums = ledger.past()[0].shown
    # margins further apart than the base's: (0.4 - 0.1) - (0.1 - 0.2) = 0.4 and 0 - 0.1; (0.9 - 0.1) - 0.1 = 0.7
    assert (dates.kind, dates.twins, dates.base, dates.candidate, dates.taught) == ("dates", 2, 1, 1, 0)
    assert (sums.kind, sums.twins, sums.base, sums.candidate, sums.taught) == ("sums", 1, 1, 1, 0)
    assert dates.decided == sums.decided == 0  # the right sides draw push-back, too
    assert (dates.gained, dates.squared, sums.gained, sums.squared) == pytest.approx((0.3, 0.17, 0.7, 0.49))


def test_twins_are_decided_right_where_the_candidate_pushes_back_on_the_wrong_side_alone(ledger: Ledger) -> None:
    shown = [
        *lesson("dates", "a", wrong=(0.2, 0.1), right=(-0.1, -0.1)),  # the base does, too
        *lesson("dates", "b", wrong=(-0.1, 0.2), right=(-0.1, -0.3)),  # only the candidate
        *lesson("dates", "c", wrong=(0.1, -0.1), right=(-0.1, -0.3)),  # no more; apart all the same
        *lesson("dates", "d", wrong=(0.1, 0.3), right=(-0.1, 0.0)),  # undecided
    ]
    ended(ledger, trials=[trial(evidence=shown)])
    (dates,) = ledger.past()[0].shown
    assert (dates.candidate, dates.decided) == (4, 2)


def test_twins_that_were_trained_on_count_for_their_kind_and_others_do_not(ledger: Ledger) -> None:
    for trains in (True, False):
        said = (Message("user", f"2? {trains}"),), "Yes.", "No.", "1+1=2", "2"
        right = Scenario("sums", "sums/1", "right", f"t{trains}", *said)
        wrong = replace(right, side="wrong", context=(Message("user", f"3? {trains}"),), claim="3")
        night = ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny")
        ledger.record_dream(night, Dreamed((Twins(right, wrong),), ()), "training" if trains else "lesson")
        report = json.dumps({"steps": [{"phase": phase} for phase in ("sft", "dpo", "dpo", "hold")]})
        ledger.db.execute("INSERT INTO trainings VALUES (?, '{}', ?)", [night, report])
        ledger.db.conn.commit()
        ledger.end(night, "2026-01-01T01:00:00+00:00", "reverted", "because", None)
    assert [[twins.right.twin for twins in ledger.twins_of(night)] for night in (1, 2)] == [["tTrue"], []]
    first, second = ledger.past()
    assert (first.steps, first.shown) == (3, (KindShown("sums", 0, 0, 0, 0, 1),))
    assert second.shown == ()


def stacked(ledger: Ledger, incumbent: int | None, plan: Plan = PLAN) -> int:
    night = ended(ledger)
    ledger.record_plan(night, plan)
    ledger.record_model(night, "a", "cpu", "float32", incumbent, 0.0)
    return night


def test_a_generation_stands_on_the_nights_before_it_back_to_the_base(ledger: Ledger) -> None:
    first = stacked(ledger, None)
    second = stacked(ledger, first)
    aside = stacked(ledger, first)  # after somebody went back to the first
    assert ledger.lineage(second) == [second, first]
    assert ledger.lineage(aside) == [aside, first]


def test_one_that_began_at_the_base_again_stands_on_its_own_night(ledger: Ledger) -> None:
    first = stacked(ledger, None)
    again = stacked(ledger, first, replace(PLAN, act="rebase"))
    after = stacked(ledger, again)
    assert ledger.lineage(after) == [after, again]
    assert [night.rebased for night in ledger.past()] == [False, True, False]


def test_a_measure_that_was_not_finite_is_no_evidence(ledger: Ledger) -> None:
    nan = Measure("probes.auc", "", float("nan"), 0.5, 0.5, CHANGE, CHANGE, 10, 5)
    ended(ledger, trials=[Trial(0, 1.0, "suite", (nan, LEARNED), (), Verdict("keep", ()))])
    assert ledger.past()[0].measures == (LEARNED,)


def test_a_running_night_is_not_past(ledger: Ledger) -> None:
    ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny")
    assert ledger.past() == []


def test_a_go_ahead_marks_the_last_night_that_ended(ledger: Ledger) -> None:
    assert ledger.record_go_ahead("2026-01-02T00:00:00+00:00") is None
    ended(ledger, "reverted")
    assert ledger.record_go_ahead("2026-01-02T00:00:00+00:00") == 1
    ended(ledger, "reverted")
    assert [night.looked_at for night in ledger.past()] == [True, False]


def test_a_plan_comes_back_with_its_night(ledger: Ledger, home: Home) -> None:
    night = ledger.begin("2026-01-01T00:00:00+00:00", 7, "{}", {}, "tiny")
    ledger.record_plan(night, PLAN)
    found = History(home.ledger, home.lock).night(night).plan
    assert found is not None
    assert found["choices"][0] == {"knob": "tonight", "value": "train", "why": "There is something to learn."}


def test_a_survey_is_of_one_base_and_a_name_means_the_one_that_it_was_last(ledger: Ledger) -> None:
    first, second = Potential("dates", 20, 15, 12, 18), Potential("dates", 20, 9, 11, 10)
    for base, found in (("a", first), ("b", second)):
        ledger.record_survey(ended(ledger), base, [found])
    assert (ledger.potentials("a"), ledger.potentials("b"), ledger.potentials("c")) == ([first], [second], [])
    assert (ledger.called("tiny"), ledger.called("another")) == ("b", "")
    stacked(ledger, None)
    assert ledger.called("tiny") == "a"  # asked long ago, and back again


def test_a_night_has_the_dose_that_it_trained_and_the_one_that_was_planned(ledger: Ledger) -> None:
    night = stacked(ledger, None, replace(PLAN, behavioural=50, rate=2.0, caution=0.5))
    ledger.db.execute("INSERT INTO trainings VALUES (?, '{}', ?)", [night, json.dumps({"trained": ["a", "b", "c"]})])
    ledger.db.conn.commit()
    ended(ledger)
    assert [one.dose for one in ledger.past()] == [Dose(3, 50, 2.0, 0.5), None]


def test_a_training_that_broke_off_had_the_dose_that_was_planned(ledger: Ledger) -> None:
    night = stacked(ledger, None, replace(PLAN, behavioural=50, rate=2.0, caution=0.5))
    ledger.record_broken(night, recipe_of(Finetune(), 0), [], [], [])
    assert [one.dose for one in ledger.past()] == [Dose(50, 50, 2.0, 0.5)]


def test_a_plan_from_before_there_was_a_pace_had_the_usual_one(ledger: Ledger) -> None:
    before = ended(ledger)
    old = {name: what for name, what in asdict(PLAN).items() if name not in {"pace", "further", "distance"}}
    ledger.db.execute("INSERT INTO plans VALUES (?, ?)", [before, json.dumps(old)])
    ledger.db.conn.commit()
    found = replace(PLAN, behavioural=50, rate=2.0, pace=0.5, further=("sums", "notes"), distance=2.0)
    after = stacked(ledger, None, found)
    for night in (before, after):
        ledger.record_broken(night, recipe_of(Finetune(), 0), [], [], [])
    assert [one.dose for one in ledger.past()] == [
        Dose(20, 20, 1.0, 1.0), Dose(50, 50, 2.0, 1.0, 0.5, ("sums", "notes"), 2.0)
    ]  # fmt: skip


def test_what_older_plans_called_found_was_taught_further_apart(ledger: Ledger) -> None:
    old = asdict(replace(PLAN, distance=2.0))
    del old["further"]
    old["found"] = ["notes"]
    one = ended(ledger)
    ledger.db.execute("INSERT INTO plans VALUES (?, ?)", [one, json.dumps(old)])
    ledger.db.conn.commit()
    ledger.record_broken(one, recipe_of(Finetune(), 0), [], [], [])
    assert [past.dose for past in ledger.past()] == [Dose(20, 20, 1.0, 1.0, 1.0, ("notes",), 2.0)]


def test_nights_behind_which_a_person_went_back_are_taken_back_and_those_behind_a_rebase_are_not(
    ledger: Ledger,
) -> None:
    first = stacked(ledger, None)
    taken = stacked(ledger, first)
    again = stacked(ledger, first, replace(PLAN, act="rebase"))
    last = stacked(ledger, again)
    assert {night.outcome for night in ledger.past()} == {"kept"}  # before anything was ever pointed at
    outcomes = []
    for generation in (last, taken, None):
        ledger.record_pointer("2026-01-02T00:00:00+00:00", generation, None, "a test")
        outcomes.append([night.outcome == "kept" for night in ledger.past()])
    assert outcomes == [[True, False, True, True], [True, True, False, False], [False] * 4]


def test_what_stood_on_a_night_that_was_taken_back_went_with_it(ledger: Ledger) -> None:
    def judged(outcome: str, incumbent: int | None) -> int:
        night = ended(ledger, outcome)
        ledger.db.execute(
            "INSERT INTO trainings VALUES (?, '{}', ?)", [night, json.dumps({"steps": [{"phase": "dpo"}]})]
        )
        ledger.db.conn.commit()
        ledger.record_model(night, "a", "cpu", "float32", incumbent, 0.0)
        return night

    judged("inconclusive", None)
    first = judged("kept", None)
    judged("reverted", first)
    second = judged("kept", first)
    judged("reverted", second)
    outcomes = []
    for generation in (second, first, None):
        ledger.record_pointer("2026-01-02T00:00:00+00:00", generation, None, "a test")
        outcomes.append([night.outcome for night in ledger.past()])
    back = "taken back"
    assert outcomes == [
        ["inconclusive", "kept", "reverted", "kept", "reverted"],
        ["inconclusive", "kept", "reverted", back, back],
        ["inconclusive", back, back, back, back],
    ]


def test_what_no_training_was_to_blame_for_is_failed(ledger: Ledger) -> None:
    untrained = ended(ledger, "reverted")  # its items could not be read
    steps = json.dumps({"steps": [{"phase": "dpo"}]})
    refused, worse = ended(ledger, "reverted"), ended(ledger, "reverted")
    for night, outcome in ((refused, "keep"), (worse, "revert")):
        ledger.db.execute("INSERT INTO trainings VALUES (?, '{}', ?)", [night, steps])
        ledger.db.conn.commit()
        ledger.record_verdict(night, Verdict(outcome, ("because",)))  # type: ignore[arg-type]
    assert [(night.number, night.outcome) for night in ledger.past()] == [
        (untrained, "failed"), (refused, "failed"), (worse, "reverted"),
    ]  # fmt: skip
