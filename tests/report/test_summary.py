from __future__ import annotations

from rich.console import Console

from dreamloop.ledger.history import NightRecord
from dreamloop.report.summary import night_screen

NIGHT = {"night": 3, "outcome": "reverted", "reason": "why not", "generation": 2, "model": "m", "seconds": 12.0}
MEASURE = {
    "name": "perplexity.prose", "incumbent": 3.0, "candidate": 3.2, "change": -0.2, "low": -0.3, "high": -0.1,
    "margin": 0.01, "items": 8,
}  # fmt: skip


def screen(serving: int | None = 2, **changes: object) -> str:
    empty: dict[str, object] = {
        "night": NIGHT, "model": None, "stages": [], "reads": [], "skips": [], "mined": [], "rewrites": [],
        "scenarios": [], "training": None, "measures": [], "verdict": None,
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
