"""Plain chats: ``{"messages": [{"role", "content"}, …]}``, one JSON value each, as fine-tuning files have them.

A reply that a person edited may keep what the model wrote as ``original_content`` (or ``originalContent``).
Tool calls and tool results are no conversation and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dreamloop.collect.formats.turns import Turn, joined, linear_exchanges, turn
from dreamloop.records import Exchange

NAME = "messages"


def matches(value: Any) -> bool:
    """A list of messages with roles."""
    return isinstance(value, dict) and is_chat(value.get("messages"))


def exchanges(value: Any) -> list[Exchange]:
    """Every assistant turn with its context and the user turn after it."""
    return linear_exchanges(str(value.get("id", "")), joined(spoken(value["messages"])))


def is_chat(messages: Any) -> bool:
    """Whether these are messages in OpenAI's shape."""
    return isinstance(messages, list) and all(isinstance(item, dict) and "role" in item for item in messages)


def spoken(messages: list[dict[str, Any]]) -> Iterator[Turn]:
    """What people and the model said to each other.

    Raises:
        ValueError: a message that should have text has none.
    """
    for item in messages:
        calls = item.get("tool_calls") or item.get("function_call")
        if item["role"] in ("tool", "function") or (calls and not item.get("content")):
            continue
        yield turn(item["role"], item.get("content"), item.get("original_content") or item.get("originalContent"))
