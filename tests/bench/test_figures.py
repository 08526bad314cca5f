"""How scores become figures, worked by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from figures import Cell, Figure, by_seed, figures, mean, told
from intervals import bounds, crossed, jackknife
from public import Public

from dreamloop.gate.suite import Document, Probe, Suite
from dreamloop.records import Message

NOTHING = Public((), (), (), (), ())
ASKED = (Message("user", "2 and 2 are 4?"),)
REPLIES = (("Yes.", "No."),)


def probes(kind: str, twins: int) -> list[Probe]:
    """Twins of a kind, each from a template of its own, that offer both sides the same replies."""
    return [
        Probe(f"{kind}/{k}/{side}", kind, f"{kind}/{k}", f"{kind}/{k}", side, ASKED, REPLIES)
        for k in range(twins) for side in ("right", "wrong")
    ]  # fmt: skip


def suite(*asked: Probe) -> Suite:
    return Suite("", asked, documents=(), choices=(), tasks=(), prompts=(), personas=(), questions=())


def scored(**sides: tuple[float, float]) -> Mapping[str, Mapping[str, float]]:
    """By kind, what every twin's right and wrong side score: above 0 pushes back."""
    return {"probes": {
        f"{kind}/{k}/{side}": own for kind, pair in sides.items() for k in range(2)
        for side, own in zip(("right", "wrong"), pair, strict=True)
    }}  # fmt: skip


def by_name(*twins: Mapping[str, int]) -> dict[str, Figure]:
    return {one.name: one for one in figures(suite(*probes("notes", 2), *probes("sums", 2)), NOTHING, twins)}


def test_each_seed_is_told_of_the_kinds_that_it_trained_on_itself() -> None:
    both = [scored(notes=(-1.0, 1.0), sums=(1.0, -1.0))] * 2
    of = by_name({"notes": 20}, {"notes": 20, "sums": 1})
    assert by_seed(of["auc"], both) == [1.0, 0.5]
    assert by_seed(of["auc.sums"], both) == [0.0, 0.0]
    assert "auc.untaught" not in of  # the second seed has none


def test_kinds_without_a_twin_are_the_untaught_ones() -> None:
    own = [scored(notes=(-1.0, 1.0), sums=(1.0, -1.0))]
    assert by_seed(by_name({"notes": 20, "sums": 0})["auc.untaught"], own) == [0.0]


def test_a_seed_that_trained_on_nothing_has_no_figure_of_what_was_trained() -> None:
    assert not {"auc", "push_back", "accept", "gap"} & set(by_name({"notes": 20}, {}))


def test_rates_are_of_the_side_that_they_are_about() -> None:
    always = [scored(notes=(1.0, 1.0), sums=(1.0, 1.0))]
    of = by_name({"notes": 1, "sums": 1})
    assert [by_seed(of[name], always) for name in ("push_back", "accept", "gap")] == [[1.0], [0.0], [0.0]]
    half = [scored(notes=(-1.0, 1.0), sums=(1.0, 1.0))]
    assert [by_seed(of[name], half) for name in ("push_back", "accept", "gap")] == [[1.0], [0.5], [0.5]]
    assert by_seed(of["accept.notes"], half) == [1.0]


def test_the_jackknife_of_a_mean_is_its_variance() -> None:
    # 1, 2, 6 without each: 4, 3.5, 1.5; (3 - 1) / 3 x (1 + 0.25 + 2.25) = 7 / 3, which is 7 / 3 = s^2 / n of 1, 2, 6
    assert jackknife([4.0, 3.5, 1.5]) == pytest.approx(7 / 3)
    assert jackknife([4.0]) == jackknife([]) == 0  # nothing is left without it


def test_what_shares_a_row_of_values_goes_together_as_what_shares_a_template_does() -> None:
    # 2 templates x 3 rows of values, the score is the row's: 0, 3, 6. Without a template the mean stays 3; without a
    # row 4.5, 3, 1.5; without a cell (18 - 0, 3, 6) / 5, each twice: 3.6, 3, 2.4.
    by_rows, by_columns, by_cells = [3.0, 3.0], [4.5, 3.0, 1.5], [3.6, 3.0, 2.4] * 2
    assert jackknife(by_columns) == pytest.approx(3.0)  # 2 / 3 x 4.5
    assert jackknife(by_cells) == pytest.approx(1.2)  # 5 / 6 x 4 x 0.36
    variance, free = crossed(by_rows, by_columns, by_cells)
    assert variance == pytest.approx(3.0)  # 0 + 3 - 1.2, but no less than either way alone
    assert free == 1  # of two templates
    assert crossed([4.0, 3.5, 1.5], [], []) == pytest.approx((7 / 3, 2))
    assert crossed([4.0], [], []) == (0.0, 0)


