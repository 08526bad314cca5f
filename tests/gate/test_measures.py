"""Comparisons of made-up scores, whose right answers are known."""

from __future__ import annotations

import pytest

from dreamloop.config import Gate
from dreamloop.gate.measures import Items, Margins, Scored, compare, expected
from dreamloop.gate.suite import Probe, load_suite
from dreamloop.records import Measure, Message

SUITE = load_suite()
LESSONS = tuple(
    Probe(f"l{k}/{side}", "sums", f"l{k}", f"l{k}", side, (Message("user", f"{k}"),), (("yes", "no"),))
    for k in range(6)
    for side in ("right", "wrong")
)
ITEMS = Items(SUITE, LESSONS, LESSONS)
MARGINS = Margins(**{name: getattr(Gate(), name) for name in Margins.__slots__})


def scored(push_right: float, push_wrong: float, nll: float = 3.0) -> Scored:
    def of(probes: tuple[Probe, ...]) -> dict[str, float]:
        return {p.item: (push_right if p.side == "right" else push_wrong) + 0.001 * (len(p.item) % 7) for p in probes}

    documents = {document.item: nll for document in SUITE.documents}
    return Scored(documents, of(SUITE.probes), of(LESSONS), of(LESSONS))


def by_name(old: Scored, new: Scored) -> dict[str, Measure]:
    return {measure.name: measure for measure in compare(ITEMS, old, new, MARGINS, seed=0)}


def test_every_expected_measure_is_there() -> None:
    assert set(by_name(scored(0, 0), scored(0, 0))) == set(expected(ITEMS))


def test_an_unchanged_model_has_no_change() -> None:
    for measure in by_name(scored(0.1, 0.3), scored(0.1, 0.3)).values():
        assert measure.change == measure.low == measure.high == 0


def test_worse_reading_is_a_negative_change() -> None:
    measure = by_name(scored(0, 0), scored(0, 0, nll=3.2))["perplexity.prose"]
    assert measure.change == pytest.approx(-0.2)
    assert measure.high < -MARGINS.perplexity


def test_a_model_that_only_agrees_more_loses_push_back_and_gains_no_judgment() -> None:
    found = by_name(scored(0.1, 0.3), scored(-0.4, -0.2))
    assert found["probes.push_back"].change == pytest.approx(-0.5)
    assert found["probes.accept"].change == pytest.approx(+0.5)
    assert found["probes.discrimination"].change == pytest.approx(0.0)


def test_a_model_that_learned_to_judge_gains_discrimination_and_auc() -> None:
    found = by_name(scored(0.1, 0.1), scored(0.0, 0.3))
    assert found["probes.discrimination"].low > 0.2
    assert found["probes.auc"].incumbent == pytest.approx(0.5, abs=0.05)
    assert found["probes.auc"].candidate == pytest.approx(1.0)
    assert found["taught.discrimination"].census


def test_a_model_that_judges_backwards_is_shown_to_be_worse() -> None:
    found = by_name(scored(0.0, 0.3), scored(0.3, 0.0))
    assert found["probes.auc"].high < -MARGINS.auc
    assert found["lessons.discrimination"].high < -MARGINS.lesson
    assert found["taught.discrimination"].change < 0


def test_evidence_is_kept_for_every_item() -> None:
    for measure in by_name(scored(0, 0), scored(0, 0.1)).values():
        assert len(measure.evidence) == measure.items
