"""How scores become figures, worked by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from figures import Figure, bounds, by_seed, figures, jackknife, mean, told
from public import Public

from dreamloop.gate.suite import Probe, Suite
from dreamloop.records import Message

NOTHING = Public((), (), (), (), ())


def probes(kind: str, twins: int) -> list[Probe]:
    """Twins of a kind, each from a template of its own, that offer both sides the same replies."""
    said = (Message("user", "2 and 2 are 4?"),)
    return [
        Probe(f"{kind}/{k}/{side}", kind, f"{kind}/{k}", f"{kind}/{k}", side, said, (("Yes.", "No."),))
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
    for sizes in ([3], [3, 1]):  # a stratum of one adds nothing
        variance, free = jackknife([4.0, 3.5, 1.5], sizes)
        assert variance == pytest.approx(7 / 3)
        assert free == 2


def test_seeds_widen_an_interval_by_their_own_variance() -> None:
    # of 1 and 3: mean 2, variance of the mean 1, one degree of freedom: t = 6.314 at 90 %
    told_of = bounds("", [1.0, 3.0], [], [])
    assert told_of == {"mean": 2.0, "low": pytest.approx(2 - 6.3138, abs=1e-3), "high": pytest.approx(8.3138, abs=1e-3)}
    assert bounds("", [2.0], [], []) == {"mean": 2.0, "low": 2.0, "high": 2.0}


def test_a_gain_is_on_the_same_items() -> None:
    figure = Figure("nats.prose", "read", ((("a",), ("b",)),), mean)
    own, base = [{"read": {"a": 1.5, "b": 3.5}}], [{"read": {"a": 1.0, "b": 3.0}}]
    of = told(figure, own, base)
    assert (of["gain_mean"], of["gain_low"], of["gain_high"]) == (0.5, 0.5, 0.5)
    assert of["low"] < 2.5 < of["high"]


def test_a_template_that_is_left_out_is_left_out_of_both_sides() -> None:
    own = {**scored(notes=(-1.0, 1.0), sums=(0.0, 0.0))["probes"], "notes/1/wrong": -2.0}
    figure = by_name({"notes": 1})["auc.notes"]
    assert by_seed(figure, [{"probes": own}], (0, 0)) == [0.0]
    assert by_seed(figure, [{"probes": own}], (0, 1)) == [1.0]
    assert not math.isnan(by_seed(figure, [{"probes": own}])[0])