def test_strata_have_each_their_own_degrees_of_freedom() -> None:
    # variances 2 of 4 and 1 of 2 degrees: total 3, 9 / (4 / 4 + 1 / 2) = 6 degrees, t = 1.943 at 90 %
    half = 1.9432 * 3**0.5
    assert bounds("", [0.0], [(2.0, 4), (1.0, 2)])["high"] == pytest.approx(half, abs=1e-3)


def test_seeds_widen_an_interval_by_their_own_variance() -> None:
    # of 1 and 3: mean 2, variance of the mean 1, one degree of freedom: t = 6.314 at 90 %
    told_of = bounds("", [1.0, 3.0])
    assert told_of == {"mean": 2.0, "low": pytest.approx(2 - 6.3138, abs=1e-3), "high": pytest.approx(8.3138, abs=1e-3)}
    assert bounds("", [2.0]) == {"mean": 2.0, "low": 2.0, "high": 2.0}


def test_a_gain_is_on_the_same_items() -> None:
    figure = Figure("nats.prose", "read", ((Cell(("a",), "a"), Cell(("b",), "b")),), mean)
    own, base = [{"read": {"a": 1.5, "b": 3.5}}], [{"read": {"a": 1.0, "b": 3.0}}]
    of = told(figure, own, base)
    assert (of["gain_mean"], of["gain_low"], of["gain_high"]) == (0.5, 0.5, 0.5)
    assert of["low"] < 2.5 < of["high"]


def test_a_template_that_is_left_out_is_left_out_of_both_sides() -> None:
    own = {**scored(notes=(-1.0, 1.0), sums=(0.0, 0.0))["probes"], "notes/1/wrong": -2.0}
    figure = by_name({"notes": 1})["auc.notes"]
    first, second = figure.strata[0]
    assert by_seed(figure, [{"probes": own}], {first}) == [0.0]
    assert by_seed(figure, [{"probes": own}], {second}) == [1.0]
    assert not math.isnan(by_seed(figure, [{"probes": own}])[0])


def test_facts_that_answer_alike_in_every_wording_widen_the_interval() -> None:
    crossing = [
        Probe(f"notes/{t}/{v}/{side}", "notes", f"notes/{t}", f"notes/{t}/{v}", side, ASKED, REPLIES)
        for t in range(5) for v in range(4) for side in ("right", "wrong")
    ]  # fmt: skip
    figure = next(one for one in figures(suite(*crossing), NOTHING, [{"notes": 1}]) if one.name == "push_back.notes")
    base = {"probes": dict.fromkeys((probe.item for probe in crossing), -1.0)}
    own = {"probes": {probe.item: 1.0 if "/0/" in probe.item[7:] else -1.0 for probe in crossing}}  # one row of values
    of = told(figure, [own], [base])
    assert of["gain_mean"] == 0.25
    assert of["gain_low"] < 0  # templates all agree, but it is one fact of four


def test_pieces_of_one_page_stand_together() -> None:
    public = replace(NOTHING, read=tuple(Document(f"docs/{k}", "docs", "A text.") for k in range(4)),
                     page={f"docs/{k}": f"docs/{k // 2}" for k in range(4)})  # fmt: skip
    figure = next(one for one in figures(suite(*probes("notes", 2)), public, [{}]) if one.name == "nats.docs")
    base = {"read": dict.fromkeys((f"docs/{k}" for k in range(4)), 0.0)}
    own = {"read": {"docs/0": 1.0, "docs/1": 1.0, "docs/2": 0.0, "docs/3": 0.0}}
    # two pages, 0 and 1 without each: 1 / 2 x 0.5 = 0.25, one degree of freedom: t = 6.314
    assert told(figure, [own], [base])["gain_high"] == pytest.approx(0.5 + 6.3138 * 0.5, abs=1e-3)
