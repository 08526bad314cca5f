from __future__ import annotations

import pytest

from dreamloop.gate.checks import CHECKS, keeps
from dreamloop.gate.suite import Wanted

CASES: list[tuple[str, Wanted, str, str]] = [
    ("contains", ("Lisbon", "Dublin"), "From Dublin to LISBON.", "From Dublin to Rome."),
    ("without", ",", "No such mark here.", "Here, it is."),
    ("starts_with", "Frankly", "Frankly, tea.", "Tea, frankly."),
    ("ends_with", "That is all.", "Owls hunt. That is all.", "That is all. Owls hunt."),
    ("equals", "The boats are back.", "The boats are back.", "The boats are back"),
    ("one_of", ("yes", "no"), "Yes.", "Yes, it is."),
    ("all_upper", True, "HELLO, READER 1!", "HELLO, Reader!"),
    ("all_lower", True, "oak, elm, ash", "Oak, elm, ash"),
    ("only_digits", True, "7.", "7 days"),
    ("no_digits", True, "About fifteen years.", "About 15 years."),
    ("quoted", True, '"Cold."', 'It is "cold".'),
    ("most_words", 3, "well-kept bees' honey", "one two three four"),
    ("sentences", 1, "A hammer drives nails.", "It drives nails. It is heavy."),
    ("sentences", 2, "It costs 2.50 euros. Cheap!", "It costs 2.50 euros."),
    ("dash_lines", 2, "- fresh air\n\n- no parking", "- fresh air\nno parking"),
    ("numbered_lines", 2, "1. leek\n2) kale", "1. leek\n3. kale"),
    ("json_key", "animal", '{"animal": "fox"}', 'Sure: {"animal": "fox"}'),
]


@pytest.mark.parametrize(("check", "value", "kept", "broken"), CASES, ids=lambda part: str(part)[:20])
def test_an_instruction_is_kept_or_broken_to_the_letter(check: str, value: Wanted, kept: str, broken: str) -> None:
    assert keeps(kept, check, value)
    assert not keeps(broken, check, value)


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_an_empty_answer_keeps_no_instruction(check: str) -> None:
    assert not keeps("", check, 0)


def test_every_check_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(CHECKS)


def test_a_json_list_is_no_object_with_a_key() -> None:
    assert not keeps('["animal"]', "json_key", "animal")
