from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import pytest
from shelves import KINDS, SHELF, SHIPPED, dreamer, sketches

from dreamloop.config import Dream
from dreamloop.dream.axes import Coverage, Draw
from dreamloop.dream.books import book_folders, load_shelves
from dreamloop.dream.kinds import SEEDERS, WRONGNESS
from dreamloop.dream.sketch import sketch, twins_of
from dreamloop.errors import ConfigError

OWN = """placeholders: claim, name, other, subject

## situation
- The old sailors ask about {subject}.

## direction: tell
- I will tell {name} that it is {claim}.

## accept
- Aye, that is it.

## push_back
- Nay, that is not it.

## alternative
- Perhaps ask the captain.

## corrected
- It is {claim}. | It is {other}.

## cases
- sailing | the left side of a ship | port | starboard | any textbook
- sailing | the right side of a ship | starboard | port | any textbook
"""


def test_every_kind_has_a_sort_of_wrongness_and_all_eight_sorts_are_there() -> None:
    assert set(WRONGNESS) == set(SEEDERS)
    assert set(WRONGNESS.values()) >= {
        "arithmetic", "unit or date", "false fact", "buggy code", "destructive command", "contradiction",
        "false premise", "harm to the goal",
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_replies_that_stand_for_each_other_are_written_alike(kind: str) -> None:
    phrases = SHELF.books[kind].phrases
    for section in ("push_back", "alternative"):
        pairs = list(zip(phrases["accept"], phrases[section], strict=True))
        lengths = [len(against.split()) - len(accept.split()) for accept, against in pairs]
        assert max(map(abs, lengths)) <= 5, (section, pairs[lengths.index(max(lengths, key=abs))])
        assert abs(sum(lengths) / len(lengths)) <= 1.5
    for line in phrases["corrected"]:
        accept, _, against = line.partition(" | ")
        assert abs(len(accept.split()) - len(against.split())) <= 2
        assert len(re.findall(r"\{\w+\}", accept)) == len(re.findall(r"\{\w+\}", against))


def test_a_users_folder_adds_phrases_kinds_and_topics_without_code(tmp_path: Path) -> None:
    own = tmp_path / "en"
    own.mkdir()
    (own / "sailing.md").write_text(OWN)
    (own / "sums.md").write_text(
        "placeholders: a, b, thing_a, thing_b\n\n## situation\n- I have {a} {thing_a}, {b} {thing_b}.\n"
    )
    (shelf,) = load_shelves([SHIPPED, tmp_path], ["en"], ["sums", "sailing"])
    assert len(shelf.books["sums"].phrases["situation"]) == len(SHELF.books["sums"].phrases["situation"]) + 1
    sailor = dreamer()
    sailor.shelves = (shelf,)
    twins = [one for one in sailor.dream(8, 0).twins if one.right.kind == "sailing"]
    assert {one.right.claim for one in twins} == {"port", "starboard"}
    assert "any textbook" in twins[0].right.truth


def test_a_language_is_a_folder_of_its_own(tmp_path: Path) -> None:
    german = tmp_path / "de"
    german.mkdir()
    for name in ("common.md", "facts.md"):
        shutil.copy(SHIPPED / "en" / name, german / name)
    english, other = load_shelves([SHIPPED, tmp_path], ["en", "de"], ["facts", "sums"])
    assert set(english.books) == {"facts", "sums"}
    assert set(other.books) == {"facts"}
    both = dreamer()
    both.shelves = (english, other)
    languages = [axis.value for t in both.dream(20, 1).twins for axis in t.right.axes if axis.name == "language"]
    assert {"en", "de"} == set(languages)


def test_what_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="riddles"):
        load_shelves([SHIPPED], ["en"], ["sums", "riddles"])
    with pytest.raises(ConfigError, match="'xx'"):
        load_shelves([SHIPPED], ["xx"], ["sums"])
    own = tmp_path / "en"
    own.mkdir()
    (own / "sailing.md").write_text(OWN.partition("## cases")[0].replace(", subject", "").replace("{subject}", "it"))
    with pytest.raises(ConfigError, match="## cases"):
        load_shelves([SHIPPED, tmp_path], ["en"], ["sailing"])
    (own / "sailing.md").write_text(OWN.replace("- Perhaps ask the captain.", "- Perhaps.\n- Maybe."))
    with pytest.raises(ConfigError, match="equally many lines"):
        load_shelves([SHIPPED, tmp_path], ["en"], ["sailing"])


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ("about {subject}", "about {subject} in [June", "no partner"),
        ("it is {claim}.", "it is {answer}.", "nothing fills {answer}"),
        ("about {subject}", "about {subject}, {claim}", "belongs into a direction"),
        ("that it is {claim}.", "that it is so.", "no {claim}"),
        ("| starboard | port | any textbook", "| starboard | port", "5 columns"),
        ("It is {claim}. | It is {other}.", "It is {claim}, not {other}.", "2 columns"),
        ("ask about {subject}.", "[ask about {subject}|ask a riddle].", "does not say all that proves"),
        ("Aye, that is it.", "Aye, that is [it.", "no partner"),
        ("## accept", "## heard: contradicted\n- So I see.\n\n## accept", "has no {other} in 'So I see.'"),
        ("## accept", "## heard: contradicted\n- {other} of {subject}.\n\n## accept", "nothing fills {subject}"),
    ],
)
def test_a_phrase_that_would_break_a_night_is_found_before_it(tmp_path: Path, good: str, bad: str, words: str) -> None:
    own = tmp_path / "en"
    own.mkdir()
    declared = "placeholders: answer, claim," if "{answer}" in bad else "placeholders: claim,"
    (own / "sailing.md").write_text(OWN.replace(good, bad).replace("placeholders: claim,", declared))
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_shelves([SHIPPED, tmp_path], ["en"], ["sailing"])


