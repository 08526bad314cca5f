from __future__ import annotations

from pathlib import Path

import pytest
from shelves import SHELF

from dreamloop.dream.topics import load_topics
from dreamloop.errors import ConfigError

BEES = """[bees]
goods = ["smoker", "hive"]
events = ["inspection", "harvest"]
notes = ["colour of the frame: red, green, blue"]
lists = ["list of hives: one, two, three, four, five, six"]
"""


def test_the_shipped_topics_are_many_and_whole() -> None:
    assert len(SHELF.topics) >= 12
    for topic in SHELF.topics.values():
        values = [value for listing in (*topic.notes, *topic.lists) for value in listing.values]
        assert not [v for v in values if "{" in v or "[" in v or "|" in v]
        assert len(topic.goods) >= 8


def test_a_users_file_adds_domains_and_adds_to_those_that_are_there(tmp_path: Path) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text(BEES)
    second.write_text('[bees]\ngoods = ["veil"]\n')
    topics = load_topics([first, second])
    assert topics["bees"].goods == ("smoker", "hive", "veil")
    assert topics["bees"].notes[0].values == ("red", "green", "blue")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("goods = []", "outside of a"),
        ("[bees", "cannot be read"),
        ('[bees]\nanimals = ["bee"]', "bees.animals"),
        ("[bees]\ngoods = [1, 2]", "bees.goods"),
        ('[bees]\ngoods = ["hive"]', "at least 2 different goods"),
        (BEES.replace("red, green, blue", "red"), "at least 3 values"),
        (BEES.replace("frame:", "frame"), "'name: '"),
        (BEES.replace("green, blue", "dark red, blue"), "'red' stands inside 'dark red'"),
        (BEES.replace("green, blue", "{green}, blue"), "braces are for phrases"),
    ],
)
def test_a_damaged_topics_file_is_one_sentence(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "topics.toml").write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load_topics([tmp_path / "topics.toml"])
