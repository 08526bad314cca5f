from __future__ import annotations

import random

import pytest

from dreamloop.dream.grammar import expand, sentences
from dreamloop.errors import ConfigError


def test_a_line_stands_for_every_combination_of_its_choices() -> None:
    assert sentences("[I|We] go[| now| [very|quite] soon].") == {
        f"{who} go{when}." for who in ("I", "We") for when in ("", " now", " very soon", " quite soon")
    }


def test_every_sentence_is_drawn_sooner_or_later_and_no_other() -> None:
    line = "Put {claim} [here|[over|right] there]."
    assert {expand(line, random.Random(k)) for k in range(60)} == sentences(line)


def test_an_empty_choice_leaves_no_double_space() -> None:
    assert expand("one [| ]two", random.Random(0)) == "one two"


@pytest.mark.parametrize("line", ["[a|b", "a]", "[[a|b]"])
def test_a_bracket_without_a_partner_is_refused(line: str) -> None:
    with pytest.raises(ConfigError, match="partner"):
        expand(line, random.Random(0))
