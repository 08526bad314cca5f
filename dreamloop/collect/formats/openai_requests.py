"""Request logs in OpenAI's shape: what was sent and what came back, one call a line.

The pieces lie side by side (``messages``, ``choices``), or under ``request`` and ``response`` (``body``
inside them in batch files), as proxies write them. A chat is logged once per turn with everything before
it, so the same exchange comes again and again; equal ones count once.
"""

from __future__ import annotations

from typing import Any

from dreamloop.collect.formats.messages import is_chat, spoken
from dreamloop.collect.formats.turns import joined, linear_exchanges, text_of, turn
from dreamloop.records import Exchange

NAME = "openai"


def matches(value: Any) -> bool:
    """Messages and choices, wherever they lie."""
    return isinstance(value, dict) and is_chat(_part(value, "messages")) and isinstance(_part(value, "choices"), list)


def exchanges(value: Any) -> list[Exchange]:
    """Every answered turn of the request, and the response with all its choices.

    Raises:
        ValueError: the response is an error, was cut off, or holds no text.
    """
    replies = [text_of(message) for message in map(_finished, _part(value, "choices")) if message is not None]
    if not replies:
        raise ValueError("response without a finished reply")
    first, *others = replies
    sent = list(spoken(_part(value, "messages")))
    named = value.get("session_id") or value.get("conversation_id") or value.get("id") or _part(value, "id") or ""
    return linear_exchanges(str(named), joined([*sent, turn("assistant", first)]), others)


def _finished(choice: Any) -> Any:
    """The content of a choice that ended by itself; None for tool calls and cut-off ones."""
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise ValueError("response without a finished reply")
    if choice.get("finish_reason") not in ("stop", None):
        return None
    return choice["message"].get("content") or None


def _part(value: dict[str, Any], name: str) -> Any:
    request, response = value.get("request"), value.get("response")
    places = [value, request, response]
    places += [place.get("body") for place in (request, response) if isinstance(place, dict)]
    for place in places:
        if isinstance(place, dict) and place.get(name):
            return place[name]
    return None