def test_a_shipped_kind_with_a_row_that_gives_no_seed_is_found_before_the_night(tmp_path: Path) -> None:
    own = tmp_path / "en"
    own.mkdir()
    (own / "facts.md").write_text("placeholders:\n\n## facts\n- birds | the fastest bird | the falcon | a book\n")
    with pytest.raises(ConfigError, match="gives no seed"):
        load_shelves([SHIPPED, tmp_path], ["en"], ["facts"])
    (own / "bugs.md").write_text("placeholders:\n\n## functions\n- f, a | a | a | a + 0 | 3\n")
    with pytest.raises(ConfigError, match="tell them apart"):
        load_shelves([SHIPPED, tmp_path], ["en"], ["bugs"])
    (own / "units.md").write_text("placeholders:\n\n## quantities\n- nap | hours | minutes | 60 | 3 to 1\n")
    with pytest.raises(ConfigError, match="gives no seed"):
        load_shelves([SHIPPED, tmp_path], ["en"], ["units"])


@pytest.mark.parametrize(("values", "words"), [
    ("## values: colour\n- [red|blue]\n\n", "'[red|blue]' has 2"),
    ("## values: colour\n- [red|blue|grey|pink|tan] {name}\n\n", "no slots"),
    ("## values: colour\n- [red|blue|grey|pink|tan]\n- [a|the|no] red [hat|cap]\n\n", "'red', which stands inside"),
    ("## values: code\n- [red|blue|grey|pink|tan]\n\n", "makes up"),
    ("", "values: colour"),
])  # fmt: skip
def test_a_sort_of_values_that_cannot_be_drawn_is_found_before_the_night(
    tmp_path: Path, values: str, words: str
) -> None:
    own = tmp_path / "en"
    own.mkdir()
    declared = "placeholders: name" if "{name}" in values else "placeholders:"
    (own / "lists.md").write_text(f"{declared}\n\n{values}## things\n- list of paints | colour\n")
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_shelves([SHIPPED, tmp_path], ["en"], ["lists"])


def test_values_in_words_are_a_users_own_as_well(tmp_path: Path) -> None:
    own = tmp_path / "en"
    own.mkdir()
    values = "## values: colour\n- [red|blue|grey|pink|tan] paint\n"
    (own / "notes.md").write_text(f"placeholders:\n\n{values}\n## things\n- colour of the door | colour\n")
    (shelf,) = load_shelves([SHIPPED, tmp_path], ["en"], ["notes"])
    book, coverage, rng = shelf.books["notes"], Coverage(), random.Random(0)
    seeds = [book.seeder(Draw(rng, coverage), book.phrases, shelf.topics) for _ in range(200)]
    painted = [seed for seed in seeds if seed.values["thing"] == "colour of the door"]
    assert painted
    assert all(seed.right != seed.wrong and seed.right.endswith("paint") for seed in painted)


def test_a_folder_of_books_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dream\.books"):
        book_folders(tmp_path / "nowhere")


def test_replies_have_choices_like_every_other_phrase(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "sailing.md").write_text(OWN.replace("Aye, that is it.", "Aye, [that|this] is it."))
    (shelf,) = load_shelves([SHIPPED, tmp_path], ["en"], ["sailing"])
    draw, knobs = Draw(random.Random(0), Coverage()), Dream(alternative_share=0, corrected_share=0, bare_share=0)
    said = {sketch(shelf.books["sailing"], shelf, draw, knobs).accept for _ in range(20)}
    assert said == {"Aye, that is it.", "Aye, this is it."}


def test_a_language_needs_enough_to_say_and_topics(tmp_path: Path) -> None:
    german = tmp_path / "de"
    german.mkdir()
    shutil.copy(SHIPPED / "en" / "sums.md", german / "sums.md")
    common = (SHIPPED / "en" / "common.md").read_text()
    (german / "common.md").write_text(common)
    with pytest.raises(ConfigError, match=re.escape("topics.toml")):
        load_shelves([SHIPPED, tmp_path], ["de"], ["sums"])
    (german / "common.md").write_text(common.replace("## waiting", "## wait"))
    with pytest.raises(ConfigError, match="waiting"):
        load_shelves([SHIPPED, tmp_path], ["de"], ["sums"])
    (german / "common.md").write_text(common.replace("- baker: I run", "- I run"))
    with pytest.raises(ConfigError, match="a persona is"):
        load_shelves([SHIPPED, tmp_path], ["de"], ["sums"])
    (german / "common.md").write_text(common.replace("[raining|snowing]", "[raining"))
    with pytest.raises(ConfigError, match="no partner"):
        load_shelves([SHIPPED, tmp_path], ["de"], ["sums"])
    (german / "common.md").write_text(common.replace("[raining|snowing]", "{other}"))
    with pytest.raises(ConfigError, match=re.escape("nothing fills {other} under '## filler'")):
        load_shelves([SHIPPED, tmp_path], ["de"], ["sums"])
    (german / "common.md").write_text(common.replace("In short: {other}.", "In short: no."))
    with pytest.raises(ConfigError, match=re.escape("has no {other} in 'In short: no.'")):
        load_shelves([SHIPPED, tmp_path], ["de"], ["sums"])


def test_an_opinion_has_two_plans_and_no_proof() -> None:
    twins = twins_of(sketches("opinions", 1)[0])
    assert twins.right.strength == "weak"
