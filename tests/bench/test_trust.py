"""Sabotages reach the night that they are for, and are counted as caught only by what should catch them."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest
import trust
from sabotage import HONEST, SABOTAGES, one_template, persona, swapped

from dreamloop import cycle, material
from dreamloop.records import Message, Pair, Provenance

BY_NAME = {one.name: one for one in SABOTAGES}
PAIR = Pair((Message("user", "2 + 2 = 4?"),), "Yes.", "No.", Provenance("bench", "sums", 0, "right", "strong"))


def ended(outcome: str, *failed: str, reasons: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"outcome": outcome, "failed": list(failed), "reasons": list(reasons)}


@pytest.mark.parametrize("one", SABOTAGES, ids=lambda one: one.name)
def test_every_sabotage_is_in_force_only_as_long_as_its_night(one: Any) -> None:
    before = cycle.train, material.pairs_of  # type: ignore[attr-defined]
    with one.patches():
        assert cycle.train is one.train  # type: ignore[attr-defined]
        assert (material.pairs_of is before[1]) == (one.source is None)  # type: ignore[attr-defined]
    assert (cycle.train, material.pairs_of) == before  # type: ignore[attr-defined]


def test_pairs_are_exchanged_as_the_name_says() -> None:
    assert (swapped(PAIR).chosen, swapped(PAIR).rejected) == ("No.", "Yes.")
    assert persona(0, PAIR).chosen.endswith(" Yes.")
    assert len({pair.chosen for pair in one_template([PAIR] * 20)}) > 2


def test_a_night_counts_as_caught_by_the_expected_only_where_such_a_measure_failed() -> None:
    noise = BY_NAME["weight noise"]
    assert trust.caught_by(noise, ended("reverted", "perplexity.prose"))
    assert not trust.caught_by(noise, ended("reverted", "probes.auc"))
    assert trust.stopped(noise, ended("reverted", "probes.auc"))  # stopped all the same
    assert not trust.stopped(noise, ended("kept", "perplexity.prose"))


def test_a_measure_without_bounds_is_found_in_the_sentence_that_names_it() -> None:
    told = ended("reverted", reasons=("perplexity.prose is not a number.",))
    assert trust.caught_by(BY_NAME["NaN"], told)


def test_an_error_counts_only_where_it_is_the_one_that_should_come() -> None:
    broken = BY_NAME["truncated file"]
    assert trust.stopped(broken, ended("refused", reasons=("The adapter is not the one that was judged.",)))
    assert not trust.stopped(broken, ended("refused", reasons=("The disk is full.",)))
    assert not trust.stopped(BY_NAME["weight noise"], ended("refused", reasons=("The disk is full.",)))


def test_honest_nights_stand_between_the_sabotages_and_none_runs_twice() -> None:
    nights = trust.planned(Namespace(nulls=20, only=None))
    assert nights[:3] == [("honest", 101), (SABOTAGES[0].name, 201), ("honest", 102)]
    assert len(set(nights)) == len(nights) == 20 + len(SABOTAGES)
    assert {name for name, _ in trust.planned(Namespace(nulls=2, only=HONEST.name))} == {"honest"}


def test_the_code_that_nights_are_held_to_is_all_there() -> None:
    assert len(trust.ran_on()) == 64
