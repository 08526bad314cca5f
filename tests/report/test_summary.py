from __future__ import annotations

import pytest
from rich.console import Console

from dreamloop.ledger.history import NightRecord
from dreamloop.report.summary import _held, night_screen

NIGHT = {"night": 3, "outcome": "reverted", "reason": "why not", "generation": 2, "model": "m", "seconds": 12.0}
MEASURE = {
    "name": "perplexity.prose", "incumbent": 3.0, "candidate": 3.2, "change": -0.2, "low": -0.3, "high": -0.1,
    "margin": 0.01, "items": 8, "base": 2.9, "base_change": -0.3, "base_low": -0.4, "base_high": -0.2,
    "base_margin": 0.02, "informative": 0,
}  # fmt: skip


def screen(serving: int | None = 2, **changes: object) -> str:
    empty: dict[str, object] = {
        "night": NIGHT, "model": None, "stages": [], "reads": [], "skips": [], "mined": [], "rewrites": [],
        "scenarios": [], "diversity": None, "plan": None, "training": None, "trials": [], "measures": [],
        "verdict": None,
    }  # fmt: skip
    console = Console(width=110, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123 - closed with the test
    console.print(night_screen(NightRecord(**{**empty, **changes}), serving, "dreamloop", " --home h"))  # type: ignore[arg-type]
    return console.export_text()


def test_a_night_without_measures_still_has_a_screen() -> None:
    text = screen()
    assert "Night 3" in text
    assert "why not" in text
    assert "generation 2" in text


def test_a_failed_measure_is_marked_and_its_interval_shown() -> None:
    text = screen(measures=[MEASURE], verdict={"outcome": "revert", "reasons": ["perplexity.prose is worse."]})
    assert "✗" in text
    assert "-0.3000 to -0.1000" in text
    assert "perplexity.prose is worse." in text


def test_a_loss_since_the_base_is_marked_though_tonight_is_fine() -> None:
    fine = {**MEASURE, "change": 0.0, "low": -0.001, "high": 0.001}
    assert "✗" in screen(measures=[fine])


def test_measures_that_hold_are_counted_unless_they_are_asked_for() -> None:
    fine = {"change": 0.0, "low": -0.001, "high": 0.001, "base_change": 0.0, "base_low": -0.001, "base_high": 0.001}
    text = screen(measures=[{**MEASURE, **fine}, {**MEASURE, **fine, "name": "answers.entropy"}])
    assert "answers.entropy" not in text
    assert "and 1 more, none beyond its margin" in text


def test_a_night_from_before_the_base_was_measured_shows_what_it_has() -> None:
    old = dict.fromkeys(("base", "base_change", "base_low", "base_high", "base_margin"))
    text = screen(measures=[{**MEASURE, **old}])
    assert "not finite" not in text
    assert "-0.3000 to -0.1000" in text


def test_every_judgement_of_a_smaller_step_is_told() -> None:
    trials = [
        {"attempt": 0, "scale": 1.0, "outcome": "revert", "reasons": ["prose is worse."]},
        {"attempt": 1, "scale": 0.5, "outcome": "keep", "reasons": ["all hold"]},
    ]
    text = screen(trials=trials, verdict={"outcome": "keep", "reasons": ["all hold"]})
    assert "Judged with 100% of the step: revert" in text
    assert "prose is worse." in text


def test_a_score_that_is_not_finite_is_said_in_words() -> None:
    assert "not finite" in screen(measures=[{**MEASURE, "candidate": None, "change": None, "low": None}])


def test_how_to_undo_is_told_only_where_the_kept_night_still_serves() -> None:
    assert "undo" not in screen()
    kept = {**NIGHT, "outcome": "kept"}
    assert "dreamloop revert --home h" in screen(night=kept)
    assert "undo" not in screen(serving=1, night=kept)


def test_left_out_items_are_counted_on_the_screen() -> None:
    text = screen(skips=[{"stage": "collect", "reason": "not JSON", "count": 4}])
    assert "left out: 4 × not JSON" in text


def test_conversation_text_with_markup_is_printed_as_it_is() -> None:
    scenario = {"use": "training", "kind": "sums", "side": "right", "context": '[["user", "[red]12[/red] euros"]]'}
    assert "[red]12[/red] euros" in screen(scenarios=[scenario, scenario])


DIVERSITY = {
    "distinct_1": 0.31, "distinct_2": 0.77, "distinct_3": 0.9, "entropy": 8.6, "covered": 0.42, "refused": 0.05,
    "told": ["Dreams grow alike: entropy went from 9.0 to 8.6."],
}  # fmt: skip


def test_how_varied_the_dreams_are_and_that_it_falls_is_said() -> None:
    text = " ".join(screen(diversity=DIVERSITY).split())
    assert "0.31, 0.77, 0.90; entropy 8.6 bits; 42% of all choices made by now; 5% refused as repeats" in text
    assert "note: Dreams grow alike" in text


def test_what_the_engine_wrote_and_what_was_refused_is_counted_over_all_kinds() -> None:
    context = '[["user", "Hello"]]'
    rows = [
        {"use": "training", "kind": "sums", "side": side, "context": context, "worded_by": "engine",
         "replies_by": "grammar"} for side in ("right", "wrong")
    ]  # fmt: skip
    skips = [{"stage": "dream", "reason": f"{kind}: reply: not finished", "count": 2} for kind in ("sums", "code")]
    text = screen(scenarios=rows, skips=skips)
    assert "the engine worded 1 of them and replied in 0" in text
    assert "left out: 4 × reply: not finished" in text


@pytest.mark.parametrize(
    ("after", "share", "told"),
    [
        (0.2, 1.0, "in 120 bystanders; 0.200 after they were held"),
        (0.2, 0.8, "in 120 bystanders; 0.200 after they were held by 80% of a pass"),
        (0.4, 0.0, "in 120 bystanders; left as it is"),
    ],
)
def test_what_a_night_shifted_elsewhere_is_told_with_how_much_of_it_is_left(
    after: float, share: float, told: str
) -> None:
    (line,) = _held({"shift_before": 0.4, "shift_after": after, "hold_share": share, "bystanders": 120, "held": []})
    assert line.endswith(told)
    old = {"shift_before": 0.4, "shift_after": 0.2, "held": ["digest"] * 240}  # of a ledger from before
    assert _held(old)[0].endswith("in 120 bystanders; 0.200 after they were held")
