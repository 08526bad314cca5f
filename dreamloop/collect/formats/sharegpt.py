"""ShareGPT: ``{id, conversations: [{from: human|gpt|system, value}]}``, linear, without feedback.

Long chats are stored in pieces, and many pieces begin with the assistant; what comes before the first
user turn of a piece has no context and is left out.
"""

from __future__ import annotations

from typing import Any

from dreamloop.collect.formats.turns import joined, linear_exchanges, turn
from dreamloop.records import Exchange

NAME = "sharegpt"


def matches(value: Any) -> bool:
    """A list of turns that say who spoke in ``from``."""
    turns = value.get("conversations") if isinstance(value, dict) else None
    return isinstance(turns, list) and all(isinstance(turn, dict) and "from" in turn for turn in turns)


def exchanges(value: Any) -> list[Exchange]:
    """Every assistant turn with its context and the user turn after it."""
    turns = joined(turn(item["from"], item.get("value")) for item in value["conversations"])
    return linear_exchanges(str(value.get("id", "")), turns)
