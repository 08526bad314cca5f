"""Every label is proven again from the text alone, by other means than those that made it (`recheck`)."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import recheck
from shelves import KINDS, SHELF, sketches

from dreamloop.dream.kinds.software import arithmetic_of_python
from dreamloop.dream.sketch import twins_of
from dreamloop.errors import ConfigError
from dreamloop.records import Scenario


def stored(scenario: Scenario) -> recheck.Dream:
    turns = tuple((message.role, message.content) for message in scenario.context)
    return recheck.Dream(scenario.kind, scenario.side, scenario.claim, scenario.truth, turns)


@pytest.mark.parametrize("kind", KINDS)
def test_the_right_claim_is_true_and_the_wrong_one_false(kind: str) -> None:
    for drawn in sketches(kind, 200):
        twins = twins_of(drawn)
        for scenario in (twins.right, twins.wrong):
            assert not recheck.wrong(stored(scenario)), scenario


def test_the_check_finds_a_wrong_label_in_every_kind() -> None:
    for kind in KINDS:
        twins = twins_of(sketches(kind, 1)[0])
        turned = replace(stored(twins.right), side="wrong")
        assert recheck.wrong(turned)


def test_the_check_reads_who_goes_and_who_stays_from_the_text_and_not_from_the_truth() -> None:
    named = re.compile(r"(the .+ was |)(.+?)( shall go and | and is )(.+?)( shall stay.*| now)")
    for kind in ("commands", "updates"):
        for drawn in sketches(kind, 60):
            twins = twins_of(drawn)
            exchanged = named.sub(r"\1\4\3\2\5", drawn.seed.truth)
            assert exchanged != drawn.seed.truth
            for scenario in (twins.right, twins.wrong):
                assert not recheck.wrong(replace(stored(scenario), truth=exchanged))


@pytest.mark.parametrize("kind", ["sums", "products", "units", "dates", "clock", "rankings", "constraints", "goals"])
def test_the_check_needs_no_truth_where_the_text_has_it(kind: str) -> None:
    for drawn in sketches(kind, 20):
        twins = twins_of(drawn)
        assert not recheck.wrong(replace(stored(twins.right), truth=""))
        assert recheck.wrong(replace(stored(twins.wrong), truth="", side="right"))


@pytest.mark.parametrize("kind", KINDS)
def test_twins_differ_in_nothing_but_the_claim(kind: str) -> None:
    for drawn in sketches(kind, 60):
        twins = twins_of(drawn)
        assert [m.role for m in twins.right.context] == [m.role for m in twins.wrong.context]
        assert twins.right.context != twins.wrong.context
        for right, wrong in zip(twins.right.context, twins.wrong.context, strict=True):
            assert blank(right.content, drawn.seed.right, drawn.seed.wrong) == blank(
                wrong.content, drawn.seed.right, drawn.seed.wrong
            )
        assert twins.right.twin == twins.wrong.twin


def blank(text: str, *claims: str) -> str:
    for claim in sorted(claims, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(claim)}(?!\w)", "_", text, flags=re.IGNORECASE)
    return text


def test_a_quantity_is_one_that_its_thing_can_have() -> None:
    rows = [line.split(" | ") for line in SHELF.books["units"].phrases["quantities"]]
    sensible = {thing: tuple(map(int, span.split(" to "))) for thing, *_, span in rows}
    for drawn in sketches("units", 200):
        least, most = sensible[drawn.seed.values["thing"]]
        assert least <= int(drawn.seed.values["value"]) <= most


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_many_hundreds_of_phrasings(kind: str) -> None:
    book = SHELF.books[kind]
    assert book.sentences >= 300
    assert len(book.directions()) >= 4
    assert len(book.phrases["accept"]) >= 8


def test_an_expression_is_evaluated_only_if_it_is_made_of_harmless_parts() -> None:
    assert arithmetic_of_python("sorted([3, 1])[0] + len('abc')") == 4
    for bad in ("__import__('os')", "().__class__", "open('x')", "lambda: 1", "1 +", "'a'.format(1)", "1 / 0"):
        with pytest.raises(ConfigError):
            arithmetic_of_python(bad)
