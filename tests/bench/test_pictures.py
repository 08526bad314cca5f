"""What is drawn and tabled of a row of nights says what was measured."""

from __future__ import annotations

import math
from typing import Any

from pictures import by_night, over_nights, written


def told(mean: float, gain: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1,
            "gain_mean": gain, "gain_low": gain - 0.01, "gain_high": gain + 0.01}  # fmt: skip


RESULT: dict[str, Any] = {
    "twins": [{"notes": 20, "sums": 0}, {"quotes": 5}],
    "table": {
        "base 0": {name: told(0.5, 0.0) for name in ("auc", "nats.prose", "auc.notes", "push_back.notes",
                   "accept.notes", "auc.own/quotes", "push_back.own/quotes", "accept.own/quotes", "auc.sums")},
        "dreamloop 10": {name: told(0.75, 0.02) for name in ("auc", "nats.prose", "auc.notes", "push_back.notes",
                         "accept.notes", "auc.own/quotes", "push_back.own/quotes", "accept.own/quotes", "auc.sums")},
    },
}  # fmt: skip


def test_the_table_has_every_kind_that_was_trained_and_reading_as_a_ratio() -> None:
    rows = {row.split(" | ")[0].strip("| "): row for row in written(RESULT).splitlines()}
    assert "| 0.750 (0.650 to 0.850) |" in rows["auc"]
    assert f"{math.exp(0.02):.3f} ({math.exp(0.01):.3f} to {math.exp(0.03):.3f})" in rows["perplexity_ratio.prose"]
    assert {"auc.notes", "push_back.notes", "accept.own/quotes"} <= set(rows)
    assert "auc.sums" not in rows


def test_who_learns_begins_at_the_base_and_who_does_not_stays_where_it_is() -> None:
    assert [night for night, _ in over_nights(RESULT["table"], "dreamloop", "auc", 10)] == [0, 10]
    assert over_nights(RESULT["table"], "base", "auc", 10) == [(0, (0.5, 0.4, 0.6)), (10, (0.5, 0.4, 0.6))]


def test_more_kinds_than_colours_are_all_drawn() -> None:
    kinds = [f"kind{k}" for k in range(9)]
    served = {**{f"auc.{kind}": 0.5 for kind in kinds}, "probes.auc": 0.5}
    of = {"nights": [{"served": served}, {"served": {}}, {"served": served}], "twins": dict.fromkeys(kinds, 1)}
    drawn = by_night([of]).axes[1].get_legend()
    assert drawn is not None
    assert [text.get_text() for text in drawn.get_texts()] == ["all kinds", *kinds]
